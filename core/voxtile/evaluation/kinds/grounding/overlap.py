"""How well one predicted mask answers one phrase: overlap, lesions found, the place of the peak, silence where due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """Counts of one phrase in one image.

    Attributes:
        both, either: voxels in prediction and target, and in at least one of them.
        sum: voxels in the prediction plus voxels in the target.
        found: target lesions that a predicted one overlaps enough.
        missed: target lesions that none does.
        false: predicted lesions that overlap no target lesion enough; those on lesions too small to count are left out.
        empty: the prediction has no voxel.
    """

    both: int
    either: int
    sum: int
    found: int
    missed: int
    false: int
    empty: bool


def extent(mask: Mask) -> int:
    """Longest extent along an axis, in voxels; 0 of an empty mask."""
    if not mask.any():
        return 0
    return max(int(np.ptp(np.flatnonzero(mask.any(axis=_others(mask.ndim, axis))))) + 1 for axis in range(mask.ndim))


def lesions(mask: Mask) -> tuple[npt.NDArray[Any], int]:
    """Connected parts, neighbours by corners too: labels from 1 in the mask's own shape, and how many."""
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return labels, int(count)


def shown_parts(mask: Mask, least: float, probability: Probabilities, peak: float) -> Mask:
    """The mask without the connected parts that are too small or too unsure.

    Args:
        mask: [*G] bool.
        least: share of the largest of the sure parts that a part must be as large as.
        probability: [*G] of each voxel.
        peak: probability that a part must reach somewhere.
    """
    if not (least or peak) or not mask.any():
        return mask
    labels, count = lesions(mask)
    kept = _kept(np.bincount(labels.ravel())[1:], _peaks(probability, labels, count), least, peak)
    shown: Mask = np.concatenate([[False], kept])[labels]
    return shown


def _peaks(probability: Probabilities, labels: npt.NDArray[Any], count: int) -> Probabilities:
    return np.asarray(ndimage.maximum(probability, labels, np.arange(1, count + 1)))


def _kept(sizes: npt.NDArray[np.int64], peaks: Probabilities, least: float, peak: float) -> Mask:
    """Which parts are shown, by their voxels and highest probabilities."""
    sure = peaks >= peak
    kept: Mask = np.logical_and(sure, sizes >= least * sizes.max(where=sure, initial=0))
    return kept


def answer(predicted: Mask, target: Mask, *, overlap: float, least_extent: int) -> Answer:
    """Compare a prediction with the truth.

    Lesions are matched one to one, largest overlap first, as in the detection metrics of PASCAL VOC (Everingham et al.,
    IJCV 2010, section 4.2.2) with masks for boxes.

    Args:
        predicted: [*G] bool.
        target: [*G] bool.
        overlap: intersection over union that makes a match.
        least_extent: target lesions with a shorter longest extent do not count, whether found or not.

    Raises:
        ValueError: masks of different shapes.
    """
    if predicted.shape != target.shape:
        raise ValueError(f"masks of shapes {predicted.shape} and {target.shape} cannot be compared")
    both = int(np.count_nonzero(predicted & target))
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(target))
    found, missed, false = PartsOf(predicted, target, predicted, least_extent).lesions(overlap)
    return Answer(both, total - both, total, found, missed, false, not predicted.any())


class PartsOf:
    """The connected parts of a prediction beside the lesions of the truth, to count many choices of parts.

    Args:
        predicted: [*G] bool.
        target: [*G] bool.
        probability: [*G] of each voxel of the prediction.
        least_extent: as in `answer`.
    """

    def __init__(self, predicted: Mask, target: Mask, probability: Probabilities, least_extent: int) -> None:
        guesses, guessed = lesions(predicted)
        truths, true = lesions(target)
        shared = np.zeros((guessed + 1, true + 1), np.int64)
        np.add.at(shared, (guesses.ravel(), truths.ravel()), 1)
        inside, self._sizes = shared[1:, 1:], shared[1:].sum(1)
        self._ratio = inside / np.maximum(self._sizes[:, None] + shared[:, 1:].sum(0)[None] - inside, 1)
        self._counts = np.array([extent(truths == n) >= least_extent for n in range(1, true + 1)], np.bool_)
        self._on_small: Mask = np.asarray((inside[:, ~self._counts] > 0).any(1))
        self._peaks = _peaks(probability, guesses, guessed)

    def lesions(self, overlap: float, least: float = 0.0, peak: float = 0.0) -> tuple[int, int, int]:
        """Found, missed and false lesions where only some parts are shown, see `shown_parts`."""
        kept = _kept(self._sizes, self._peaks, least, peak)
        ratio, counts = self._ratio[kept], self._counts
        taken_guess, taken_truth = np.zeros(len(ratio), np.bool_), np.zeros(len(counts), np.bool_)
        for place in np.argsort(-ratio, axis=None, kind="stable"):
            row, column = divmod(int(place), len(counts))
            if ratio[row, column] < overlap:
                break
            if not taken_guess[row] and not taken_truth[column]:
                taken_guess[row] = taken_truth[column] = True
        false = int((~taken_guess & ~self._on_small[kept]).sum())
        return int((taken_truth & counts).sum()), int((~taken_truth & counts).sum()), false


def _others(ndim: int, axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(ndim) if a != axis)
