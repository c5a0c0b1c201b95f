"""Small convolutional image towers for training from scratch, 2D and 3D, sized for a CPU.

Shape letters: S images, C channels, W features, *G the grid (Y, X) or (Z, Y, X), N = product of the last stage's grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

Norm = Literal["group", "none"]

_LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}


def _norm(kind: Norm, width: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    # 16 channels a group: table 3 of Wu and He, Group Normalization, 2018.
    return nn.GroupNorm(max(1, width // 16), width)


class ResidualBlock(nn.Module):
    """Pre-activation residual block (He et al. 2016, Identity Mappings, figure 4e) whose branch starts at zero."""

    def __init__(self, dimensions: int, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        conv = CONVOLUTIONS[dimensions]
        self.norm1, self.norm2 = _norm(norm, width), _norm(norm, width)
        self.conv1 = conv(width, width, 3, padding=1)
        self.conv2 = conv(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[S, W, *G] to the same."""
        branch = self.conv1(F.relu(self.norm1(x)))
        branch = self.conv2(self.dropout(F.relu(self.norm2(branch))))
        out: Tensor = x + branch
        return out


class ConvTower(ImageTower):
    """A strided stem, stages of residual blocks, and mean and maximum pooling at several levels.

    Pooling over several levels lets small and large structures reach the embedding; the maximum keeps a small bright
    lesion that a mean would dilute.

    Args:
        dimensions: 2 or 3.
        channels: image channels.
        widths: features of each stage; every stage after the first halves the grid.
        blocks: residual blocks of each stage.
        stem: stride (and kernel size) of the first convolution: one number, or one an axis; 1 keeps the grid.
        levels: how many of the last stages are pooled; all when None.
        width: length of the pooled vector.
        norm: `group` or `none`.
        coordinates: append each voxel's position, −1 to 1 along every axis, as further channels, so that side and
            height can be told.
        cells: besides the whole grid, pool the last stage over this many cells an axis, so that place is kept.
        dropout: in the blocks and before the pooled projection.

    Raises:
        ConfigError: lengths that do not match or numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import ConvTower
        >>> tower = ConvTower(dimensions=3, widths=(8, 16), blocks=(1, 1), width=32)
        >>> encoded = tower(torch.randn(2, 1, 16, 32, 32), tokens=True)
        >>> encoded.pooled.shape, encoded.grid  # the stem and the second stage halve the grid
        (torch.Size([2, 32]), (4, 8, 8))
    """

    def __init__(
        self,
        *,
        dimensions: Literal[2, 3],
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 1, 1),
        stem: int | Sequence[int] = 2,
        levels: int | None = None,
        width: int = 256,
        norm: Norm = "group",
        coordinates: bool = True,
        cells: Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stem = (stem,) * dimensions if isinstance(stem, int) else tuple(stem)
        if len(widths) != len(blocks) or not widths:
            raise ConfigError(f"widths {list(widths)} and blocks {list(blocks)} of a conv tower must be equally long")
        if len(stem) != dimensions or (cells is not None and len(cells) != dimensions):
            raise ConfigError(f"stem and cells of a {dimensions}D conv tower need {dimensions} numbers")
        self.dimensions, self.channels, self.width = int(dimensions), channels, width
        self.coordinates = coordinates
        self.cells = tuple(cells) if cells is not None else None
        self.levels = len(widths) if levels is None else levels
        conv = CONVOLUTIONS[dimensions]
        inputs = channels + (dimensions if coordinates else 0)
        kernel = tuple(max(s, 3) if s > 1 else 3 for s in stem)
        self.stem = conv(inputs, widths[0], kernel, stride=stem, padding=tuple(k // 2 for k in kernel))
        self.downs = nn.ModuleList(conv(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(self.dimensions, w, norm, dropout) for _ in range(n)))
            for w, n in zip(widths, blocks, strict=True)
        )
        self.norms = nn.ModuleList(_norm(norm, w) for w in widths)
        pooled = 2 * sum(widths[-self.levels :])
        if self.cells is not None:
            pooled += widths[-1] * int(torch.tensor(self.cells).prod())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(pooled, width)
        self.token_head = nn.Linear(widths[-1], width)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, *G] images.

        Returns:
            `pooled` [S, width]; with `tokens` also [S, N, width] on the last stage's grid.
        """
        x = self._stem(images.contiguous(memory_format=_LAYOUT[self.dimensions]))
        pooled = []
        for i, stage in enumerate(self.stages):
            if i:
                x = self.downs[i - 1](F.relu(x))
            x = stage(x)
            if i >= len(self.stages) - self.levels:
                level = F.relu(self.norms[i](x))
                places = level.movedim(1, -1).flatten(1, -2)  # [S, N, W]; a view, since channels come last in memory
                pooled += [places.mean(1), places.max(1).values]
        if self.cells is not None:
            pooled.append(self._cells(level))
        out = self.head(self.dropout(torch.cat(pooled, 1)))
        if not tokens:
            return Encoded(out)
        return Encoded(out, self.token_head(places), tuple(level.shape[2:]))

    def _cells(self, level: Tensor) -> Tensor:
        pool: Any = F.adaptive_avg_pool2d if self.dimensions == 2 else F.adaptive_avg_pool3d
        cells: Tensor = pool(level, self.cells)
        return cells.flatten(1)

    def _stem(self, images: Tensor) -> Tensor:
        """The stem over images and position; the position's share is the same for all images and computed once."""
        if not self.coordinates:
            return torch.as_tensor(self.stem(images))
        axes = [torch.linspace(-1, 1, n, device=images.device, dtype=images.dtype) for n in images.shape[2:]]
        position = torch.stack(torch.meshgrid(*axes, indexing="ij")).unsqueeze(0)
        position = position.contiguous(memory_format=_LAYOUT[self.dimensions])
        stem, convolve = self.stem, F.conv2d if self.dimensions == 2 else F.conv3d
        kernels = stem.weight.split([self.channels, self.dimensions], dim=1)
        shared = convolve(position, kernels[1], stem.bias, stem.stride, stem.padding)
        return convolve(images, kernels[0], None, stem.stride, stem.padding) + shared
