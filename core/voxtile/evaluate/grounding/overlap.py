"""How well one predicted mask answers one phrase: overlap, lesions found, the place of the peak, silence where due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


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
    """Connected parts, neighbours by corners too: labels and their number."""
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return labels, int(count)


def without_small(mask: Mask, least: float) -> Mask:
    """The mask without its connected parts of fewer voxels than this share of the largest part."""
    if not least or not mask.any():
        return mask
    labels, _ = lesions(mask)
    sizes = np.bincount(labels.ravel())[1:]
    kept: Mask = np.concatenate([[False], sizes >= least * sizes.max()])[labels]
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
    found, missed, false = _matched(predicted, target, overlap, least_extent)
    return Answer(both, total - both, total, found, missed, false, not predicted.any())


def _matched(predicted: Mask, target: Mask, overlap: float, least_extent: int) -> tuple[int, int, int]:
    guesses, guessed = lesions(predicted)
    truths, true = lesions(target)
    counts = np.array([extent(truths == number) >= least_extent for number in range(1, true + 1)], np.bool_)
    if not guessed or not true:
        return 0, int(counts.sum()), guessed
    shared = np.zeros((guessed + 1, true + 1), np.int64)
    np.add.at(shared, (guesses.ravel(), truths.ravel()), 1)
    inside = shared[1:, 1:]
    union = shared[1:].sum(1)[:, None] + shared[:, 1:].sum(0)[None] - inside
    ratio = inside / union
    taken_guess, taken_truth = np.zeros(guessed, np.bool_), np.zeros(true, np.bool_)
    for place in np.argsort(-ratio, axis=None, kind="stable"):
        row, column = divmod(int(place), true)
        if ratio[row, column] < overlap:
            break
        if not taken_guess[row] and not taken_truth[column]:
            taken_guess[row] = taken_truth[column] = True
    on_small = (inside[:, ~counts] > 0).any(1)
    false = int((~taken_guess & ~on_small).sum())
    return int((taken_truth & counts).sum()), int((~taken_truth & counts).sum()), false


def _others(ndim: int, axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(ndim) if a != axis)
