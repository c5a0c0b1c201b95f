"""The image tower of HLIP (Zhao et al. 2025, arXiv 2505.21862) for single scans."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from voxtile.models.hub.weights import LoadReport, bare_key, load_report, read_weights
from voxtile.models.image.vit import ViTTower, from_slices, to_slices
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

_POSITIONS, _TABLE = "trunk.spatial_posemb", "trunk.position.table"
_NOT_READ = r"text\..*|logit_\w+"
# `token2744`: blocks 2, 5, 8 and 11 attend over the scan, the others within slices.
_OVER_THE_SCAN = 3


class HlipImage(ImageTower):
    """HLIP's image side with its projection to the space of texts.

    The first token of each slice goes through neighbouring blocks of slices by itself; those of `ViTTower` are averaged
    after each of them.

    Args:
        pretrained: a local file in its layout, or None for random weights.
        size: of the images (z, y, x).
        patch: likewise.
        width: of the ViT.
        depth: its blocks; each third one attends over the scan.
        heads: of each block.
        embed_dim: length of the vector.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """

    dimensions = 3
    channels = 1

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        size: tuple[int, int, int] = (112, 336, 336),
        patch: tuple[int, int, int] = (8, 24, 24),
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        embed_dim: int = 512,
    ) -> None:
        super().__init__()
        sliced = [number for number in range(depth) if number % _OVER_THE_SCAN != _OVER_THE_SCAN - 1]
        plan: dict[str, Any] = {"dimensions": 3, "channels": 1, "spacing": (3.0, 1.0, 1.0), "pooling": "cls"}
        self.trunk = _Trunk(size=size, patch=patch, width=width, depth=depth, heads=heads, slice_blocks=sliced, **plan)
        self.head = nn.Linear(width, embed_dim, bias=False)
        self.width = embed_dim
        self.load_report: LoadReport | None = None
        if pretrained:
            self.load_report = load_report(self, self._own(read_weights(pretrained)), pretrained, ignored=_NOT_READ)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, Z, Y, X] images; `tokens` are projected as the vector is."""
        seen = self.trunk(images, tokens)
        if not tokens:
            return Encoded(self.head(seen.pooled))
        return Encoded(self.head(seen.pooled), self.head(seen.tokens), seen.grid)

    def _own(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's keys as this tower has them, its positions flattened."""
        own = {**self.state_dict(), _POSITIONS: torch.empty(0), "head.proj.weight": torch.empty(0)}
        made = {}
        for key, value in state.items():
            name = bare_key(key, own)
            if name == _POSITIONS and value.ndim == 5:
                name, value = _TABLE, value.flatten(1, 3)
            made["head.weight" if name == "head.proj.weight" else name] = value
        return made


class _Trunk(ViTTower):
    def _attended(self, x: Tensor, prefix: int, slices: int) -> Tensor:
        apart = False
        for number, block in enumerate(self.blocks):
            if (number in self.slice_blocks) != apart:
                apart = not apart
                x = to_slices(x, prefix, slices) if apart else from_slices(x, prefix, slices)
            x = block(x)
        return from_slices(x, prefix, slices) if apart else x
