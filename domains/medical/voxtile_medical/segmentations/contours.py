"""Planar contours to pixels: the voxel-centre test, even-odd over all contours of a plane.

Source: DICOM PS3.3 C.8.8.6.3. All contours of an ROI on one plane are combined by exclusive disjunction, in which order
does not matter; that serves the XOR technique, nested contours, and the keyhole technique, where one contour runs
through a channel of no width to an inner border. Points on a contour's path are part of the ROI.

Coordinates are pixel indices (x, y): the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

ON_PATH = 1e-4  # pixels: coordinates are written with three to six decimals

Points = npt.NDArray[np.float64]
Plane = npt.NDArray[np.bool_]


class SelfCrossingError(ValueError):
    """A contour winds round some pixels twice, or round some to the left and round others to the right."""


def fill(contours: Iterable[Points], shape: tuple[int, int], *, with_path: bool = True) -> Plane:
    """Pixels whose centres lie inside an odd number of contours, or on the path of one.

    Args:
        contours: each [N, 2] points (x, y); the last is joined to the first.
        shape: (rows, columns).
        with_path: pixels on the path of a contour belong to it; otherwise it runs just outside.

    Returns:
        [rows, columns].

    Raises:
        SelfCrossingError: a contour crosses itself round a pixel's centre. Loops that hold no centre decide nothing.
    """
    inside, path = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for points in contours:
        low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, shape[::-1])
        high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 0, shape[::-1])
        if (high <= low).any():
            continue
        window = slice(low[1], high[1]), slice(low[0], high[0])
        winding, on = _wind(points - low, (int(high[1] - low[1]), int(high[0] - low[0])))
        certain = winding[~on]
        if certain.size and (certain.max() > 1 or certain.min() < -1 or certain.max() - certain.min() > 1):
            raise SelfCrossingError
        inside[window] ^= winding != 0
        path[window] |= on
    return inside | path if with_path else inside & ~path


def _wind(points: Points, shape: tuple[int, int]) -> tuple[npt.NDArray[np.int32], Plane]:
    """How often a contour runs round each pixel's centre, and the centres that lie on it."""
    path = np.zeros(shape, dtype=bool)
    starts, ends = points, np.roll(points, -1, axis=0)
    turns = _crossings(starts, ends, shape)
    _mark_path(path, starts, ends)
    _mark_path(path.T, starts[:, ::-1], ends[:, ::-1])
    winding: npt.NDArray[np.int32] = np.cumsum(turns, axis=1, dtype=np.int32)[:, : shape[1]]
    return winding, path


def _crossings(starts: Points, ends: Points, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """In each row that an edge passes, +1 or -1 (by its direction) at the first pixel to the right of the edge."""
    turns = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    upper, lower = _downwards(starts, ends)
    edge, row = _rows_of(upper[:, 1], lower[:, 1], shape[0])
    height = lower[:, 1] - upper[:, 1]
    slope = np.divide(lower[:, 0] - upper[:, 0], height, out=np.zeros_like(height), where=height > 0)
    at = upper[edge, 0] + (row - upper[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(at), 0, shape[1]).astype(np.int64)
    np.add.at(turns, (row, column), np.where(starts[edge, 1] <= ends[edge, 1], 1, -1))
    return turns


def _mark_path(path: Plane, starts: Points, ends: Points) -> None:
    """Mark the pixel centres that lie on edges that pass more rows than columns; the others come transposed."""
    upper, lower = _downwards(starts, ends)
    height, width = lower[:, 1] - upper[:, 1], lower[:, 0] - upper[:, 0]
    steep = (height >= np.abs(width)) & (height > 0)
    upper, lower, height, width = upper[steep], lower[steep], height[steep], width[steep]
    edge, row = _rows_of(upper[:, 1] - ON_PATH, lower[:, 1] + ON_PATH, len(path))
    along = np.clip((row - upper[edge, 1]) / height[edge], 0, 1)
    at = upper[edge, 0] + along * width[edge]
    near = np.rint(at)
    on = (np.abs(at - near) <= ON_PATH) & (near >= 0) & (near < path.shape[1])
    path[row[on], near[on].astype(np.int64)] = True


def _downwards(starts: Points, ends: Points) -> tuple[Points, Points]:
    """The same edges, each from its smaller to its larger y."""
    falls = (starts[:, 1] <= ends[:, 1])[:, None]
    return np.where(falls, starts, ends), np.where(falls, ends, starts)


def _rows_of(upper: Points, lower: Points, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One entry for each edge and row y with upper ≤ y < lower: the edge's index, and the row."""
    first = np.clip(np.ceil(upper), 0, rows).astype(np.int64)
    counts = np.maximum(np.clip(np.ceil(lower), 0, rows).astype(np.int64) - first, 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(counts.sum()) - (np.cumsum(counts) - counts)[edge] + first[edge]
    return edge, row
