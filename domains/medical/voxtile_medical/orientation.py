"""Lossless reorientation of a volume to the axes nearest RAS+, and its affine with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

Affine = npt.NDArray[np.float64]

# Patient axes: DICOM points left and to the back (LPS), the corpus right and to the front (RAS), both up.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_nearest_ras(array: npt.NDArray[Any], affine: Affine) -> tuple[npt.NDArray[Any], Affine]:
    """Flip and permute axes so that they run nearest right, front, up; no voxel value changes.

    Args:
        array: [Z, Y, X] voxels.
        affine: [4, 4], voxel index (x, y, z, 1) → RAS+ mm.

    Returns:
        [Z, Y, X] contiguous voxels and the affine that gives each voxel the place it had before.
    """
    xyz = array.transpose(2, 1, 0)
    orientation = io_orientation(affine)
    turned = apply_orientation(xyz, orientation)
    adjusted: Affine = affine @ inv_ornt_aff(orientation, xyz.shape)
    return np.ascontiguousarray(turned.transpose(2, 1, 0)), adjusted


def spacing_zyx(affine: Affine) -> list[float]:
    """Voxel size in mm in array order (z, y, x)."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return [float(size) for size in sizes[::-1]]
