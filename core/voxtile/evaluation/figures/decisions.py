"""Which units are called positive, by thresholds that only validation may set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats, best_threshold


@dataclass(frozen=True)
class Decisions:
    """Which units are called positive.

    Attributes:
        called: [N, K] bool.
        thresholds: class to threshold, empty where classes exclude each other and the largest score decides.
        undecided: classes without a threshold.
    """

    called: npt.NDArray[np.bool_]
    thresholds: Mapping[str, float]
    undecided: frozenset[str]


def decide(
    scores: Floats,
    validation: tuple[Floats, LabelMatrix] | None,
    classes: Sequence[str],
    *,
    exclusive: bool,
) -> Decisions:
    """Call units positive: by the largest score where classes exclude each other, else by thresholds from validation.

    Args:
        scores: [N, K] of the reported split.
        validation: scores and labels of the validation split; None where there is none.
        classes: names of the K classes.
        exclusive: the classes exclude each other.
    """
    if exclusive:
        called = np.zeros(scores.shape, dtype=np.bool_)
        called[np.arange(len(scores)), scores.argmax(axis=1)] = True
        return Decisions(called, {}, frozenset())
    thresholds: dict[str, float] = {}
    for k, name in enumerate(classes):
        if validation is not None:
            known = validation[1][:, k] >= 0
            threshold = best_threshold(validation[1][known, k] == 1, validation[0][known, k]) if known.any() else None
            if threshold is not None:
                thresholds[name] = threshold
    limits = np.array([thresholds.get(name, np.inf) for name in classes])
    return Decisions(scores > limits, thresholds, frozenset(classes) - thresholds.keys())
