"""Example pictures: the surest hits, the worst misses, the worst false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.report.pictures import copied, picture


@dataclass(frozen=True)
class Example:
    """One picture with its score.

    Attributes:
        uid: of the unit's first sample.
        score: 0 to 1.
        uri: data URI.
    """

    uid: str
    score: float
    uri: str


@dataclass(frozen=True)
class ClassExamples:
    """Pictures of one class, by kind; a kind without any is empty."""

    title: str
    threshold: float | None
    hits: tuple[Example, ...]
    misses: tuple[Example, ...]
    false_alarms: tuple[Example, ...]


def class_examples(result: TaskResult, model: str, column: int, count: int) -> ClassExamples:
    """Pictures of one class.

    Without a threshold, hits are the highest positives, misses the lowest, and false alarms the highest negatives.

    Args:
        result: of the task.
        model: whose scores.
        column: of the class.
        count: pictures of each kind at most.
    """
    item = result.task.reported[column]
    scores, labels = result.scores[model][:, column], result.labels[:, column]
    threshold = result.thresholds.get(model, {}).get(item.name)
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    called = scores > (0.5 if threshold is None else threshold)
    descending = np.argsort(-scores, kind="stable")

    def chosen(members: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> tuple[Example, ...]:
        kept = [unit for unit in order if unit in set(members.tolist())][:count]
        return _examples(result, scores, kept)

    return ClassExamples(
        title=item.title,
        threshold=threshold,
        hits=chosen(positive[called[positive]], descending),
        misses=chosen(positive[~called[positive]], descending[::-1]),
        false_alarms=chosen(negative[called[negative]], descending),
    )


def _examples(result: TaskResult, scores: Floats, units: Sequence[int]) -> tuple[Example, ...]:
    uids = [result.units.names[unit] for unit in units]
    return tuple(
        Example(uid, float(scores[unit]), copied(partial(picture, result.images, uid)))
        for uid, unit in zip(uids, units, strict=True)
    )
