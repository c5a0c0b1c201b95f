"""DeLong's test of two AUROCs on the same units (DeLong, DeLong and Clarke-Pearson, Biometrics 44:837-845, 1988)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from voxtile.evaluation.figures.metrics import Floats, Labels


class Paired(NamedTuple):
    """The difference of two AUROCs: first less second, its standard error and the two-sided p of no difference."""

    difference: float
    error: float
    p: float


def delong(labels: Labels, first: Floats, second: Floats) -> Paired:
    """Compare two scores of the same N units, which must be independent of each other.

    The structural components come from mid-ranks, in N log N (Sun and Xu, IEEE Signal Processing Letters 21:1389-1393,
    2014); ties count one half.

    Args:
        labels: [N] bool, with at least two positives and two negatives.
        first: [N] scores.
        second: [N] scores.
    """
    positive, negative = zip(*(_components(labels, scores) for scores in (first, second)), strict=True)
    value = float(np.mean(positive[0]) - np.mean(positive[1]))
    spread = np.cov(np.stack(positive)) / len(positive[0]) + np.cov(np.stack(negative)) / len(negative[0])
    variance = float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    if variance <= 1e-18:
        return Paired(value, 0.0, 1.0 if abs(value) < 1e-12 else 0.0)
    error = variance**0.5
    return Paired(value, error, float(2 * norm.sf(abs(value) / error)))


def _components(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """[P] and [N] share of the other kind that each positive stands above, and each negative below."""
    inside, outside = scores[labels], scores[~labels]
    ranks = rankdata(scores)
    above: Floats = (ranks[labels] - rankdata(inside)) / len(outside)
    below: Floats = 1 - (ranks[~labels] - rankdata(outside)) / len(inside)
    return above, below
