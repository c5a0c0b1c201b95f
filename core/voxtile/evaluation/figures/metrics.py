"""Ranking and decision metrics, for one set of weights or for many replicates of a bootstrap at once.

Layout: scores and labels are [N]; weights are [N, R], one column a replicate: a gather then reads whole rows.
Equal to scikit-learn's `roc_auc_score`, `average_precision_score`, `balanced_accuracy_score` and `recall_score` with
`sample_weight`, ties included; a replicate without positives or without negatives gives NaN.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.bool_]
Weights: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]


def auroc(labels: Labels, scores: Floats, weights: Weights | None = None) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    Args:
        labels: [N] bool.
        scores: [N], larger means more positive.
        weights: [N, R], or None for one column of ones.

    Returns:
        [R].
    """
    return ranking(labels, scores, weights)[0]


def average_precision(labels: Labels, scores: Floats, weights: Weights | None = None) -> Floats:
    """Average precision: the sum over thresholds of precision times the gain in recall (no interpolation).

    Args:
        labels: [N] bool.
        scores: [N].
        weights: [N, R], or None.

    Returns:
        [R]; NaN without positives.
    """
    return ranking(labels, scores, weights)[1]


def ranking(labels: Labels, scores: Floats, weights: Weights | None = None) -> tuple[Floats, Floats]:
    """AUROC and average precision from one sorting: both only need running sums at the positives.

    Args:
        labels: [N] bool.
        scores: [N].
        weights: [N, R], or None.

    Returns:
        Two arrays [R].
    """
    order = np.argsort(-scores, kind="stable")
    ranked, sorted_labels = scores[order], labels[order]
    weight = _weights(labels, weights)[order]
    places = np.flatnonzero(sorted_labels)
    positive = weight[places]
    called = _after_zero(np.cumsum(weight, axis=0))  # [N + 1, R] weight of the first n in the ranking
    hits = _after_zero(np.cumsum(positive, axis=0))
    # A positive's ties: the ranking from `first` up to (not with) `last` has its score.
    first = np.searchsorted(-ranked, -ranked[places], side="left")
    last = np.searchsorted(-ranked, -ranked[places], side="right")
    before = np.r_[0, np.cumsum(sorted_labels)]
    hits_last, called_last = hits[before[last]], called[last]
    above = ((called_last - hits_last) + (called[first] - hits[before[first]])) / 2  # negatives above, ties half
    positives, negatives = hits[-1], called[-1] - hits[-1]
    area = _ratio((positive * (negatives - above)).sum(axis=0), positives * negatives)
    precision = np.divide(hits_last, called_last, out=np.zeros_like(hits_last), where=called_last > 0)
    average = _ratio((positive * precision).sum(axis=0), positives)
    return area, average


def recall(labels: Labels, called: Labels, weights: Weights | None = None) -> Floats:
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


def balanced_accuracy(labels: Labels, called: Labels, weights: Weights | None = None) -> Floats:
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
    values, group = np.unique(scores, return_inverse=True)
    if len(values) == 1:
        return float(values[0])
    positive = np.bincount(group, weights=labels)
    negative = np.bincount(group, weights=~labels)
    sensitivity = 1 - np.cumsum(positive) / positive.sum()
    specificity = np.cumsum(negative) / negative.sum()
    gain = (sensitivity + specificity)[:-1]
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    index = best[len(best) // 2]
    middle = (values[index] + values[index + 1]) / 2
    return float(middle if middle < values[index + 1] else values[index])  # of neighbours it rounds to the larger


def _after_zero(sums: Floats) -> Floats:
    return np.concatenate([np.zeros((1, sums.shape[1]), sums.dtype), sums])


def _weights(labels: Labels, weights: Weights | None) -> npt.NDArray[Any]:
    return np.ones((len(labels), 1)) if weights is None else weights


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
