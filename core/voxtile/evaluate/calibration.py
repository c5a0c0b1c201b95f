"""Calibration of scores that look like probabilities: reliability, Brier score, expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtile.evaluate.metrics import Floats, Labels

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How scores compare with what happened.

    Attributes:
        predicted: mean score in each filled bin of ten equal widths.
        observed: share of positives in it.
        sizes: number of scores in it.
        brier: mean squared difference of score and label (Brier 1950).
        error: expected calibration error, the size-weighted mean of |observed − predicted| (Naeini et al. 2015).
    """

    predicted: Floats
    observed: Floats
    sizes: Floats
    brier: float
    error: float


def calibration(labels: Labels, scores: Floats) -> Calibration:
    """Reliability over ten bins of equal width.

    Args:
        labels: [N] bool, N > 0.
        scores: [N] in 0 to 1.
    """
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    sizes = np.bincount(bins, minlength=BINS).astype(np.float64)
    filled = sizes > 0
    predicted = np.bincount(bins, weights=scores, minlength=BINS)[filled] / sizes[filled]
    observed = np.bincount(bins, weights=labels, minlength=BINS)[filled] / sizes[filled]
    return Calibration(
        predicted=predicted,
        observed=observed,
        sizes=sizes[filled],
        brier=float(np.mean((scores - labels) ** 2)),
        error=float(np.sum(sizes[filled] * np.abs(observed - predicted)) / sizes.sum()),
    )
