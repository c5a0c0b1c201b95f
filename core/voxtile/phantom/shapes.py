"""Soft solid shapes on a voxel grid, in the coordinates of a posed and gently bent body.

A `Frame` ties voxel indices to body coordinates; `ellipsoid` and `capsule` return the small box of voxels that a shape
touches and how much of each voxel it covers: painting a lesion costs microseconds and not a pass over the volume.
Body axes: x to the patient's left, y to the back, z to the head, in millimetres. Arrays are [Z, Y, X].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Volume: TypeAlias = npt.NDArray[np.float32]
Point: TypeAlias = npt.NDArray[np.float64]
Box: TypeAlias = tuple[slice, slice, slice]

_UPRIGHT = np.eye(3)


@dataclass(frozen=True)
class Region:
    """Part of a volume: `box` says where, `weight` [Z, Y, X of the box] how much of each voxel, 0 to 1."""

    box: Box
    weight: Volume

    def times(self, volume: Volume) -> Region:
        """The region limited by a full-size weight volume."""
        return Region(self.box, self.weight * volume[self.box])

    def scaled(self, weight: npt.NDArray[Any] | float) -> Region:
        """The region limited by a weight of its own box, or made thinner by a factor."""
        return Region(self.box, np.asarray(self.weight * weight, np.float32))


@dataclass(frozen=True)
class Frame:
    """Voxel grid of one scan of one body.

    Attributes:
        shape: (Z, Y, X).
        to_index: [3, 3] body mm to index, both in (x, y, z) order.
        origin_index: [3] index of the body's origin, (x, y, z) order.
        x, y, z: [Z, Y, X] body coordinates of every voxel centre, bend included.
        bend: [3, Z, Y, X] what the bend adds to the coordinates (x, y, z), mm.
        slack: largest |bend|, mm.
        reach: [3] voxels that a sphere of 1 mm reaches along each index axis, (x, y, z) order.
    """

    shape: tuple[int, int, int]
    to_index: Point
    origin_index: Point
    x: Volume
    y: Volume
    z: Volume
    bend: Volume
    slack: float
    reach: Point

    @staticmethod
    def of(shape: tuple[int, int, int], to_index: Point, origin_index: Point, bend: Volume) -> Frame:
        """Compute the coordinates of every voxel.

        Args:
            shape: (Z, Y, X).
            to_index: [3, 3] body mm to index, (x, y, z) order.
            origin_index: [3] index of the body's origin, (x, y, z) order.
            bend: [3, Z, Y, X] smooth displacement in mm.
        """
        inverse = np.linalg.inv(to_index)
        steps = [np.arange(n, dtype=np.float64) - o for n, o in zip(shape[::-1], origin_index, strict=True)]
        x, y, z = (_coordinate(row, steps, displacement) for row, displacement in zip(inverse, bend, strict=True))
        slack = float(max(bend.max(), -bend.min()))
        reach = np.sqrt((to_index**2).sum(axis=1))
        return Frame(shape, to_index, origin_index, x, y, z, bend, slack, reach)

    def index_of(self, point: Point) -> Point:
        """Index (x, y, z order, not rounded) at which a body point is found, the bend undone by iteration."""
        index = self.to_index @ point + self.origin_index
        for _ in range(4):
            z, y, x = (min(max(round(i), 0), n - 1) for i, n in zip(index[::-1].tolist(), self.shape, strict=True))
            index = self.to_index @ (point - self.bend[:, z, y, x].astype(np.float64)) + self.origin_index
        return np.asarray(index, np.float64)

    def sample(self, volume: npt.NDArray[np.generic], point: Point) -> float:
        """Value of the voxel nearest to a body point; 0 outside the grid."""
        index = [round(float(i)) for i in self.index_of(point)[::-1]]
        if any(i < 0 or i >= n for i, n in zip(index, self.shape, strict=True)):
            return 0.0
        return float(volume[tuple(index)])

    def box(self, centre: Point, half_axes: Point, margin: float) -> Box:
        """Index box that holds an ellipsoid.

        Args:
            centre: [3] body mm.
            half_axes: [3, 3] half axes as columns, body mm.
            margin: extra mm on every side.
        """
        middle = self.to_index @ centre + self.origin_index
        reach = np.sqrt(((self.to_index @ half_axes) ** 2).sum(axis=1)) + (margin + self.slack) * self.reach
        low, high = (middle - reach).tolist(), (middle + reach).tolist()
        z, y, x = self.shape
        return _range(low[2], high[2], z), _range(low[1], high[1], y), _range(low[0], high[0], x)


def _coordinate(row: Point, steps: list[Point], displacement: Volume) -> Volume:
    """One body coordinate of every voxel: a plane through the grid, and the bend."""
    xs, ys, zs = ((coefficient * step).astype(np.float32) for coefficient, step in zip(row, steps, strict=True))
    volume: Volume = displacement + (ys[:, None] + xs)
    volume += zs[:, None, None]
    return volume


def _range(low: float, high: float, size: int) -> slice:
    start = min(max(math.ceil(low), 0), size)
    return slice(start, max(min(math.floor(high) + 1, size), start))


def rotation(axis: int, degrees: float) -> Point:
    """[3, 3] rotation about body axis 0, 1 or 2 (x, y, z)."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def ellipsoid(
    frame: Frame,
    centre: npt.ArrayLike,
    radii: npt.ArrayLike,
    *,
    turn: Point | None = None,
    soft: float = 5.0,
) -> Region:
    """Cover of a solid ellipsoid.

    Args:
        frame: the grid.
        centre: [3] body mm.
        radii: [3] half axes, mm.
        turn: [3, 3] rotation of the half axes; None for axes along the body.
        soft: width of the soft edge, mm (about a voxel stands for partial volume).
    """
    middle, sizes = np.asarray(centre, np.float64), np.asarray(radii, np.float64)
    matrix = _UPRIGHT if turn is None else turn
    box = frame.box(middle, matrix * sizes, soft)
    dx, dy, dz = (
        frame.x[box] - np.float32(middle[0]),
        frame.y[box] - np.float32(middle[1]),
        frame.z[box] - np.float32(middle[2]),
    )
    if turn is not None:
        t = matrix.astype(np.float32)
        dx, dy, dz = (dx * t[0, k] + dy * t[1, k] + dz * t[2, k] for k in range(3))
    scale = (1.0 / sizes).astype(np.float32)
    radius = np.sqrt((dx * scale[0]) ** 2 + (dy * scale[1]) ** 2 + (dz * scale[2]) ** 2)
    return Region(box, cover((np.float32(1) - radius) * np.float32(sizes.min()), soft))


def capsule(
    frame: Frame,
    start: npt.ArrayLike,
    stop: npt.ArrayLike,
    radius: float,
    *,
    end_radius: float | None = None,
    soft: float = 5.0,
) -> Region:
    """Cover of a tube with round ends that tapers from `radius` to `end_radius` (mm)."""
    first, last = np.asarray(start, np.float64), np.asarray(stop, np.float64)
    final = radius if end_radius is None else end_radius
    direction = last - first
    length = max(float(direction @ direction), 1e-6)
    half_axes = np.zeros((3, 3))
    half_axes[:, 0] = direction / 2
    box = frame.box((first + last) / 2, half_axes, max(radius, final) + soft)
    dx, dy, dz = (
        frame.x[box] - np.float32(first[0]),
        frame.y[box] - np.float32(first[1]),
        frame.z[box] - np.float32(first[2]),
    )
    d = (direction / length).astype(np.float32)
    along = dx * d[0] + dy * d[1] + dz * d[2]
    np.minimum(np.maximum(along, 0, out=along), 1, out=along)
    d = direction.astype(np.float32)
    distance = np.sqrt((dx - along * d[0]) ** 2 + (dy - along * d[1]) ** 2 + (dz - along * d[2]) ** 2)
    return Region(box, cover(np.float32(radius) + along * np.float32(final - radius) - distance, soft))


def cover(depth: npt.NDArray[Any], soft: float) -> Volume:
    """Share of a voxel inside a surface, from the depth below it in mm (overwrites `depth`)."""
    depth *= np.float32(1.0 / soft)
    depth += np.float32(0.5)
    np.maximum(depth, 0, out=depth)
    np.minimum(depth, 1, out=depth)
    return depth
