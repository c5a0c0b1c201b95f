"""Where a mask lies on a sample's own voxel grid: copied where the grids agree, else resampled (nearest neighbour).

Two grids agree where each voxel centre of one lies within `SAME_VOXEL` of a voxel of a centre of the other, axes in any
order and direction; then no value is interpolated and a mask keeps every voxel. All affines map the voxel index
(x, y, z, 1) to RAS+ mm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.orientation import Affine

SAME_VOXEL = 0.2  # of a voxel: positions in DICOM headers are often rounded to 0.1 mm
Box = tuple[slice, ...]
Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a sample.

    Attributes:
        uid: of the sample.
        shape: (Z, Y, X), or (Y, X) of a picture.
        affine: [4, 4]; None for pictures.
        frame: what stands for the frame of reference (PS3.3 C.7.4.1); empty where it is not known.
    """

    uid: str
    shape: tuple[int, ...]
    affine: Affine | None
    frame: str = ""

    def packed(self) -> dict[str, Any]:
        """JSON-able form for a plan."""
        affine = None if self.affine is None else [float(v) for v in self.affine.reshape(-1)]
        return {"uid": self.uid, "shape": list(self.shape), "affine": affine, "frame": self.frame}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Grid:
        """The grid that `packed` described."""
        affine = None if packed["affine"] is None else np.array(packed["affine"], dtype=np.float64).reshape(4, 4)
        return cls(packed["uid"], tuple(packed["shape"]), affine, packed["frame"])

    @property
    def to_index(self) -> Affine:
        """[4, 4] RAS+ mm → voxel index (x, y, z, 1)."""
        if self.affine is None:
            raise ValueError(f"sample {self.uid} is a picture without an affine")
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)


@dataclass(frozen=True)
class Lattice:
    """How an array whose voxels coincide with those of a grid is turned onto it.

    Attributes:
        order: array axis that becomes each of Z, Y, X.
        flips: axes of the turned array that run backwards.
        corner: index on the grid (z, y, x) of the turned array's first voxel; may lie off the grid.
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]
    corner: tuple[int, int, int]

    def turn(self, array: Labels) -> Labels:
        """A view of the array [Z, Y, X] with the grid's axes."""
        return np.flip(array.transpose(self.order), self.flips)


def lattice(affine: Affine, shape: Sequence[int], grid: Grid) -> Lattice | None:
    """The turn that puts each voxel of an array on a voxel of the grid; None where the grids differ.

    Args:
        affine: of the array.
        shape: (Z, Y, X) of the array.
        grid: the sample's.
    """
    relative = grid.to_index @ affine
    turned = np.rint(relative[:3, :3])
    if not (np.abs(turned).sum(axis=0) == 1).all() or not (np.abs(turned).sum(axis=1) == 1).all():
        return None
    last = np.array(shape[::-1]) - 1
    corners = np.array(list(product(*((0, n) for n in last))))
    misfit = corners @ (relative[:3, :3] - turned).T + relative[:3, 3]
    offset = np.rint((misfit.min(axis=0) + misfit.max(axis=0)) / 2)
    if np.abs(misfit - offset).max() > SAME_VOXEL:
        return None
    first = (turned @ np.where(turned.sum(axis=0) < 0, last, 0) + offset).astype(int)
    order = [2 - int(np.flatnonzero(turned[2 - axis])[0]) for axis in range(3)]
    flips = tuple(axis for axis in range(3) if turned[2 - axis].sum() < 0)
    return Lattice((order[0], order[1], order[2]), flips, (int(first[2]), int(first[1]), int(first[0])))


def paste(target: Labels, part: Labels, corner: Sequence[int]) -> int:
    """Write the non-zero values of a part into an array, as far as the part lies inside.

    Args:
        target: [Z, Y, X], changed.
        part: [Z, Y, X].
        corner: index in the target of the part's first element; may lie outside.

    Returns:
        Number of the part's non-zero elements that lie outside.
    """
    inside: list[slice] = []
    taken: list[slice] = []
    for low, size, limit in zip(corner, part.shape, target.shape, strict=True):
        start, stop = max(low, 0), max(min(low + size, limit), max(low, 0))
        inside.append(slice(start, stop))
        taken.append(slice(start - low, stop - low))
    within = part[tuple(taken)]
    place = target[tuple(inside)]
    np.copyto(place, within, where=within != 0)
    return int(np.count_nonzero(part)) - int(np.count_nonzero(within)) if within.size < part.size else 0


def resample(array: Labels, affine: Affine, grid: Grid) -> Labels:
    """The nearest voxel of an array at each voxel centre of a grid; 0 outside the array.

    Args:
        array: [Z, Y, X] labels or shares.
        affine: of the array.
        grid: the sample's.

    Returns:
        [Z, Y, X] on the grid, of the array's type.
    """
    found = np.zeros(grid.shape, array.dtype)
    box = bounds(array != 0)
    if box is None or grid.affine is None:
        return found
    window = _covered(grid.to_index @ affine, box, grid.shape)
    if any(part.stop <= part.start for part in window):
        return found
    back = np.linalg.inv(affine) @ grid.affine
    matrix = back[:3, :3][::-1, ::-1]
    start = np.array([part.start for part in window], dtype=np.float64)
    offset = back[:3, 3][::-1] + matrix @ start - np.array([part.start for part in box])
    source = array[box]
    source = source.astype(np.uint8) if source.dtype == bool else source
    from scipy.ndimage import affine_transform  # late: most conversions have no masks, and scipy takes 0.2 s

    found[window] = affine_transform(
        source,
        matrix,
        offset,
        output_shape=tuple(part.stop - part.start for part in window),
        order=0,
        mode="grid-constant",
        prefilter=False,
    )
    return found


def count_outside(array: Labels, affine: Affine, grid: Grid) -> dict[int, int]:
    """Voxels of an array whose centres lie off a grid by more than one of their own steps: value → number, 0 left out.

    A mask that is drawn on a finer or a coarser grid reaches over the border by less than that where it should not.
    """
    box = bounds(array != 0)
    if box is None:
        return {}
    relative = grid.to_index @ affine
    slack = np.abs(relative[:3, :3]).sum(axis=1) + 0.5
    low, high = -slack, np.array(grid.shape[::-1]) - 1 + slack
    corners = np.array(list(product(*((part.start, part.stop - 1) for part in box))))[:, ::-1]
    places = corners @ relative[:3, :3].T + relative[:3, 3]
    if (places >= low).all() and (places <= high).all():
        return {}
    counts: Counter[int] = Counter()
    for z in range(box[0].start, box[0].stop):
        rows, columns = np.nonzero(array[z])
        voxels = np.stack([columns, rows, np.full(len(rows), z)], axis=1)
        places = voxels @ relative[:3, :3].T + relative[:3, 3]
        strays = ((places < low) | (places > high)).any(axis=1)
        if strays.any():
            values, numbers = np.unique(array[z][rows[strays], columns[strays]], return_counts=True)
            counts.update({int(v): int(n) for v, n in zip(values, numbers, strict=True)})
    return dict(counts)


def bounds(mask: Labels) -> Box | None:
    """The smallest box round the non-zero elements, or None where there is none."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _covered(relative: Affine, box: Box, shape: Sequence[int]) -> Box:
    """The part of a grid that a box of an array may reach, with one voxel to spare."""
    edges = np.array(list(product(*((part.start - 0.5, part.stop - 0.5) for part in box))))[:, ::-1]
    places = edges @ relative[:3, :3].T + relative[:3, 3]
    low = np.floor(places.min(axis=0)).astype(int)[::-1] - 1
    high = np.ceil(places.max(axis=0)).astype(int)[::-1] + 2
    return tuple(slice(max(int(a), 0), min(int(b), n)) for a, b, n in zip(low, high, shape, strict=True))


@dataclass(frozen=True)
class Piece:
    """A mask as far as it lies on a grid.

    Attributes:
        array: bool, or uint8 shares; the smallest box round the mask.
        corner: index on the grid of its first voxel.
        outside: number of the mask's voxels that lie off the grid.
        resampled: the mask came on another grid.
    """

    array: Labels
    corner: tuple[int, ...]
    outside: int = 0
    resampled: bool = False


def cut(mask: Labels, corner: Sequence[int], shape: Sequence[int], *, resampled: bool = False) -> Piece | None:
    """The part of a mask that lies on a grid; None where the mask has no voxel at all.

    Args:
        mask: bool or uint8, with the grid's axes.
        corner: index on the grid of the mask's first voxel; may lie off the grid.
        shape: of the grid.
        resampled: see `Piece`.
    """
    inside = tuple(
        slice(max(-low, 0), max(min(size, limit - low), 0))
        for low, size, limit in zip(corner, mask.shape, shape, strict=True)
    )
    within = mask[inside]
    outside = int(np.count_nonzero(mask)) - int(np.count_nonzero(within)) if within.size < mask.size else 0
    box = bounds(within) if within.size else None
    if box is None:
        return Piece(np.zeros((0,) * mask.ndim, mask.dtype), (0,) * mask.ndim, outside, resampled) if outside else None
    start = tuple(low + skip.start + part.start for low, skip, part in zip(corner, inside, box, strict=True))
    return Piece(np.ascontiguousarray(within[box]), start, outside, resampled)
