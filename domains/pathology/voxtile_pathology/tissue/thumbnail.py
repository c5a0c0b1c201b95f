"""A slide at a coarse, exact scale, read block by block so that memory stays small whatever the slide's size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile_pathology.slides.protocol import Box, Picture, Slide, SlideError
from voxtile_pathology.slides.scale import resample_area
from voxtile_pathology.slides.tiles import WHITE

_BLOCK_PX = 1024  # pixels of the level that is read, along each side: 12 MB as float
_LEAST_PX = 64  # of that level: round a damaged tile, pieces down to this side are tried
_MOST_DAMAGED = 64  # pieces; a slide with more of them is refused
MAX_PIXELS = 1 << 26  # of a thumbnail: 65 × 65 mm at 8 µm


@dataclass(frozen=True)
class Thumbnail:
    """The whole of level 0 at one scale.

    Attributes:
        picture: [Y, X, 3] RGB; white beyond the slide's right and lower edge, where a pixel reaches over it.
        mpp: micrometres a pixel (x, y).
        factor: level-0 pixels a pixel (x, y).
        unreadable: [Y, X] bool, where the slide's tiles are damaged and the picture is white.
    """

    picture: Picture
    mpp: tuple[float, float]
    factor: tuple[float, float]
    unreadable: npt.NDArray[np.bool_]


def read_thumbnail(slide: Slide, slide_mpp: tuple[float, float], mpp: float) -> Thumbnail:
    """Read a slide at `mpp` micrometres a pixel, or at its own scale where that is coarser.

    Args:
        slide: an open slide.
        slide_mpp: micrometres a pixel of level 0 (x, y).
        mpp: the scale wanted.

    Raises:
        SlideError: most of the pixels cannot be read, or there would be too many.
    """
    factor = (max(1.0, mpp / slide_mpp[0]), max(1.0, mpp / slide_mpp[1]))
    width, height = (math.ceil(side / f) for side, f in zip(slide.levels[0].size, factor, strict=True))
    if width * height > MAX_PIXELS:
        raise SlideError(
            f"{slide.path.name} has {width:,} x {height:,} pixels at {mpp:g} µm, too many for a tissue mask; "
            "ask for a coarser --tissue-mpp"
        )
    level = _level_for(slide, factor)
    downsample = slide.levels[level].downsample
    step = (factor[0] / downsample[0], factor[1] / downsample[1])
    side = (max(1, int(_BLOCK_PX / step[0])), max(1, int(_BLOCK_PX / step[1])))
    picture = np.full((height, width, 3), WHITE, np.uint8)
    damaged: list[tuple[Box, SlideError]] = []
    for top in range(0, height, side[1]):
        bottom = min(top + side[1], height)
        for left in range(0, width, side[0]):
            right = min(left + side[0], width)
            _fill(picture, damaged, slide, level, step, (left, top, right, bottom))
    unreadable = np.zeros((height, width), bool)
    for (left, top, right, bottom), _ in damaged:
        unreadable[top:bottom, left:right] = True
    if damaged and unreadable.all():
        raise damaged[0][1]
    return Thumbnail(picture, (factor[0] * slide_mpp[0], factor[1] * slide_mpp[1]), factor, unreadable)


def _fill(
    picture: Picture,
    damaged: list[tuple[Box, SlideError]],
    slide: Slide,
    level: int,
    step: tuple[float, float],
    box: Box,
) -> None:
    """Read a box of the thumbnail, or where that fails its quarters: a damaged tile costs its own place only."""
    left, top, right, bottom = box
    try:
        picture[top:bottom, left:right] = _read_block(slide, level, step, box)
    except SlideError as error:
        x, y = (left + right) // 2, (top + bottom) // 2
        if (right - left) * step[0] <= _LEAST_PX or (bottom - top) * step[1] <= _LEAST_PX or left == x or top == y:
            damaged.append((box, error))
            if len(damaged) > _MOST_DAMAGED:
                raise
            return
        for quarter in ((left, top, x, y), (x, top, right, y), (left, y, x, bottom), (x, y, right, bottom)):
            _fill(picture, damaged, slide, level, step, quarter)


def _level_for(slide: Slide, factor: tuple[float, float]) -> int:
    """The coarsest level that is not coarser than the thumbnail."""
    fitting = [
        index
        for index, level in enumerate(slide.levels)
        if all(d <= f * (1 + 1e-6) for d, f in zip(level.downsample, factor, strict=True))
    ]
    return max(fitting, key=lambda index: slide.levels[index].downsample, default=0)


def _read_block(slide: Slide, level: int, step: tuple[float, float], box: Box) -> Picture:
    """Pixels of the thumbnail's box, from the pixels of the level that they cover."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    if step == (1.0, 1.0):
        return slide.read(level, box)
    # Where a pixel is enlarged (step < 1) its neighbours count; elsewhere one more would cost a row of tiles.
    margin = int(min(step) < 1)
    x0, y0 = math.floor(left * step[0]) - margin, math.floor(top * step[1]) - margin
    x1, y1 = math.ceil(right * step[0]) + margin, math.ceil(bottom * step[1]) + margin
    pixels = slide.read(level, (x0, y0, x1, y1))
    return resample_area(pixels, (left * step[0] - x0, top * step[1] - y0), step, size)
