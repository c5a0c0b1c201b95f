"""The cases behind a class's figures, the most confidently wrong first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.kinds.zero_shot.run import TaskResult

MOST = 10
"""Cases of each kind and class on the page; `voxtile serve --report` shows all."""


@dataclass(frozen=True)
class Case:
    """A unit with its score: `uid` is that of its first sample."""

    uid: str
    score: float


@dataclass(frozen=True)
class ClassCases:
    """Of one class, the units without it by falling score and those with it by rising score, ten of each at most.

    Attributes:
        title: of the class.
        threshold: from validation; None where decisions have none.
        false_positives, false_negatives: the cases. Where there is a threshold, only those on its wrong side.
        wrong: how many there are of each in all.
    """

    title: str
    threshold: float | None
    false_positives: tuple[Case, ...]
    false_negatives: tuple[Case, ...]
    wrong: tuple[int, int]


def class_cases(result: TaskResult, model: str, column: int) -> ClassCases:
    """Cases of one class.

    Args:
        result: of the task.
        model: whose scores.
        column: of the class.
    """
    item = result.task.reported[column]
    scores, labels = result.scores[model][:, column], result.labels[:, column]
    threshold = result.thresholds.get(model, {}).get(item.name)
    names = np.array(result.units.names)

    def chosen(label: int, sign: int) -> tuple[tuple[Case, ...], int]:
        units = np.flatnonzero(labels == label)
        if threshold is not None:
            units = units[(scores[units] > threshold) == (label == 0)]
        units = units[np.lexsort((names[units], sign * scores[units]))]
        return tuple(Case(str(names[unit]), float(scores[unit])) for unit in units[:MOST]), len(units)

    (alarms, many), (misses, few) = chosen(0, -1), chosen(1, 1)
    return ClassCases(item.title, threshold, alarms, misses, (many, few))
