"""Small 8-bit pictures for people: the three middle planes of a volume side by side, or a reduced X-ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

EDGE = 160  # pixels, the longest edge of one plane
CT_WINDOW = (40.0, 400.0)  # HU centre and width, the usual soft-tissue display
_PERCENTILE_SAMPLES = 20_000  # voxels that the display range is estimated from

Picture = npt.NDArray[np.uint8]


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
    tiles = [_fit(_to_8_bit(plane, low, high), row_mm, column_mm) for plane, row_mm, column_mm in planes]
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, height - tile.shape[0]), (0, 2))) for tile in tiles]
    montage: Picture = np.concatenate(padded, axis=1)
    return montage


def picture_preview(array: npt.NDArray[Any], limits: tuple[float, float] | None = None) -> Picture:
    """A reduced copy of a [Y, X] or [Y, X, 3] picture."""
    if array.ndim == 3:
        return _reduce(array.astype(np.uint8, copy=False), EDGE * 2)
    low, high = limits or display_limits(array)
    return _to_8_bit(_reduce(array, EDGE * 2), low, high)


def display_limits(array: npt.NDArray[Any]) -> tuple[float, float]:
    """1st and 99th percentile of a regular subset of the values."""
    stride = max(1, array.size // _PERCENTILE_SAMPLES)
    values = array.reshape(-1)[::stride].astype(np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def _to_8_bit(plane: npt.NDArray[Any], low: float, high: float) -> Picture:
    scaled = (plane.astype(np.float32) - low) * (255.0 / max(high - low, 1e-12))
    clipped: Picture = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
    return clipped


def _fit(plane: Picture, row_mm: float, column_mm: float) -> Picture:
    """Nearest-neighbour scaling to square pixels with the longest edge at most EDGE."""
    extent = (plane.shape[0] * row_mm, plane.shape[1] * column_mm)
    scale = EDGE / max(*extent, 1e-9)
    rows, columns = (max(1, min(EDGE, round(size * scale))) for size in extent)
    at_row = np.arange(rows) * plane.shape[0] // rows
    at_column = np.arange(columns) * plane.shape[1] // columns
    picked: Picture = plane[np.ix_(at_row, at_column)]
    return picked


def _reduce(picture: npt.NDArray[Any], edge: int) -> npt.NDArray[Any]:
    step = max(1, -(-max(picture.shape[:2]) // edge))
    return np.ascontiguousarray(picture[::step, ::step])
