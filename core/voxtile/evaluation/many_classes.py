"""Zero-shot figures of many images among many classes, without the matrix of scores: a million by a thousand is 8 GB.

Scores are softmax probabilities, as in `zero_shot.singlelabel_scores`. Three passes over blocks: the normaliser of each
image with its decision, then a few classes at a time, sorted, for AUROC and average precision of each class against the
rest. Cosines and logarithms of scores are float64 and rounded to nine decimals before anything is compared, so that
neither the block nor the order of a sum decides a tie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats

Integers = npt.NDArray[np.int64]
_BLOCK = 16_000_000  # similarities held at a time: 128 MB
_SORTED = 4  # times as many scores wait to be sorted: the fewer classes at a time, the more often all images are read
_DECIMALS = 9
_FIRST = 5


@dataclass(frozen=True)
class ManyClassFigures:
    """Figures over N images and K classes; classes without an image are left out of means.

    Attributes:
        accuracy, accuracy_5: share of images whose class is the first, or among the first five; equal scores stand in
            random order and the figure is the expectation over it.
        recall: [K] share of each class's images whose class is the first; NaN without one.
        auroc, average_precision: [K] of each class against the rest, ties included; NaN without an image or with all.
    """

    accuracy: float
    accuracy_5: float
    recall: Floats
    auroc: Floats
    average_precision: Floats

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over classes."""
        return float(np.nanmean(self.recall))

    @property
    def macro_auroc(self) -> float:
        """Mean AUROC over classes."""
        return float(np.nanmean(self.auroc))

    @property
    def macro_average_precision(self) -> float:
        """Mean average precision over classes."""
        return float(np.nanmean(self.average_precision))


def many_class_figures(
    images: npt.NDArray[np.floating], classes: npt.NDArray[np.floating], truth: Integers, *, scale: float
) -> ManyClassFigures:
    """Figures of a single-label task.

    Args:
        images: [N, D] of length one, float32 or float64.
        classes: [K, D] of length one.
        truth: [N] class of each image.
        scale: the model's logit scale.

    Raises:
        EvaluationError: an embedding is not finite; names the row.
    """
    own = classes.astype(np.float64, copy=False)
    _refuse_broken(own, "class")
    shares = np.empty(len(images))
    first, five = np.empty(len(images)), np.empty(len(images))
    for rows in _slices(len(images), max(1, _BLOCK // len(classes))):
        cosine = _cosines(images[rows], own)
        _refuse_broken(cosine, "image", rows.start)
        mine = cosine[np.arange(len(cosine)), truth[rows]][:, None]
        above, level = (cosine > mine).sum(axis=1), (cosine == mine).sum(axis=1)
        first[rows], five[rows] = (np.clip((k - above) / level, 0, 1) for k in (1, _FIRST))
        shares[rows] = _log_sums(cosine, scale)
    sizes = np.bincount(truth, minlength=len(classes))
    recall = _ratio(np.bincount(truth, weights=first, minlength=len(classes)), sizes)
    auroc, average = (np.full(len(classes), np.nan) for _ in range(2))
    by_class = np.split(np.argsort(truth, kind="stable"), np.cumsum(sizes)[:-1])
    for columns in _slices(len(classes), max(1, _SORTED * _BLOCK // len(images))):
        scores = np.empty((columns.stop - columns.start, len(images)))
        for rows in _slices(len(images), max(1, _BLOCK // len(classes))):
            scores[:, rows] = scale * _cosines(images[rows], own[columns]).T - shares[rows]
        np.round(scores, _DECIMALS, out=scores)
        for place, values in enumerate(scores):
            k = columns.start + place
            auroc[k], average[k] = _ranking(values, by_class[k])
    return ManyClassFigures(float(first.mean()), float(five.mean()), recall, auroc, average)


def _ranking(values: Floats, positives: Integers) -> tuple[float, float]:
    """AUROC and average precision of N scores, from one sorting of values; `values` is sorted in place."""
    count, total = len(positives), len(values)
    if not count or count == total:
        return np.nan, np.nan
    own = np.sort(values[positives])
    values.sort()
    below = np.searchsorted(values, own, side="left") - np.searchsorted(own, own, side="left")
    upto = np.searchsorted(values, own, side="right")
    own_upto = np.searchsorted(own, own, side="right")
    ties = upto - own_upto - below
    area = float((below + ties / 2).sum() / (count * (total - count)))
    called = total - np.searchsorted(values, own, side="left")
    hits = count - np.searchsorted(own, own, side="left")
    return area, float((hits / called).mean())


def _cosines(images: npt.NDArray[np.floating], classes: Floats) -> Floats:
    product: Floats = images.astype(np.float64, copy=False) @ classes.T
    return np.round(product, _DECIMALS, out=product)


def _log_sums(cosine: Floats, scale: float) -> Floats:
    """[N] logarithm of the summed exponentials of each row times the scale; the rows are overwritten."""
    largest = cosine.max(axis=1)
    cosine -= largest[:, None]
    cosine *= scale
    result: Floats = scale * largest + np.log(np.exp(cosine, out=cosine).sum(axis=1))
    return result


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _ratio(above: npt.NDArray[Any], below: Integers) -> Floats:
    result: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return result


def _refuse_broken(values: Floats, what: str, start: int = 0) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise EvaluationError(
            f"the embedding of {what} {start + int(wrong[0])} is not finite; leave it out or embed it anew"
        )
