"""Soft solid shapes on a voxel grid, in the coordinates of a posed and gently bent body.

A `Frame` ties voxel indices to body coordinates; `ellipsoid` and `capsule` return the small box of voxels that a shape
touches and how much of each voxel it covers, so that painting a lesion costs microseconds and not a pass over the volume.
Body axes: x to the patient's left, y to the back, z to the head, in millimetres. Arrays are [Z, Y, X].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float32]
Point = npt.NDArray[np.float64]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Region:
    """Part of a volume: `box` says where, `weight` [Z, Y, X of the box] how much of each voxel, 0 to 1."""

    box: Box
    weight: Volume

    def times(self, volume: Volume) -> Region:
        """The region limited by a full-size weight volume."""
        return Region(self.box, self.weight * volume[self.box])

    def scaled(self, weight: Volume) -> Region:
        """The region limited by a weight of its own box."""
        return Region(self.box, self.weight * weight)


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
    """

    shape: tuple[int, int, int]
    to_index: Point
    origin_index: Point
    x: Volume
    y: Volume
    z: Volume
    bend: Volume
    slack: float

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
        coordinates = []
        for row, displacement in zip(inverse, bend, strict=True):
            xs, ys, zs = ((coefficient * step).astype(np.float32) for coefficient, step in zip(row, steps, strict=True))
            plane = ys[:, None] + xs
            volume = displacement + plane
            volume += zs[:, None, None]
            coordinates.append(volume)
        slack = float(max(bend.max(), -bend.min()))
        return Frame(shape, to_index, origin_index, *coordinates, bend, slack)

    def index_of(self, point: Point) -> Point:
        """Index (x, y, z order, not rounded) at which a body point is found, the bend undone by iteration."""
        index = self.to_index @ point + self.origin_index
        for _ in range(4):
            nearest = tuple(int(np.clip(round(i), 0, n - 1)) for i, n in zip(index[::-1], self.shape, strict=True))
            index = self.to_index @ (point - self.bend[(slice(None), *nearest)]) + self.origin_index
        return np.asarray(index)

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
        reach = np.sqrt(((self.to_index @ half_axes) ** 2).sum(axis=1))
        reach += (margin + self.slack) * np.sqrt((self.to_index**2).sum(axis=1))
        return (
            self._range(0, middle[2], reach[2]),
            self._range(1, middle[1], reach[1]),
            self._range(2, middle[0], reach[0]),
        )

    def _range(self, axis: int, middle: float, reach: float) -> slice:
        size = self.shape[axis]
        start = min(max(int(np.ceil(middle - reach)), 0), size)
        return slice(start, max(min(int(np.floor(middle + reach)) + 1, size), start))


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
    matrix = np.eye(3) if turn is None else turn
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
    return Region(box, cover((1.0 - radius) * np.float32(sizes.min()), soft))


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
    along = np.clip(dx * d[0] + dy * d[1] + dz * d[2], 0.0, 1.0)
    d = direction.astype(np.float32)
    distance = np.sqrt((dx - along * d[0]) ** 2 + (dy - along * d[1]) ** 2 + (dz - along * d[2]) ** 2)
    return Region(box, cover(np.float32(radius) + along * np.float32(final - radius) - distance, soft))


def cover(depth: Volume, soft: float) -> Volume:
    """Share of a voxel inside a surface, from the depth below it in mm (overwrites `depth`)."""
    depth *= np.float32(1.0 / soft)
    depth += np.float32(0.5)
    return np.clip(depth, 0.0, 1.0, out=depth)
