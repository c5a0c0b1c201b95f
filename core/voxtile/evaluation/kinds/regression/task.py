"""The task of a regression, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import Task

REGRESSION_KEYS = ("targets", "facts_source")
TARGET_KEYS = ("title", "fact", "of", "attribute", "unit", "several")
Several: TypeAlias = Literal["largest", "sum", "mean"]
SEVERAL: tuple[Several, ...] = ("largest", "sum", "mean")


@dataclass(frozen=True)
class Target:
    """A number that is to be told from the image.

    Attributes:
        name: what `results.json` calls it.
        title: what people read.
        fact: the concept whose facts have the number as their value; None where it is an attribute.
        of: what was measured, where the fact is of a region (its attribute `region`); empty for any.
        attribute: the attribute of samples that is the number; None where it is a fact's.
        unit: of the number; facts in other units do not count. Empty takes facts of all, and the attribute as it is.
        several: what counts of several numbers of a unit.
    """

    name: str
    title: str
    fact: str | None
    of: str
    attribute: str | None
    unit: str
    several: Several


@dataclass(frozen=True, kw_only=True)
class RegressionTask(Task):
    """Numbers of the corpus, told from frozen embeddings.

    Attributes:
        targets: at least one.
        facts_source: only facts of this rule count; None takes all.
    """

    targets: tuple[Target, ...]
    facts_source: str | None = None


def parse_regression(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> RegressionTask:
    """The task of a file whose `kind` is `regression-probe`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: there are no targets, or one names no fact and no attribute, or both.
    """
    here, given = place.at("targets"), task.get("targets")
    if not isinstance(given, dict) or not given:
        raise here.error(
            f"expected a mapping of names to targets such as {{fact: NAME, unit: mm}}, found {shown(given)}"
        )
    return RegressionTask(
        **shared,
        targets=tuple(_target(here.at(str(name)), str(name), content) for name, content in given.items()),
        facts_source=place.text(task, "facts_source", "") or None,
    )


def _target(place: Place, name: str, content: object) -> Target:
    fields = place.mapping(content if content is not None else {}, TARGET_KEYS)
    fact, attribute = place.text(fields, "fact", ""), place.text(fields, "attribute", "")
    if bool(fact) == bool(attribute):
        raise place.error("expected either 'fact', whose value is the number, or 'attribute'")
    if attribute and "of" in fields:
        raise place.at("of").error("an attribute is of the sample; leave it out")
    return Target(
        name=name,
        title=place.text(fields, "title", name.replace("_", " ").capitalize()),
        fact=fact or None,
        of=place.text(fields, "of", ""),
        attribute=attribute or None,
        unit=place.text(fields, "unit", ""),
        several=place.choice(fields, "several", SEVERAL, "largest"),
    )
