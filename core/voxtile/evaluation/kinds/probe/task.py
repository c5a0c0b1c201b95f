"""The tasks of probes, and what their YAML may say: they take classes and labels from another task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from voxtile.evaluation.tasks.inherited import task_of, with_inherited
from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import EvaluationTask, LabelRule, Task

PROBE_KEYS = ("of", "shares", "shots", "repeats", "pooling")
Pooling: TypeAlias = Literal["mean", "max", "abmil"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "abmil")


@dataclass(frozen=True, kw_only=True)
class ProbeTask(Task):
    """Logistic regression on frozen embeddings, with some or all labels of the training split.

    Attributes:
        of: the task whose classes, labels and units these are; its prompts are not asked.
        shares: of a linear probe, percentages of the training units, largest first.
        shots: of a few-shot task, labelled units of each class, ascending.
        repeats: how often a part of the training units is drawn; figures are means over the draws.
        pooling: how the samples of a unit become one: the mean of their embeddings, the largest value of each
            dimension, or attention that is learnt with the classifier (ABMIL).
    """

    of: EvaluationTask
    shares: tuple[float, ...] = ()
    shots: tuple[int, ...] = ()
    repeats: int = 3
    pooling: Pooling = "mean"

    @property
    def labels(self) -> LabelRule:
        """How facts become labels."""
        return self.of.labels


def parse_probe(
    place: Place, task: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
) -> ProbeTask:
    """The task of a file whose `kind` is `linear-probe` or `few-shot`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.
        load: reads the other task by its name or path.

    Raises:
        ConfigError: no other task with classes is named, or a number is out of range.
    """
    of = task_of(place, task, load)
    few = shared["kind"] == "few-shot"
    for key in {"shares", "shots"} - {"shots" if few else "shares"}:
        if key in task:
            raise place.at(key).error(f"a task of the kind {shared['kind']} takes '{'shots' if few else 'shares'}'")
    pooling = place.choice(task, "pooling", POOLINGS, "mean")
    fields = with_inherited(of, task, shared)
    if pooling != "mean" and fields["unit"] != "study":
        raise place.at("pooling").error(f"'{pooling}' pools the samples of a study; set 'unit: study'")
    return ProbeTask(
        **fields,
        of=of,
        shares=() if few else _shares(place, task.get("shares", [100, 10, 1])),
        shots=_shots(place, task.get("shots", [1, 2, 4, 8, 16])) if few else (),
        repeats=_repeats(place, task.get("repeats", 3)),
        pooling=pooling,
    )


def _shares(place: Place, value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not value or not all(_number(v) and 0 < v <= 100 for v in value):
        raise place.at("shares").error(f"expected a list of percentages such as [100, 10, 1], found {shown(value)}")
    return tuple(sorted({float(v) for v in value}, reverse=True))


def _shots(place: Place, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(v) is int and v > 0 for v in value):
        raise place.at("shots").error(
            f"expected a list of whole numbers above 0, such as [1, 2, 4, 8, 16], found {shown(value)}"
        )
    return tuple(sorted(set(value)))


def _repeats(place: Place, value: object) -> int:
    if type(value) is not int or value < 1:
        raise place.at("repeats").error(f"expected a whole number above 0, found {shown(value)}")
    return value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
