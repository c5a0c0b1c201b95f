"""Small 8-bit pictures for people: the three middle planes of a volume side by side, or a reduced X-ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.formats.sampling import evenly_spread

EDGE = 160  # pixels, the longest edge of one plane
CT_WINDOW = (40.0, 400.0)  # HU centre and width, the usual soft-tissue display
_GAP = 2  # pixels to the right of each plane
_PERCENTILE_SAMPLES = 20_000  # voxels that the display range is estimated from

Picture = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def volume_preview(
    array: npt.NDArray[Any], spacing: Sequence[float], limits: tuple[float, float] | None = None
) -> Picture:
    """Middle axial, coronal and sagittal planes, seen from the feet, the front and the left.

    Args:
        array: [Z, Y, X], axes nearest up, front, right.
        spacing: mm, (z, y, x).
        limits: stored values shown black and white; None takes the 1st and 99th percentile.
    """
    low, high = limits or display_limits(array)
    z, y, x = (size // 2 for size in array.shape)
    planes = (
        (array[z, ::-1, ::-1], spacing[1], spacing[2]),
        (array[::-1, y, ::-1], spacing[0], spacing[2]),
        (array[::-1, ::-1, x], spacing[0], spacing[1]),
    )
    tiles = [_tile(plane, low, high, row_mm, column_mm) for plane, row_mm, column_mm in planes]
    height, width = max(tile.shape[0] for tile in tiles), sum(tile.shape[1] + _GAP for tile in tiles)
    montage: Picture = np.zeros((height, width), np.uint8)
    left = 0
    for tile in tiles:
        montage[: tile.shape[0], left : left + tile.shape[1]] = tile
        left += tile.shape[1] + _GAP
    return montage


def picture_preview(array: npt.NDArray[Any], limits: tuple[float, float] | None = None) -> Picture:
    """A reduced copy of a [Y, X] or [Y, X, 3] picture."""
    if array.ndim == 3:
        return _reduce(array.astype(np.uint8, copy=False), EDGE * 2)
    low, high = limits or display_limits(array)
    return _to_8_bit(_reduce(array, EDGE * 2), low, high)


def display_limits(array: npt.NDArray[Any]) -> tuple[float, float]:
    """1st and 99th percentile of a regular subset of the values."""
    values = evenly_spread(array, _PERCENTILE_SAMPLES).astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def _tile(plane: npt.NDArray[Any], low: float, high: float, row_mm: float, column_mm: float) -> Picture:
    """A plane in 8 bits with square pixels; scaled first where that leaves fewer values to convert."""
    rows, columns = _picked(plane.shape, row_mm, column_mm)
    if len(rows) * len(columns) < plane.size:
        return _to_8_bit(plane.take(rows, axis=0).take(columns, axis=1), low, high)
    picked: Picture = _to_8_bit(plane, low, high).take(rows, axis=0).take(columns, axis=1)
    return picked


def _to_8_bit(plane: npt.NDArray[Any], low: float, high: float) -> Picture:
    scaled = (plane.astype(np.float32) - low) * (255.0 / max(high - low, 1e-12))
    if plane.dtype.kind == "f":
        scaled = np.nan_to_num(scaled)
    clipped: Picture = scaled.clip(0, 255).astype(np.uint8)
    return clipped


def _picked(shape: Sequence[int], row_mm: float, column_mm: float) -> tuple[Places, Places]:
    """Rows and columns for nearest-neighbour scaling to square pixels with the longest edge at most EDGE."""
    extent = (shape[0] * row_mm, shape[1] * column_mm)
    scale = EDGE / max(*extent, 1e-9)
    rows, columns = (max(1, min(EDGE, round(size * scale))) for size in extent)
    return np.arange(rows) * shape[0] // rows, np.arange(columns) * shape[1] // columns


def _reduce(picture: npt.NDArray[Any], edge: int) -> npt.NDArray[Any]:
    step = max(1, -(-max(picture.shape[:2]) // edge))
    return np.ascontiguousarray(picture[::step, ::step])
