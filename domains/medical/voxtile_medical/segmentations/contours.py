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
CROSSING = 0.05  # pixels: how far two edges reach through each other where a contour crosses itself
_BLOCK = 32  # edges that share a bounding box in the search for crossings

Points = npt.NDArray[np.float64]
Plane = npt.NDArray[np.bool_]


def fill(contours: Iterable[Points], shape: tuple[int, int]) -> Plane:
    """Pixels whose centres lie inside an odd number of contours, or on the path of one.

    Args:
        contours: each [N, 2] points (x, y); the last is joined to the first.
        shape: (rows, columns).

    Returns:
        [rows, columns].
    """
    rows, columns = shape
    flips = np.zeros((rows, columns + 1), dtype=np.uint8)
    path = np.zeros(shape, dtype=bool)
    for points in contours:
        starts, ends = points, np.roll(points, -1, axis=0)
        _count_crossings(flips, starts, ends)
        _mark_path(path, starts, ends)
        _mark_path(path.T, starts[:, ::-1], ends[:, ::-1])
    inside: Plane = (np.cumsum(flips, axis=1, dtype=np.uint8)[:, :columns] & 1).astype(bool)
    return inside | path


def crosses_itself(points: Points) -> bool:
    """Two edges of a closed contour that are not neighbours reach through each other.

    Edges that touch or lie on one another (a keyhole's channel) do not count, nor do crossings so slight that rounding
    may have made them.

    Args:
        points: [N, 2].
    """
    starts, ends = points, np.roll(points, -1, axis=0)
    count = len(points)
    firsts = range(0, count, _BLOCK)
    lows = np.array([np.minimum(starts[i : i + _BLOCK], ends[i : i + _BLOCK]).min(axis=0) for i in firsts])
    highs = np.array([np.maximum(starts[i : i + _BLOCK], ends[i : i + _BLOCK]).max(axis=0) for i in firsts])
    meet = ((lows[:, None] <= highs[None]) & (lows[None] <= highs[:, None])).all(axis=2)
    for a, b in zip(*np.nonzero(np.triu(meet)), strict=True):
        one, other = (slice(int(n) * _BLOCK, min(int(n) * _BLOCK + _BLOCK, count)) for n in (a, b))
        if _any_crossing(starts[one], ends[one], starts[other], ends[other]):
            return True
    return False


def _count_crossings(flips: npt.NDArray[np.uint8], starts: Points, ends: Points) -> None:
    """Toggle, in each row that an edge passes, the first pixel to the right of the edge."""
    upper, lower = _downwards(starts, ends)
    edge, row = _rows_of(upper[:, 1], lower[:, 1], len(flips))
    height = lower[:, 1] - upper[:, 1]
    slope = np.divide(lower[:, 0] - upper[:, 0], height, out=np.zeros_like(height), where=height > 0)
    at = upper[edge, 0] + (row - upper[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(at), 0, flips.shape[1] - 1).astype(np.int64)
    np.add.at(flips, (row, column), 1)


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


def _any_crossing(a: Points, b: Points, c: Points, d: Points) -> bool:
    """Whether an edge a→b and an edge c→d reach through each other by more than `CROSSING`; each [N, 2]."""
    ab, cd = _distances(a, b, c, d), _distances(c, d, a, b)
    through = (ab[0] * ab[1] < 0) & (cd[0].T * cd[1].T < 0)
    depth = np.minimum(np.minimum(np.abs(ab[0]), np.abs(ab[1])), np.minimum(np.abs(cd[0].T), np.abs(cd[1].T)))
    return bool((through & (depth > CROSSING)).any())


def _distances(a: Points, b: Points, c: Points, d: Points) -> tuple[Points, Points]:
    """Signed distances of the points c and d from the lines through a and b: [edges of a, edges of c] each."""
    direction = b - a
    length = np.linalg.norm(direction, axis=1)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) / np.where(length > 0, length, np.inf)[:, None]
    offset = (normal * a).sum(axis=1)[:, None]
    return normal @ c.T - offset, normal @ d.T - offset
