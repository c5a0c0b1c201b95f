"""The retrieval task, and what its YAML may say beyond the keys that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.evaluation.tasks.choices import scorers_of
from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import Task

RETRIEVAL_KEYS = ("captions", "recall", "scorers", "rerank")


@dataclass(frozen=True, kw_only=True)
class RetrievalTask(Task):
    """Texts find images and images find texts, among all that are selected.

    Attributes:
        captions: kinds of captions that count; none means all kinds.
        recall: the k of recall@k, ascending.
        scorers: what orders the first candidates of each query anew, by the tokens of both sides
            (`voxtile.evaluation.pair_scores`).
        rerank: how many these are; None for what the options say.
    """

    captions: tuple[str, ...] = ("raw",)
    recall: tuple[int, ...] = (1, 5, 10)
    scorers: tuple[str, ...] = ()
    rerank: int | None = None


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
    count = task.get("rerank")
    if count is not None and (type(count) is not int or count < 1):
        raise place.at("rerank").error(f"expected a whole number above 0, found {shown(count)}")
    return RetrievalTask(
        **shared,
        captions=tuple(kinds),
        recall=tuple(sorted(cutoffs)),
        scorers=scorers_of(place, task),
        rerank=count,
    )
