"""Volumes of one study on one grid: resampled where their affines say that they lie, turned where they are oblique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.data.presets.base import described, spacing_mm
from voxtile.errors import PresetError

Affine = npt.NDArray[np.float64]


def affine_of(meta: Mapping[str, Any]) -> Affine:
    """[4, 4] voxel index (x, y, z, 1) to mm; centred on the origin along the axes where only the spacing is known.

    Raises:
        PresetError: neither is known.
    """
    if meta.get("affine"):
        return np.asarray(meta["affine"], dtype=np.float64).reshape(4, 4)
    spacing = spacing_mm(meta)
    if not spacing:
        raise PresetError(f"this model needs the spacing in mm, but {described(meta)} has none")
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ _middle(meta["shape"])
    return affine


def centre_of(meta: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """[3] place of a volume's centre, mm (x, y, z)."""
    affine = affine_of(meta)
    return np.asarray(affine[:3, :3] @ _middle(meta["shape"]) + affine[:3, 3])


def grid_affine(
    shape: Sequence[int], spacing: Sequence[float], centre: npt.NDArray[np.float64], axes: Affine | None = None
) -> Affine:
    """The affine of an upright grid around a place.

    Args:
        shape: (Z, Y, X).
        spacing: mm (z, y, x).
        centre: [3] mm (x, y, z).
        axes: [3, 3] directions of x, y and z as columns; those of the patient when left out.
    """
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * np.asarray(spacing[::-1], dtype=np.float64)
    affine[:3, 3] = centre - affine[:3, :3] @ _middle(shape)
    return affine


def place_on_grid(values: Tensor, affine: Affine, shape: Sequence[int], grid: Affine, pad: float) -> Tensor:
    """Resample a volume onto a grid anywhere in space.

    Where the grid is coarser, whole voxels are averaged first; then it is linear interpolation.

    Args:
        values: [Z, Y, X] float32.
        affine: [4, 4] of the volume.
        shape: (Z, Y, X) of the grid.
        grid: [4, 4] of the grid.
        pad: value outside the volume.

    Returns:
        [*shape] float32.
    """
    to_source = np.linalg.inv(affine) @ grid  # grid index (x, y, z, 1) to source index
    # How many source voxels a step of the grid spans along each source axis (z, y, x).
    steps = np.abs(to_source[:3, :3]).max(axis=1)[::-1]
    factors = [max(1, min(int(step + 0.25), size)) for step, size in zip(steps, values.shape, strict=True)]
    pooled = F.avg_pool3d((values - pad)[None, None], factors, ceil_mode=True) if max(factors) > 1 else None
    source = (values - pad)[None, None] if pooled is None else pooled
    factors_xyz = np.array(factors[::-1], dtype=np.float64)
    scaled = to_source[:3] / factors_xyz[:, None]
    scaled[:, 3] -= (factors_xyz - 1) / 2 / factors_xyz
    sizes = np.array(source.shape[:1:-1], dtype=np.float64)  # x, y, z
    # grid_sample counts from -1 to 1 between the outer edges of the first and last voxel.
    unit = scaled * (2 / sizes)[:, None]
    unit[:, 3] += 1 / sizes - 1
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    rows = torch.from_numpy(unit.astype(np.float32))
    places = torch.stack([x * row[0] + y * row[1] + z * row[2] + row[3] for row in rows], dim=-1)
    out = F.grid_sample(source, places[None], mode="bilinear", padding_mode="zeros", align_corners=False)
    return torch.as_tensor(out[0, 0] + pad)


def _middle(shape: Sequence[int]) -> npt.NDArray[np.float64]:
    return (np.asarray(shape[::-1], dtype=np.float64) - 1) / 2
