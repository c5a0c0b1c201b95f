"""Regions that a question marks, as tokens of the language model: what the tower sees there, and where that is.

Shape letters: R regions, *G the grid of the image, *g that of the tower's tokens, N = product of *g, D width of the
tower, W of the language model, d axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.generative.cross_attention import require_tokens
from voxtile.types import Encoded


def covered(masks: Tensor, grid: Sequence[int]) -> Tensor:
    """The share of each cell of a coarser grid that regions cover, exactly, also where cells are no whole voxels.

    Args:
        masks: [R, *G] the share of each voxel that the region covers, 0 to 1.
        grid: *g, over the same extent.

    Returns:
        [R, *g] in 0 to 1.
    """
    for axis, cells in enumerate(grid, start=1):
        share = _overlaps(masks.shape[axis], cells).to(masks)
        masks = torch.tensordot(masks, share, dims=([axis], [1])).movedim(-1, axis)
    return masks


def _overlaps(voxels: int, cells: int) -> Tensor:
    """[cells, voxels] float64, the share of each cell that each voxel of the same extent makes up."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * voxels / cells
    low, high = edges[:-1, None], edges[1:, None]
    voxel = torch.arange(voxels, dtype=torch.float64)
    return (torch.minimum(high, voxel + 1) - torch.maximum(low, voxel)).clamp(min=0) / (high - low)


class RegionTokens(nn.Module):
    """One token a region: the mean of the tower's tokens by how much of each the region covers, and its place and size.

    The place is the region's centre and the standard deviation along each axis, in halves of the image's extent, so
    that what is smaller than a token has a place, too; the size is the logarithm of its share of the image.

    Args:
        width: D.
        language: W.
        dimensions: d.
        hidden: width within.
        size: root mean square of the language model's embeddings, with which the tokens begin.
    """

    def __init__(self, width: int, language: int, dimensions: int, hidden: int, size: float) -> None:
        super().__init__()
        self.seen = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.where = nn.Linear(2 * dimensions + 1, hidden)
        self.made = nn.Sequential(nn.GELU(), nn.Linear(hidden, language))
        self.norm = nn.LayerNorm(language, elementwise_affine=False)
        self.log_size = nn.Parameter(torch.tensor(math.log(max(size, 1e-6))))

    def forward(self, encoded: Encoded, item: Tensor, masks: Tensor) -> Tensor:
        """[R, W] tokens.

        Args:
            encoded: of B images.
            item: [R] int64, image of each region.
            masks: [R, *G] in 0 to 1, none of them empty.

        Raises:
            ConfigError: the tower has no grid of tokens with as many axes, or a region is empty.
        """
        tokens, _ = require_tokens(encoded, "GroundedAnswering", "image")
        tokens = full_precision(tokens)
        if encoded.grid is None or len(encoded.grid) != masks.ndim - 1:
            raise ConfigError(
                f"a region of {masks.ndim - 1} axes cannot be marked on a tower whose tokens stand on {encoded.grid}; "
                "take a tower with a grid of tokens, such as WaveletTower"
            )
        masks = masks.to(tokens)
        if len(masks) and bool((masks.flatten(1).amax(1) <= 0).any()):
            raise ConfigError("a region that a question marks covers nothing of the image as the model sees it")
        shares = covered(masks, encoded.grid).flatten(1)
        pooled = (shares[:, None] @ tokens[item])[:, 0] / shares.sum(1, keepdim=True)
        made = self.made(self.seen(pooled) + self.where(_place(masks)))
        return cast(Tensor, self.norm(made)) * self.log_size.exp()


def _place(masks: Tensor) -> Tensor:
    """[R, *G] to [R, 2d + 1]: centres and deviations in halves of the extent, and the logarithm of the size."""
    axes = masks.ndim - 1
    total = masks.flatten(1).sum(1)
    found: list[Tensor] = []
    spread: list[Tensor] = []
    for axis in range(1, axes + 1):
        count = masks.shape[axis]
        along = masks.sum([a for a in range(1, axes + 1) if a != axis]) if axes > 1 else masks
        places = (torch.arange(count, device=masks.device, dtype=masks.dtype) + 0.5) * (2 / count) - 1
        centre = (along * places).sum(1) / total
        variance = (along * (places - centre[:, None]).square()).sum(1) / total
        found.append(centre)
        spread.append((variance + 1 / (3 * count**2)).sqrt())  # that of one voxel is not 0
    size = (total / masks[0].numel() if len(masks) else total).log() / 10
    return torch.stack([*found, *spread, size], 1)
