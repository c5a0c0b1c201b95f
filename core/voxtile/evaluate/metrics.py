"""Ranking and decision metrics, for one set of weights or for many replicates of a bootstrap at once.

Layout: scores and labels are [N]; weights are [N, R], one column a replicate: a gather then reads whole rows.
Equal to scikit-learn's `roc_auc_score`, `average_precision_score`, `balanced_accuracy_score` and `recall_score` with
`sample_weight`, ties included; a replicate without positives or without negatives gives NaN.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.bool_]


def auroc(labels: Labels, scores: Floats, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    Args:
        labels: [N] bool.
        scores: [N], larger means more positive.
        weights: [N, R], or None for one column of ones.

    Returns:
        [R].
    """
    positive, negative = _by_threshold(labels, scores, weights)
    below = np.cumsum(negative, axis=0) - 0.5 * negative
    return _ratio((positive * below).sum(axis=0), positive.sum(axis=0) * negative.sum(axis=0))


def average_precision(labels: Labels, scores: Floats, weights: Floats | None = None) -> Floats:
    """Average precision: the sum over thresholds of precision times the gain in recall (no interpolation).

    Args:
        labels: [N] bool.
        scores: [N].
        weights: [N, R], or None.

    Returns:
        [R]; NaN without positives.
    """
    positive, negative = (part[::-1] for part in _by_threshold(labels, scores, weights))
    hits = np.cumsum(positive, axis=0)
    called = hits + np.cumsum(negative, axis=0)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return _ratio((precision * positive).sum(axis=0), hits[-1])


def recall(labels: Labels, called: Labels, weights: Floats | None = None) -> Floats:
    """Share of `labels` that is `called`: the sensitivity, or with both negated the specificity.

    Args:
        labels: [N] bool.
        called: [N] bool decisions.
        weights: [N, R], or None.

    Returns:
        [R]; NaN without a label.
    """
    weights = _weights(labels, weights)
    return _ratio(weights[labels & called].sum(axis=0), weights[labels].sum(axis=0))


def balanced_accuracy(labels: Labels, called: Labels, weights: Floats | None = None) -> Floats:
    """Mean of sensitivity and specificity.

    Args:
        labels: [N] bool.
        called: [N] bool decisions.
        weights: [N, R], or None.

    Returns:
        [R].
    """
    return (recall(labels, called, weights) + recall(~labels, ~called, weights)) / 2


def best_threshold(labels: Labels, scores: Floats) -> float | None:
    """The threshold with the largest balanced accuracy; called positive is `score > threshold`.

    Thresholds lie half-way between neighbouring scores; of several equally good ones the middle one is taken.

    Args:
        labels: [N] bool, of the validation split and never of the test split.
        scores: [N].

    Returns:
        None without a positive or without a negative.
    """
    if labels.all() or not labels.any():
        return None
    positive, negative = (part[:, 0] for part in _by_threshold(labels, scores, None))
    values = np.unique(scores)
    if len(values) == 1:
        return float(values[0])
    sensitivity = 1 - np.cumsum(positive) / positive.sum()
    specificity = np.cumsum(negative) / negative.sum()
    gain = (sensitivity + specificity)[:-1]
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    index = best[len(best) // 2]
    return float((values[index] + values[index + 1]) / 2)


def _by_threshold(labels: Labels, scores: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives at each distinct score, ascending: two arrays [thresholds, R]."""
    weights = _weights(labels, weights)
    order = np.argsort(scores, kind="stable")
    ordered, truth = weights[order], labels[order][:, None]
    positive, negative = ordered * truth, ordered * ~truth
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    if len(starts) == len(ranked):
        return positive, negative
    return np.add.reduceat(positive, starts, axis=0), np.add.reduceat(negative, starts, axis=0)


def _weights(labels: Labels, weights: Floats | None) -> Floats:
    return np.ones((len(labels), 1)) if weights is None else weights


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
