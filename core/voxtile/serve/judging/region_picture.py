"""A region in its picture: outlined and tinted, of a volume in the plane that shows most of it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import StoredArray
from voxtile.corpus.source import StoredSample
from voxtile.formats.display import BandPicture
from voxtile.formats.pictures import planes
from voxtile.formats.pictures.encode import jpeg
from voxtile.formats.pictures.picture import grid_of, mask_picture, whole_picture
from voxtile.formats.pictures.values import size_along
from voxtile.stages.inspect.regions import COLOURS

_LARGEST = 1024  # pixels of a side
_SMALLEST = 384
_SLAB = 16  # planes of a mask that are read at a time
_COLOUR = COLOURS[0]


def region_picture(
    corpus: Corpus, source: StoredSample, region: Mapping[str, Any], bands: BandPicture | None = None
) -> bytes:
    """JPEG of at most 1,024 pixels a side.

    Args:
        corpus: that holds the mask.
        source: the sample.
        region: a row of the table `regions`.
        bands: how a scene is shown.

    Raises:
        ConfigError: the picture is too large.
        CorpusError: the sample or the mask cannot be read.
    """
    meta = source.meta
    if planes.is_volume(meta):
        index = _plane_of(corpus, meta, region)
        grey = planes.plane(source, "axial", index, planes.volume_windows(source)[0])
        shown = Image.fromarray(planes.tinted(grey, corpus, meta, [region], [_COLOUR], "axial", index))
        corners = _corners(region, 3)
        # Planes hang with the front at the top and the right on the left, against the order of the array.
        corners = [(shown.width - x, shown.height - y) for x, y in corners]
        stack = planes.plane_stacks(meta)[0]
        tall = stack.height_mm * shown.width / (stack.width_mm * shown.height)  # a pixel's height by its width
    else:
        shown = Image.open(io.BytesIO(whole_picture(source, bands)[0]), formats=["JPEG", "PNG"]).convert("RGB")
        mask = corpus.mask(region)
        if mask is not None and np.ndim(mask) == 2:
            tint = Image.fromarray(mask_picture(mask, grid_of(meta), _COLOUR))
            shown.paste(tint, (0, 0), tint)
        corners, tall = _corners(region, 2), 1.0
    return jpeg(_outlined(shown, corners, tall))


def _outlined(shown: Image.Image, corners: Sequence[tuple[float, float]], tall: float) -> Image.Image:
    """Scaled to what a page shows, in which a pixel is `tall` times as high as wide, with the box over it."""
    across, down = max(1.0, 1 / tall), max(1.0, tall)
    longest = max(shown.width * across, shown.height * down)
    scale = min(_LARGEST / longest, max(1.0, _SMALLEST / longest))
    across, down = across * scale, down * scale
    size = (max(1, round(shown.width * across)), max(1, round(shown.height * down)))
    resized = shown.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
    if corners:
        ImageDraw.Draw(resized).polygon([(x * across, y * down) for x, y in corners], outline=_COLOUR, width=2)
    return resized


def _corners(region: Mapping[str, Any], axes: int) -> list[tuple[float, float]]:
    """(x, y) of the corners of a box in array order; none where there is no such box."""
    box = region.get("box") or []
    if len(box) != 2 * axes:
        return []
    y0, x0, y1, x1 = box[axes - 2], box[axes - 1], box[2 * axes - 2], box[2 * axes - 1]
    middle_y, middle_x, turn = (y0 + y1) / 2, (x0 + x1) / 2, math.radians(region.get("angle") or 0.0)
    found = []
    for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
        right, down = x - middle_x, y - middle_y  # rows go down, so that counter-clockwise is against them
        found.append(
            (
                middle_x + right * math.cos(turn) + down * math.sin(turn),
                middle_y - right * math.sin(turn) + down * math.cos(turn),
            )
        )
    return found


def _plane_of(corpus: Corpus, meta: Mapping[str, Any], region: Mapping[str, Any]) -> int:
    """The axial plane with most of a region; the middle of its box, or of the volume, where it has no mask."""
    count = size_along(meta, "Z")
    stored = corpus.stored_mask(region)
    if stored is not None and len(stored.shape) == 3:
        covered = _covered(stored)
        if covered.any():
            return min(count - 1, int((np.argmax(covered) + 0.5) * count / len(covered)))
    box = region.get("box") or []
    return min(count - 1, max(0, int((box[0] + box[3]) / 2))) if len(box) == 6 else count // 2


def _covered(stored: StoredArray) -> npt.NDArray[np.int64]:
    """[Z] how much of each plane a mask covers."""
    starts = range(0, stored.shape[0], _SLAB)
    return np.concatenate([(stored[start : start + _SLAB] > 0).sum(axis=(1, 2)) for start in starts])
