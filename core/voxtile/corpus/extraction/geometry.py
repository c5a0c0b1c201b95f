"""Affines of stored volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import CorpusError

Affine = npt.NDArray[np.float64]


def volume_affine(row: Mapping[str, Any]) -> Affine | None:
    """The affine of a row: [4, 4], voxel index (x, y, z, 1) → RAS+ mm; from the spacing alone if there is no other.

    Raises:
        CorpusError: the affine is not 16 finite numbers.
    """
    if row.get("affine"):
        numbers = np.asarray(row["affine"], np.float64)
        if numbers.size != 16 or not np.isfinite(numbers).all():
            raise CorpusError(f"the affine of sample {row['uid']} is not 16 finite numbers; convert its source again")
        return numbers.reshape(4, 4)
    return None


def spacing_affine(row: Mapping[str, Any]) -> Affine:
    """A diagonal affine from `spacing` (z, y, x in mm), or of 1 mm."""
    spacing = row.get("spacing") or [1.0, 1.0, 1.0]
    return np.diag([*[float(size) for size in spacing[::-1]], 1.0][-4:])


def flip_axes(array: npt.NDArray[Any], affine: Affine, axes: tuple[int, ...]) -> tuple[npt.NDArray[Any], Affine]:
    """Reverse array axes and keep every voxel where it is.

    Args:
        array: [Z, Y, X].
        affine: voxel index (x, y, z, 1) → mm.
        axes: array axes to reverse.
    """
    turned = affine.copy()
    for axis in axes:
        column = 2 - axis
        turned[:3, 3] += turned[:3, column] * (array.shape[axis] - 1)
        turned[:3, column] *= -1
    return np.flip(array, axes), turned
