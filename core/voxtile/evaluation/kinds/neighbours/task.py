"""The task of image retrieval, and what its YAML may say: it takes classes and labels from another task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.evaluation.tasks.inherited import task_of, with_inherited
from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import EvaluationTask, LabelRule, Task

NEIGHBOURS_KEYS = ("of", "cutoffs")


@dataclass(frozen=True, kw_only=True)
class NeighboursTask(Task):
    """Images find images (volumes find volumes, slides find slides) among those of other subjects.

    Attributes:
        of: the task whose classes, labels and units these are; its prompts are not asked.
        cutoffs: the k of precision@k, map@k and ndcg@k, ascending.
    """

    of: EvaluationTask
    cutoffs: tuple[int, ...] = (5, 10, 50)

    @property
    def labels(self) -> LabelRule:
        """How facts become labels."""
        return self.of.labels


def parse_neighbours(
    place: Place, task: Mapping[str, Any], shared: Mapping[str, Any], load: Callable[[str], Task]
) -> NeighboursTask:
    """The task of a file whose `kind` is `image-retrieval`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.
        load: reads the other task by its name or path.

    Raises:
        ConfigError: no other task with classes is named, or the cutoffs are not whole numbers.
    """
    of = task_of(place, task, load)
    cutoffs = task.get("cutoffs", [5, 10, 50])
    whole = isinstance(cutoffs, list) and cutoffs and all(type(k) is int and k > 0 for k in cutoffs)
    if not whole:
        raise place.at("cutoffs").error(
            f"expected a list of whole numbers above 0, such as [5, 10, 50], found {shown(cutoffs)}"
        )
    return NeighboursTask(**with_inherited(of, task, shared), of=of, cutoffs=tuple(sorted(set(cutoffs))))
