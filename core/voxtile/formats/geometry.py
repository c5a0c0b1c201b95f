"""Affines of stored volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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


def channel_scaling(row: Mapping[str, Any], channel: int = 0) -> tuple[float, float]:
    """Scale and offset of a channel; 1 and 0 where the row states none."""
    channels = row.get("channels") or []
    entry = channels[channel] if channel < len(channels) else {}
    scale, offset = entry.get("scale"), entry.get("offset")
    return (1.0 if scale is None else float(scale)), (0.0 if offset is None else float(offset))


def channel_nodata(row: Mapping[str, Any], channel: int = 0) -> float | None:
    """The stored value of a channel that means no value, as the converter noted it: one for all or one each."""
    attributes = json.loads(row.get("attributes") or "{}")
    value = attributes.get("nodata") if isinstance(attributes, dict) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[channel] if channel < len(value) else None
    return float(value) if isinstance(value, int | float) else None


def physical(values: npt.NDArray[Any], row: Mapping[str, Any], channel: int = 0) -> npt.NDArray[np.float32]:
    """Values in the row's units, as float32."""
    scale, offset = channel_scaling(row, channel)
    return values.astype(np.float32) * np.float32(scale) + np.float32(offset)
