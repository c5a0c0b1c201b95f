"""The voxel grid of a sample in patient space: where voxels lie, and how large they and their faces are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError
from voxtile_medical.orientation import Affine

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
AXES = "ZYX"


@dataclass(frozen=True)
class Grid:
    """A volume's voxel grid.

    Attributes:
        shape: (z, y, x) voxels.
        affine: [4, 4], voxel index (x, y, z, 1) → RAS+ mm; may be anisotropic, oblique and sheared.
    """

    shape: tuple[int, int, int]
    affine: Affine

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Grid:
        """Grid of a sample.

        Args:
            row: of the table `samples`.

        Raises:
            InputError: the sample is no volume, or its affine is absent or singular, so nothing can be measured on it.
        """
        uid, shape, affine = row.get("uid"), row.get("shape"), row.get("affine")
        if row.get("axes") != AXES or shape is None or len(shape) != 3:
            raise InputError(
                f"the sample {uid} has the axes {row.get('axes') or 'unknown'}; masks are measured on volumes (ZYX)"
            )
        if affine is None or len(affine) != 16:
            raise InputError(
                f"the sample {uid} has no affine, so its voxels have no size; convert its source with geometry "
                "(for NIfTI: --no-affine assume) and measure again"
            )
        matrix = np.array(affine, dtype=np.float64).reshape(4, 4)
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not np.isfinite(matrix).all() or lengths.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
            raise InputError(f"the affine of the sample {uid} is singular, so its voxels have no volume; convert again")
        return cls((int(shape[0]), int(shape[1]), int(shape[2])), matrix)

    @cached_property
    def steps(self) -> Points:
        """[3, 3] mm: row i is the way from a voxel to the next along array axis i (z, y, x)."""
        return np.ascontiguousarray(self.affine[:3, 2::-1].T)

    @cached_property
    def spacing(self) -> Points:
        """[3] mm between voxel centres along z, y, x."""
        lengths: Points = np.linalg.norm(self.steps, axis=1)
        return lengths

    @cached_property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.steps)))

    @cached_property
    def face_mm2(self) -> Points:
        """[3] area of a voxel's face across z, y, x."""
        z, y, x = self.steps
        return np.array(
            [np.linalg.norm(np.cross(y, x)), np.linalg.norm(np.cross(z, x)), np.linalg.norm(np.cross(z, y))]
        )

    def places(self, indices: npt.NDArray[Any]) -> Points:
        """RAS+ mm of voxel centres.

        Args:
            indices: [N, 3] (z, y, x), whole or fractional.
        """
        places: Points = np.asarray(indices, dtype=np.float64) @ self.steps + self.affine[:3, 3]
        return places

    def in_plane(self) -> Points:
        """[2, 2] mm: one step along y and along x in a basis of the slice plane, so that 2D lengths are true."""
        _, y, x = self.steps
        along = x / np.linalg.norm(x)
        across = y - (y @ along) * along
        across /= np.linalg.norm(across)
        return np.array([[y @ across, y @ along], [x @ across, x @ along]])
