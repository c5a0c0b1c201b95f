"""Position embeddings of patches by where they lie in millimetres: other grids and spacings see the same places.

The origin is the centre of the image. A grid is a number of patches along each axis, a step the distance between
neighbouring patches in the unit of the spacing: millimetres, or metres on the ground.

Shape letters: N patches of a grid, W features, d axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

_TEMPERATURE = 10_000.0  # Vaswani et al. 2017, section 3.5
_UNIT = 16.0  # of the spacing: patches of 16 pixels at a spacing of 1 are a unit apart, as in MAE (He et al. 2022)


class LearnedPositions(nn.Module):
    """A table for one grid, interpolated linearly for any other; beyond its border the border's values count.

    Args:
        grid: of the table.
        step: of the table, one an axis.
        width: W.
    """

    def __init__(self, grid: Sequence[int], step: Sequence[float], width: int) -> None:
        super().__init__()
        self.grid, self.step = tuple(grid), tuple(step)
        self.table = nn.Parameter(torch.empty(1, math.prod(grid), width))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, grid: Sequence[int], step: Sequence[float]) -> Tensor:
        """[N, W] embeddings of a grid."""
        return resample(self.table[0], self.grid, self.step, grid, step)


class SinCosPositions(nn.Module):
    """Fixed sines and cosines of the distance from the centre, an equal share of the features for each axis.

    With the ground sampling distance as spacing this is the encoding of Scale-MAE (Reed et al., ICCV 2023, eq. 2) but
    for the origin.

    Args:
        dimensions: d.
        width: W; what is left over of 2·d equal parts is 0.
    """

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.width = width
        count = width // (2 * dimensions)
        frequencies = _TEMPERATURE ** (-torch.arange(count, dtype=torch.float64) / count) / _UNIT
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies.float(), persistent=False)

    def forward(self, grid: Sequence[int], step: Sequence[float]) -> Tensor:
        """[N, W] embeddings of a grid."""
        parts = []
        for axis, (count, distance) in enumerate(zip(grid, step, strict=True)):
            place = torch.tensor(centres(count, distance), dtype=torch.float32, device=self.frequencies.device)
            angles = place[:, None] * self.frequencies
            code = torch.cat([angles.sin(), angles.cos()], 1)
            shape = [1] * axis + [count] + [1] * (len(grid) - axis - 1)
            parts.append(code.view(*shape, -1).expand(*grid, -1))
        whole = torch.cat(parts, -1).flatten(0, -2)
        return nn.functional.pad(whole, (0, self.width - whole.shape[1]))


def resample(
    table: Tensor, grid: Sequence[int], step: Sequence[float], wanted: Sequence[int], wanted_step: Sequence[float]
) -> Tensor:
    """Embeddings of another grid at the same physical positions, linear along each axis.

    Args:
        table: [N, W].
        grid: of the table.
        step: of the table.
        wanted: grid.
        wanted_step: its step.

    Returns:
        [wanted N, W].
    """
    x = table.view(*grid, -1)
    for axis, old in enumerate(grid):
        if old != wanted[axis] or not math.isclose(step[axis], wanted_step[axis], rel_tol=1e-6):
            before, after = centres(old, step[axis]), centres(wanted[axis], wanted_step[axis])
            rows = [np.interp(after, before, unit) for unit in np.eye(old)]
            matrix = torch.tensor(np.stack(rows, 1), dtype=table.dtype, device=table.device)
            with torch.autocast(table.device.type, enabled=False):  # which would lower one of the two for the next axis
                x = torch.tensordot(matrix, x, dims=([1], [axis])).movedim(0, axis)
    return x.flatten(0, -2)


def centres(count: int, step: float) -> list[float]:
    """Where patches lie along an axis, the centre of the image being 0; plain numbers, which exports can trace."""
    return [(place - (count - 1) / 2) * step for place in range(count)]
