"""A region of the PET from a slice and the SUVmax that is named for it: a seed that agrees, grown by threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

SuvVolume = npt.NDArray[np.float32]
# The first is that of the EANM procedure guidelines for tumour imaging (Boellaard et al., Eur J Nucl Med Mol Imaging
# 42:328, 2015); the others where that flows into something hotter or larger.
THRESHOLDS = (0.41, 0.5, 0.6, 0.7, 0.8)
_CERTAINTY = {0.41: 1.0, 0.5: 0.95, 0.6: 0.85, 0.7: 0.7, 0.8: 0.5}
_REACH_MM = 120.0  # half of the box that a lesion is looked for in
_MOST_ML = 500.0
_FEWEST_VOXELS = 4  # a scanner spreads every source over more: fewer are noise
_CLEAR_CONTRAST = 2.5  # SUVmax over what lies around, from which contrast is no doubt
_ROUNDING = 1e-3  # of the value: float32, and a decimal that is rounded either way


@dataclass(frozen=True)
class Seed:
    """A voxel that has the named value and is the largest about it: index (z, y, x) and value."""

    index: tuple[int, int, int]
    value: float


@dataclass(frozen=True)
class Grown:
    """A lesion.

    Attributes:
        mask: [Z, Y, X] bool, of the whole PET.
        seed: where it was grown from.
        threshold: share of the seed's value down to which it goes.
        volume_ml: its volume.
        contrast: the seed's value over the median of what lies around.
        certainty: 0 to 1: how well value, threshold and contrast fit.
    """

    mask: npt.NDArray[np.bool_]
    seed: Seed
    threshold: float
    volume_ml: float
    contrast: float
    certainty: float


def seeds_in(suv: SuvVolume, slices: Sequence[int], value: float, tolerance: float) -> list[Seed]:
    """Local maxima of the volume (26 neighbours) in some slices whose value agrees with the one that is named."""
    found: dict[tuple[int, int, int], float] = {}
    allowed = tolerance + _ROUNDING * value
    for z in slices:
        low, high = max(z - 1, 0), min(z + 2, len(suv))
        around = ndimage.maximum_filter(suv[low:high], size=3, mode="nearest")[z - low]
        agree = (suv[z] >= around) & (np.abs(suv[z] - value) <= allowed)
        for y, x in np.argwhere(agree).tolist():
            found[(z, y, x)] = float(suv[z, y, x])
    return [Seed(index, found[index]) for index in found]


def largest_in(suv: SuvVolume, slices: Sequence[int]) -> float:
    """Largest value of some slices."""
    return float(max(suv[z].max() for z in slices))


def grow(suv: SuvVolume, seed: Seed, named: float, tolerance: float, spacing: Sequence[float]) -> Grown | None:
    """Grow a seed to what is connected above a share of its value.

    The lowest share counts at which the region holds nothing hotter than the value that is named, stays within reach
    and below half a litre.

    Args:
        suv: [Z, Y, X].
        seed: from `seeds_in`.
        named: the value of the sentence.
        tolerance: half of its last digit.
        spacing: (z, y, x) mm.

    Returns:
        None where no share gives such a region: the seed is on the flank of something hotter, or a speck.
    """
    box = tuple(
        slice(max(i - round(_REACH_MM / s), 0), i + round(_REACH_MM / s) + 1)
        for i, s in zip(seed.index, spacing, strict=True)
    )
    part = suv[box]
    at = tuple(i - b.start for i, b in zip(seed.index, box, strict=True))
    ceiling = max(named + tolerance, seed.value) * (1 + _ROUNDING)
    for share in THRESHOLDS:
        labels, _ = ndimage.label(part >= share * seed.value)
        inside = labels == labels[at]
        volume = float(inside.sum()) * float(np.prod(spacing)) / 1000
        if inside.sum() < _FEWEST_VOXELS:
            return None
        if part[inside].max() <= ceiling and volume <= _MOST_ML and not _at_cut(inside, box, suv.shape):
            mask = np.zeros(suv.shape, bool)
            mask[box] = inside
            contrast = _contrast(part, inside, seed.value)
            agreement = 1 - 0.3 * min(1.0, abs(seed.value - named) / max(tolerance, 1e-6))
            certainty = agreement * _CERTAINTY[share] * min(1.0, contrast / _CLEAR_CONTRAST)
            return Grown(mask, seed, share, volume, contrast, certainty)
    return None


def box_of(mask: npt.NDArray[np.bool_]) -> list[float]:
    """Half-open box of a mask: smallest z, y, x, then largest, at voxel edges."""
    sides = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return [float(side[0]) for side in sides] + [float(side[-1] + 1) for side in sides]


def _at_cut(inside: npt.NDArray[np.bool_], box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """The region reaches a side of the box that is not a side of the volume."""
    for axis, (part, size) in enumerate(zip(box, shape, strict=True)):
        first, last = inside.take(0, axis), inside.take(-1, axis)
        if (part.start > 0 and first.any()) or (part.stop < size and last.any()):
            return True
    return False


def _contrast(part: SuvVolume, inside: npt.NDArray[np.bool_], value: float) -> float:
    near = ndimage.binary_dilation(inside, iterations=1)
    shell = ndimage.binary_dilation(near, iterations=2) & ~near
    around = float(np.median(part[shell])) if shell.any() else 0.0
    return value / max(around, 0.1)
