"""A region's mask cut down to its bounding box, so that work is done where the region is and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile_medical.measurements.grid import Grid, Indices, Points

Bits = npt.NDArray[np.bool_]
_ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
_SLICE_NEIGHBOURS = np.zeros((3, 3, 3), dtype=bool)
_SLICE_NEIGHBOURS[1] = True


@dataclass(frozen=True, eq=False)
class Shape:
    """A mask inside its bounding box.

    Attributes:
        grid: of the whole volume.
        start: (z, y, x) of the box's first voxel.
        bits: [Z, Y, X] bool, true somewhere on every side of the box.
        ends_early: it ends where its mask file does, inside the volume.
    """

    grid: Grid
    start: tuple[int, int, int]
    bits: Bits
    ends_early: bool = False

    @property
    def stop(self) -> tuple[int, int, int]:
        """(z, y, x) one past the box's last voxel."""
        z, y, x = (first + size for first, size in zip(self.start, self.bits.shape, strict=True))
        return z, y, x

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the box lies in the volume."""
        z, y, x = (slice(first, last) for first, last in zip(self.start, self.stop, strict=True))
        return z, y, x

    @cached_property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.bits))

    @cached_property
    def volume_ml(self) -> float:
        """Number of voxels times the volume of one, in ml."""
        return self.voxels * self.grid.voxel_mm3 / 1000

    @cached_property
    def centroid(self) -> Points:
        """[3] RAS+ mm: mean of the voxel centres."""
        sums = [
            float(np.arange(size) @ np.count_nonzero(self.bits, axis=tuple(a for a in range(3) if a != axis)))
            for axis, size in enumerate(self.bits.shape)
        ]
        index = np.array(sums) / self.voxels + self.start
        place: Points = self.grid.places(index[None])[0]
        return place

    @cached_property
    def cut_off(self) -> bool:
        """The region reaches the border of the volume, or of its mask file, so that part of it may lie outside."""
        return self.ends_early or any(
            a == 0 or b == n for a, b, n in zip(self.start, self.stop, self.grid.shape, strict=True)
        )

    @cached_property
    def rows(self) -> tuple[Indices, Indices, Indices, Indices]:
        """z, y, first x and last x of every row (along x) that the region touches, in the volume's indices."""
        touched = self.bits.any(axis=2)
        z, y = np.nonzero(touched)
        lines = self.bits[z, y]
        first = lines.argmax(axis=1)
        last = lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
        return z + self.start[0], y + self.start[1], first + self.start[2], last + self.start[2]

    @cached_property
    def runs(self) -> tuple[Indices, Indices, Indices, Indices, Indices]:
        """z, y, first x, last x and section of every run of voxels along x, in the volume's indices, by section.

        A section is what is connected in one slice by edges or corners of pixels.
        """
        sections, _ = ndimage.label(self.bits, _SLICE_NEIGHBOURS)
        change = np.diff(np.pad(self.bits, ((0, 0), (0, 0), (1, 1))).view(np.int8), axis=2)
        z, y, first = np.nonzero(change == 1)
        last = np.nonzero(change == -1)[2] - 1
        section = sections[z, y, first].astype(np.int64)
        order = np.argsort(section, kind="stable")
        z0, y0, x0 = self.start
        return z[order] + z0, y[order] + y0, first[order] + x0, last[order] + x0, section[order]

    @cached_property
    def surface(self) -> Indices:
        """[N, 3] voxels (z, y, x) with a face, edge or corner neighbour outside the region."""
        inner = ndimage.binary_erosion(self.bits, _ALL_NEIGHBOURS)
        found: Indices = np.argwhere(self.bits & ~inner) + np.array(self.start)
        return found

    def components(self, limit: int | None = None) -> tuple[list[Shape], int]:
        """Connected parts (26 neighbours), largest first, ties in array order.

        Args:
            limit: how many to return at most.

        Returns:
            The parts, and how many there are in all.
        """
        labels, count = ndimage.label(self.bits, _ALL_NEIGHBOURS)
        if count == 1:
            return [self], 1
        sizes = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
        order = np.argsort(-sizes, kind="stable")[:limit]
        boxes = ndimage.find_objects(labels)
        parts = []
        for number in order:
            box = boxes[number]
            start = tuple(first + part.start for first, part in zip(self.start, box, strict=True))
            parts.append(Shape(self.grid, start, labels[box] == number + 1))
        return parts, count


def shape_of_mask(mask: npt.NDArray[Any], grid: Grid, corner: Sequence[int] = (0, 0, 0)) -> Shape | None:
    """Cut a mask down to its bounding box; None where it is empty.

    Args:
        mask: [Z, Y, X] of the volume, or of a part of it that holds the whole region; non-zero inside.
        grid: of the volume.
        corner: (z, y, x) in the volume of the mask's first voxel.

    Raises:
        ValueError: the mask does not lie inside the volume.
    """
    if any(first < 0 or first + size > n for first, size, n in zip(corner, mask.shape, grid.shape, strict=True)):
        raise ValueError(f"a mask of shape {mask.shape} at {tuple(corner)} lies outside a volume of shape {grid.shape}")
    start, parts = [], []
    bits = np.asarray(mask, dtype=bool)
    for axis in range(3):
        found = np.flatnonzero(bits.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(found):
            return None
        start.append(int(found[0]) + corner[axis])
        parts.append(slice(int(found[0]), int(found[-1]) + 1))
        if axis == 0:  # the other axes need only look at the slices that hold something
            bits = bits[parts[0]]
    return Shape(grid, (start[0], start[1], start[2]), np.ascontiguousarray(bits[:, parts[1], parts[2]]))


def without(shape: Shape, others: Iterable[Shape]) -> Shape | None:
    """What is left of a region when the voxels of others are taken out; None where nothing is."""
    left = shape.bits.copy()
    for other in others:
        low = [max(a, b) for a, b in zip(shape.start, other.start, strict=True)]
        high = [min(a, b) for a, b in zip(shape.stop, other.stop, strict=True)]
        if all(first < last for first, last in zip(low, high, strict=True)):
            own, theirs = (
                tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
                for start in (shape.start, other.start)
            )
            left[own] &= ~other.bits[theirs]
    return Shape(shape.grid, shape.start, left, shape.ends_early) if left.any() else None
