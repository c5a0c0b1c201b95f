"""How good a ranking of images is by what they show: precision, average precision, reciprocal rank, discounted gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats, Labels


def precision_at(relevant: Labels, cutoff: int) -> Floats:
    """[Q] share of the first `cutoff` items that is relevant; items that are missing count as not.

    Args:
        relevant: [Q, R] whether the item at each place of a query's ranking is relevant.
        cutoff: k.
    """
    result: Floats = relevant[:, :cutoff].sum(axis=1) / cutoff
    return result


def average_precision_at(relevant: Labels, cutoff: int, total: Sequence[int] | Floats) -> Floats:
    """[Q] mean precision at the places of relevant items among the first `cutoff`.

    Divided by the number of items that could stand there, the smaller of `cutoff` and `total`: a perfect ranking is 1
    (Manning, Raghavan and Schütze 2008, section 8.4, cut at k).

    Args:
        relevant: [Q, R] by place.
        cutoff: k.
        total: [Q] relevant items of the whole gallery, above 0.
    """
    part = relevant[:, :cutoff]
    places = np.arange(1, part.shape[1] + 1)
    found: Floats = (part * (np.cumsum(part, axis=1) / places)).sum(axis=1) / np.minimum(total, cutoff)
    return found


def reciprocal_rank(relevant: Labels) -> Floats:
    """[Q] one over the place of the first relevant item; 0 where there is none."""
    found: Floats = relevant.any(axis=1) / (relevant.argmax(axis=1) + 1)
    return found


def discounted_gain_at(gains: Floats, best: Floats, cutoff: int) -> Floats:
    """[Q] normalised discounted cumulative gain among the first `cutoff` (Järvelin and Kekäläinen, TOIS 2002).

    Args:
        gains: [Q, R] of the item at each place.
        best: [Q, R'] the largest gains of the whole gallery in descending order, R' at least the smaller of cutoff and
            gallery; the first above 0.
        cutoff: k.
    """
    found, possible = (
        (part[:, :cutoff] / np.log2(np.arange(2, min(cutoff, part.shape[1]) + 2))).sum(axis=1) for part in (gains, best)
    )
    result: Floats = found / possible
    return result


def shared_classes(queries: LabelMatrix, gallery: LabelMatrix) -> Floats:
    """[Q, G] share of the positive classes of either that both have (Jaccard), over classes known of both; else 0."""
    positive, known = (queries == 1).astype(np.float64), (queries >= 0).astype(np.float64)
    others, theirs = (gallery == 1).astype(np.float64), (gallery >= 0).astype(np.float64)
    both = positive @ others.T
    either = positive @ theirs.T + known @ others.T - both
    shares: Floats = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return shares
