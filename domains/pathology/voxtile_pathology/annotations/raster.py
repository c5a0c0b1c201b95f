"""Shapes to masks: a pixel belongs to a shape if its centre does, as in GDAL's and rasterio's rasterisation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry


def rasterise(
    geometry: BaseGeometry, box: tuple[float, float, float, float], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Mask of a shape on a grid of pixels.

    Every edge toggles, in each row of centres that it crosses, all pixels to its right; what is toggled an odd number
    of times is inside. A centre exactly on an edge counts for the shape on its left, so that shapes which share edges
    share no pixel.

    Args:
        geometry: polygons (x, y); points and lines have no area and cover nothing.
        box: (x0, y0, x1, y1) of the grid in the geometry's coordinates.
        shape: (rows, columns) of the grid.

    Returns:
        bool [Y, X].
    """
    rows, columns = shape
    x0, y0, x1, y1 = box
    starts, ends = _edges(geometry)
    scale = np.array([columns / (x1 - x0), rows / (y1 - y0)])
    starts, ends = (starts - (x0, y0)) * scale, (ends - (x0, y0)) * scale
    swapped = (starts[:, 1] > ends[:, 1])[:, None]
    low, high = np.where(swapped, ends, starts), np.where(swapped, starts, ends)
    first = np.clip(np.ceil(low[:, 1] - 0.5), 0, rows).astype(np.int64)
    stop = np.clip(np.ceil(high[:, 1] - 0.5), 0, rows).astype(np.int64)
    counts = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    low, high = low[edge], high[edge]
    x = (row + 0.5 - low[:, 1]) * (high[:, 0] - low[:, 0]) / (high[:, 1] - low[:, 1]) + low[:, 0]
    column = np.clip(np.floor(x + 0.5), 0, columns).astype(np.int64)
    toggles = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1))
    inside = np.cumsum(toggles.reshape(rows, columns + 1), axis=1) & 1
    return inside[:, :columns].astype(np.bool_)


def mask_box(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """Box (min y, min x, max y, max x) of a mask's pixels, in half-open pixel edges; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1)


def _edges(geometry: BaseGeometry) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Start and end points [N, 2] of all edges of all rings."""
    rings = [
        shapely.get_coordinates(ring)
        for part in getattr(geometry, "geoms", [geometry])
        if part.geom_type == "Polygon"
        for ring in (part.exterior, *part.interiors)
    ]
    if not rings:
        return np.empty((0, 2)), np.empty((0, 2))
    return np.concatenate([ring[:-1] for ring in rings]), np.concatenate([ring[1:] for ring in rings])
