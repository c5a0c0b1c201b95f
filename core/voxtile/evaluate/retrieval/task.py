"""The retrieval task, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.evaluate.task import Task
from voxtile.evaluate.task_place import Place, shown

RETRIEVAL_KEYS = ("captions", "recall")


@dataclass(frozen=True, kw_only=True)
class RetrievalTask(Task):
    """Texts find images and images find texts, among all that are selected.

    Attributes:
        captions: kinds of captions that count; none means all kinds.
        recall: the k of recall@k, ascending.
    """

    captions: tuple[str, ...] = ("raw",)
    recall: tuple[int, ...] = (1, 5, 10)


def parse_retrieval(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> RetrievalTask:
    """The task of a file whose `kind` is `retrieval`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: captions or recall are not lists of what they should be.
    """
    kinds = task.get("captions", ["raw"])
    if not isinstance(kinds, list) or not all(isinstance(kind, str) and kind for kind in kinds):
        raise place.at("captions").error(f"expected a list of kinds such as [raw], found {shown(kinds)}")
    cutoffs = task.get("recall", [1, 5, 10])
    whole = isinstance(cutoffs, list) and all(type(k) is int and k > 0 for k in cutoffs)
    if not whole or not cutoffs or len(set(cutoffs)) < len(cutoffs):
        raise place.at("recall").error(
            f"expected a list of different whole numbers above 0, such as [1, 5, 10], found {shown(cutoffs)}"
        )
    return RetrievalTask(**shared, captions=tuple(kinds), recall=tuple(sorted(cutoffs)))
