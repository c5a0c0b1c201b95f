"""From the samples of a unit to the unit: the mean, the mean of the best few, or attention; no weights are learnt.

A slide has thousands of patches and a tumour may be in ten of them, so that the mean over all drowns it. The mean of
the k best patches is MI-Zero's (Lu et al., CVPR 2023, section 3.3); attention weighs each patch by the softmax of its
own evidence, the smooth form of the same. Patches of a class are picked by the class's own score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.encode import unit_scores
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.task import Averaging

_EDGE = 1e-12  # a probability of exactly 0 or 1 has no log-odds


def aggregate(scores: Floats, units: Units, averaging: Averaging, evidence: Floats | None = None) -> Floats:
    """[S, K] scores of samples to [N, K] of units, as the task says.

    Args:
        scores: of the samples.
        units: says which sample belongs to which unit.
        averaging: of the task; `samples` is `scores` (the mean), `top-k` or `attention`.
        evidence: [S, K] what attention is the softmax of; the log-odds of the scores when left out.
    """
    if averaging.samples == "top-k":
        return top_mean(scores, units, averaging.top_k[0])
    if averaging.samples == "attention":
        return attended(scores, units, logit(np.clip(scores, _EDGE, 1 - _EDGE)) if evidence is None else evidence)
    return unit_scores(scores, units)


def top_mean(scores: Floats, units: Units, count: int) -> Floats:
    """[N, K] mean of the `count` largest scores of each unit and column; of all where a unit has fewer samples."""
    starts, sizes = _spans(units)
    result = np.empty((len(units), scores.shape[1]))
    for column, values in enumerate(scores.T):
        ordered = values[np.lexsort((-values, units.owner))]
        sums = np.concatenate([[0.0], np.cumsum(ordered)])
        taken = np.minimum(sizes, count)
        result[:, column] = (sums[starts + taken] - sums[starts]) / taken
    return result


def attended(scores: Floats, units: Units, evidence: Floats) -> Floats:
    """[N, K] mean of a unit's scores, weighted by the softmax of their evidence [S, K] over its samples."""
    starts, _ = _spans(units)
    order = np.argsort(units.owner, kind="stable")
    owner, evidence, scores = units.owner[order], evidence[order], scores[order]
    shares = np.exp(evidence - np.maximum.reduceat(evidence, starts)[owner])
    result: Floats = np.add.reduceat(shares * scores, starts) / np.add.reduceat(shares, starts)
    return result


def _spans(units: Units) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each unit's samples begin once they are sorted by unit, and how many they are."""
    sizes = np.bincount(units.owner, minlength=len(units))
    return np.cumsum(sizes) - sizes, sizes
