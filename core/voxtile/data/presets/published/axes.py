"""Volumes turned to named directions, and resampled along each axis as the libraries of published models do it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Sampling: TypeAlias = Literal["sizes", "first", "centred", "fit"]
"""Where the output's voxels lie on the source.

`sizes`: the volume becomes so many whole voxels, rounded down, between the same outer edges; the ratio is that of the
sizes (`torch.nn.functional.interpolate` with a size). `fit`: likewise, but so many as the model takes. `first`: the
centres of the first voxels coincide where the axes are exactly square to each other, else the volumes' middles, and the
border value counts beyond the last voxel (MONAI's Spacing). `centred`: the centres of both volumes coincide, and the
count is rounded down (TorchIO's Resample).
"""

_LETTERS = "RAS"
_OPPOSITE = {"R": "L", "A": "P", "S": "I", "L": "R", "P": "A", "I": "S"}
_HEADER_DIGITS = 6  # a header's 0.6 mm is 0.60000002 in float32, which would cost a voxel where counts are rounded down


def turned(array: npt.NDArray[Any], affine: npt.NDArray[np.float64], directions: str) -> npt.NDArray[Any]:
    """A volume with its axes in another order and sense; nothing is resampled.

    Args:
        array: [Z, Y, X].
        affine: [4, 4], voxel index (x, y, z, 1) to mm right, front, up.
        directions: three of the letters R or L, A or P, S or I: where the index of each output axis grows to.

    Returns:
        A view, one axis a letter.
    """
    order, senses = _nearest(affine)
    letters = [_LETTERS[axis] for axis in order]
    there = [own if sense > 0 else _OPPOSITE[own] for own, sense in zip(letters, senses, strict=True)]
    there.reverse()  # of the array's axes: z, y, x
    axes = [next(i for i, letter in enumerate(there) if letter in (wanted, _OPPOSITE[wanted])) for wanted in directions]
    flips = tuple(out for out, axis in enumerate(axes) if there[axis] != directions[out])
    return np.flip(array.transpose(axes), flips)


def columns_along(affine: npt.NDArray[np.float64], directions: str) -> npt.NDArray[np.float64]:
    """[3, 3] step in mm (right, front, up) of each axis of `turned`, as columns."""
    order, cosines = _nearest(affine)
    columns = []
    for wanted in directions:
        voxel = next(v for v, axis in enumerate(order) if _LETTERS[axis] in (wanted, _OPPOSITE[wanted]))
        grows_to = _LETTERS[order[voxel]] if cosines[voxel] > 0 else _OPPOSITE[_LETTERS[order[voxel]]]
        columns.append(affine[:3, voxel] * (1.0 if grows_to == wanted else -1.0))
    return np.stack(columns, axis=1)


def _nearest(affine: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """World axis (0 right, 1 front, 2 up) nearest to each voxel axis x, y, z, and its cosine with it."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(permutations(range(3)), key=lambda order: sum(abs(cosines[order[v], v]) for v in range(3)))
    return best, tuple(float(cosines[best[v], v]) for v in range(3))


def places_along(
    sampling: Sampling,
    shape: Sequence[int],
    columns: npt.NDArray[np.float64],
    wanted: Sequence[float] | None,
    fit: Sequence[int],
) -> list[Tensor]:
    """Where the output's voxels lie, an axis each.

    Args:
        sampling: see `Sampling`.
        shape: of the source, voxels.
        columns: of `columns_along`, of the source.
        wanted: spacing of the output, mm; None for `fit`.
        fit: output voxels for `fit`.

    Returns:
        [N] float64 each, in source voxels from the centre of the first.
    """
    if sampling == "fit" or wanted is None:
        return [_between(size, count) for size, count in zip(shape, fit, strict=True)]
    spacing = np.linalg.norm(columns, axis=0).tolist()
    ratios = [mm / own for own, mm in zip(spacing, wanted, strict=True)]
    if sampling == "sizes":
        return [
            _between(size, max(1, int(size * (round(own, _HEADER_DIGITS) / mm))))
            for size, own, mm in zip(shape, spacing, wanted, strict=True)
        ]
    if sampling == "centred":
        counts = [max(1, math.floor(size / ratio)) for size, ratio in zip(shape, ratios, strict=True)]
        starts = [(n - 1) / 2 - (out - 1) / 2 * r for n, out, r in zip(shape, counts, ratios, strict=True)]
    else:
        counts = [round((size - 1) / ratio) + 1 for size, ratio in zip(shape, ratios, strict=True)]
        starts = [0.0] * 3
        if not _square(shape, columns, wanted):
            starts = [n / 2 - out / 2 * r for n, out, r in zip(shape, counts, ratios, strict=True)]
    return [
        start + torch.arange(count, dtype=torch.float64) * ratio
        for start, count, ratio in zip(starts, counts, ratios, strict=True)
    ]


def _between(source: int, count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (source / count) - 0.5


def _square(shape: Sequence[int], columns: npt.NDArray[np.float64], wanted: Sequence[float]) -> bool:
    """Whether no corner of the volume lies before its first voxel along the output's axes, as MONAI asks.

    The output's axes are the source's made orthonormal by a Cholesky factor, as MONAI does; the float32 of a header
    tells a tilted volume's own axes from them.
    """
    rotation = columns @ np.linalg.inv(np.linalg.cholesky(columns.T @ columns).T)
    steps = np.linalg.solve(rotation * np.asarray(wanted), columns)
    corners = np.asarray(np.meshgrid(*((0.0, n - 1.0) for n in shape), indexing="ij")).reshape(3, -1)
    return bool(np.allclose((steps @ corners).min(axis=1), 0.0))


def interpolated(values: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Linear interpolation, an axis after the other, without anti-aliasing; the border's value counts beyond it.

    Args:
        values: [A, B, C] float32.
        places: of `places_along`.
    """
    for axis in sorted(range(3), key=lambda a: len(places[a]) / values.shape[a]):
        values = _along(values, places[axis].clamp(0, values.shape[axis] - 1), axis)
    return values


def _along(values: Tensor, places: Tensor, axis: int) -> Tensor:
    lower = places.floor().long()
    if bool((places == lower).all()):
        return values if torch.equal(lower, torch.arange(values.shape[axis])) else values.index_select(axis, lower)
    upper = (lower + 1).clamp(max=values.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (places - lower).float().view(shape)
    return torch.lerp(values.index_select(axis, lower), values.index_select(axis, upper), share)
