"""Patches at a given scale: the best level above is read once and resampled once, by area, unless it is near enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from voxtile_pathology.slides.protocol import Picture, Slide, SlideError

if TYPE_CHECKING:
    from scipy import sparse

# Scanners state 0.5034 for what everyone calls 0.5; a patch may be enlarged this much, but detail is not made up.
MAX_ENLARGEMENT = 1.1
_SAME_SCALE = 1e-6


@dataclass(frozen=True)
class PatchScale:
    """How patches of one slide are read.

    Attributes:
        mpp: micrometres a pixel of the patch (x, y).
        patch_px: width and height of a patch in its own pixels.
        extent: width and height of a patch in level-0 pixels; not a whole number in general.
        level: the coarsest level that is at least as fine as the patch.
        factor: pixels of `level` a pixel of the patch (x, y); 1 where nothing is resampled.
    """

    mpp: tuple[float, float]
    patch_px: int
    extent: tuple[float, float]
    level: int
    factor: tuple[float, float]

    @property
    def native(self) -> bool:
        """Whether patches are the level's own pixels."""
        return self.factor == (1.0, 1.0)


def patch_scale(
    slide: Slide, mpp: float | None, patch_px: int, *, slide_mpp: tuple[float, float], tolerance: float = 0.0
) -> PatchScale:
    """Choose the level for patches of a given scale.

    Args:
        slide: an open slide.
        mpp: micrometres a pixel wanted, along x and y; None for the pixels of level 0 as they are.
        patch_px: width and height of a patch in pixels.
        slide_mpp: micrometres a pixel of level 0, from `resolution.slide_mpp`.
        tolerance: relative difference of scale up to which a level's pixels count as the wanted ones and are not
            resampled, e.g. 0.01; the patch then states the level's own mpp.

    Raises:
        SlideError: the slide is coarser than what is wanted.
    """
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise SlideError(f"{mpp} µm a pixel is not a scale; give a positive number, such as 0.5")
    # x and y apart: level-0 pixels a pixel of the patch.
    wanted = (1.0, 1.0) if mpp is None else (mpp / slide_mpp[0], mpp / slide_mpp[1])
    level = _best_level(slide, wanted, max(tolerance, _SAME_SCALE))
    downsample = slide.levels[level].downsample
    factor = (wanted[0] / downsample[0], wanted[1] / downsample[1])
    if min(factor) < 1 / MAX_ENLARGEMENT:
        raise SlideError(
            f"{slide.path.name} has {max(slide_mpp):g} µm a pixel, coarser than the {mpp:g} asked for; "
            f"ask for --mpp {max(slide_mpp):g} or more, or leave the slide out"
        )
    if all(abs(value - 1) <= max(tolerance, _SAME_SCALE) for value in factor):
        factor, wanted = (1.0, 1.0), downsample
    extent = (patch_px * wanted[0], patch_px * wanted[1])
    return PatchScale((wanted[0] * slide_mpp[0], wanted[1] * slide_mpp[1]), patch_px, extent, level, factor)


def read_patch(slide: Slide, corner: tuple[float, float], scale: PatchScale) -> Picture:
    """Read one patch.

    Args:
        slide: an open slide.
        corner: x and y of the patch's upper left corner in level-0 pixels; fractions count where the patch is
            resampled, and are rounded to the level's pixel where it is not.
        scale: from `patch_scale`.

    Returns:
        [patch_px, patch_px, 3]; what lies outside the slide is white.

    Raises:
        SlideError: the pixels cannot be decoded.
    """
    side, downsample = scale.patch_px, slide.levels[scale.level].downsample
    x, y = corner[0] / downsample[0], corner[1] / downsample[1]
    if scale.native:
        left, top = round(x), round(y)
        return slide.read(scale.level, (left, top, left + side, top + side))
    # Rounding away float noise of the divisions keeps a patch on the pixel grid exactly there.
    x, y = round(x, 6), round(y, 6)
    columns = _span(x, scale.factor[0], side)
    rows = _span(y, scale.factor[1], side)
    pixels = slide.read(scale.level, (columns[0], rows[0], columns[1], rows[1]))
    return resample_area(pixels, (x - columns[0], y - rows[0]), scale.factor, (side, side))


def resample_area(
    pixels: Picture, offset: tuple[float, float], factor: tuple[float, float], size: tuple[int, int]
) -> Picture:
    """Mean over the area of each new pixel, fractions of pixels counted by their share.

    Along an axis with `factor` below one, where a new pixel lies inside an old one, values are interpolated linearly.

    Args:
        pixels: [Y, X, 3].
        offset: x and y of the new picture's corner, in pixels of `pixels`.
        factor: pixels a new pixel, along x and y.
        size: width and height of the new picture.

    Returns:
        [size[1], size[0], 3].
    """
    height, width, channels = pixels.shape
    across = _weights(round(offset[0], 6), factor[0], size[0], width)
    down = _weights(round(offset[1], 6), factor[1], size[1], height)
    reduced = down @ pixels.reshape(height, width * channels).astype(np.float32)
    turned = reduced.reshape(size[1], width, channels).transpose(1, 0, 2).reshape(width, size[1] * channels)
    result = (across @ turned).reshape(size[0], size[1], channels).transpose(1, 0, 2)
    return np.ascontiguousarray(np.rint(result).astype(np.uint8))


def _best_level(slide: Slide, wanted: tuple[float, float], tolerance: float) -> int:
    best = 0
    for index, level in enumerate(slide.levels):
        fits = all(d <= w * (1 + tolerance) for d, w in zip(level.downsample, wanted, strict=True))
        if fits and level.downsample > slide.levels[best].downsample:
            best = index
    return best


def _span(start: float, factor: float, count: int) -> tuple[int, int]:
    """First and one-past-last pixel that `count` new pixels of `factor` pixels from `start` touch."""
    if factor >= 1:
        return math.floor(start), math.ceil(round(start + factor * count, 6))
    return math.floor(start + factor / 2 - 0.5), math.floor(start + factor * (count - 0.5) - 0.5) + 2


@lru_cache(maxsize=64)
def _weights(start: float, factor: float, count: int, length: int) -> sparse.csr_array:
    """[count, length] share of each old pixel in each new one; rows sum to one."""
    from scipy import sparse  # late: it takes a third of a second, and slides at their own resolution need none

    step = factor * np.arange(count)
    if factor >= 1:
        begin, end = start + step, start + step + factor
        old = np.floor(begin).astype(np.int64)[:, None] + np.arange(math.ceil(factor) + 1)
        share = np.minimum(end[:, None], old + 1.0) - np.maximum(begin[:, None], old)
    else:
        centre = start + step + factor / 2 - 0.5
        old = np.floor(centre).astype(np.int64)[:, None] + np.arange(2)
        share = 1 - abs(centre[:, None] - old)
    share = np.where((old >= 0) & (old < length), np.maximum(share, 0), 0)
    share /= share.sum(axis=1, keepdims=True)
    rows = np.arange(0, share.size + 1, share.shape[1])
    columns = np.clip(old, 0, length - 1)
    return sparse.csr_array((share.astype(np.float32).ravel(), columns.ravel(), rows), shape=(count, length))
