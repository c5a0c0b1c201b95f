"""Lossless reorientation of a volume to the axes nearest RAS+, and its affine with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]

# Patient axes: DICOM points left and to the back (LPS), the corpus right and to the front (RAS), both up.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NEAR = 0.99  # cosine of 8°


def to_nearest_ras(array: npt.NDArray[Any], affine: Affine) -> tuple[npt.NDArray[Any], Affine]:
    """Flip and permute axes so that they run nearest right, front, up; no voxel value changes.

    Args:
        array: [Z, Y, X] voxels.
        affine: [4, 4], voxel index (x, y, z, 1) → RAS+ mm.

    Returns:
        [Z, Y, X] contiguous voxels and the affine that gives each voxel the place it had before.
    """
    xyz = array.transpose(2, 1, 0)
    turns = _turns(affine)
    if turns is None:
        turned, back = _turned_by_nibabel(xyz, affine)
    else:
        turned, back = _turned(xyz, *turns)
    adjusted: Affine = affine @ back
    return np.ascontiguousarray(turned.transpose(2, 1, 0)), adjusted


def spacing_zyx(affine: Affine) -> list[float]:
    """Voxel size in mm in array order (z, y, x)."""
    columns = affine[:3, :3].T.tolist()
    return [math.sqrt(a * a + b * b + c * c) for a, b, c in columns[::-1]]


def _turns(affine: Affine) -> tuple[list[int], list[int]] | None:
    """For each voxel axis the patient axis that it runs along, and which way; None where that takes more than a look.

    Directions within 8° of the patient's axes leave nothing to weigh up; nibabel, which does, takes a while to import.
    """
    columns = affine[:3, :3].T.tolist()
    axes = [max(range(3), key=lambda axis: abs(column[axis])) for column in columns]
    main = [column[axis] for column, axis in zip(columns, axes, strict=True)]
    near = all(abs(value) > _NEAR * math.hypot(*column) for value, column in zip(main, columns, strict=True))
    if sorted(axes) != [0, 1, 2] or not near:
        return None
    return axes, [1 if value > 0 else -1 for value in main]


def _turned(xyz: npt.NDArray[Any], axes: list[int], signs: list[int]) -> tuple[npt.NDArray[Any], Affine]:
    """The voxels along the patient's axes, and the matrix from their indices to those of before."""
    back = np.zeros((4, 4))
    back[3, 3] = 1.0
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        back[column, axis] = sign
        back[column, 3] = 0.0 if sign > 0 else xyz.shape[column] - 1.0
    flipped = xyz[tuple(slice(None, None, sign) for sign in signs)]
    return flipped.transpose([axes.index(axis) for axis in range(3)]), back


def _turned_by_nibabel(xyz: npt.NDArray[Any], affine: Affine) -> tuple[npt.NDArray[Any], Affine]:
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(affine)
    back: Affine = inv_ornt_aff(orientation, xyz.shape)
    return apply_orientation(xyz, orientation), back
