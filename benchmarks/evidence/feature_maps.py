"""Feature maps of a network that stands still, stored once: local terms then start from places that mean something.

Shape letters: S images, C numbers a place, W features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.data import ImagePreset
from voxtile.data.presets.base import SampleSource
from voxtile.data.presets.image import ImageAugment
from voxtile.data.presets.stored import StoredVectors
from voxtile.models.convolution import position
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

GRID = (12, 12)
LENGTH = 96  # numbers a place


@dataclass(frozen=True)
class FeatureMaps(StoredVectors):
    """Gives the stored map of a sample as an image of 12 × 12 places."""

    @property
    def channels(self) -> int:
        """Numbers a place."""
        return self.length // (GRID[0] * GRID[1])

    @property
    def grid(self) -> tuple[int, ...]:
        """(Y, X)."""
        return GRID

    @property
    def of_masks(self) -> ImagePreset:
        """The whole picture on the same grid."""
        grey = {"channels": 1, "mean": (0.0,), "std": (1.0,)}
        return ImagePreset(size=GRID, resize="squash", augment=ImageAugment(crop="none"), **grey).of_masks

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, 12, 12] float32."""
        return super().__call__(source, rng).view(-1, *GRID)


class MapTower(ImageTower):
    """A convolution that joins 2 × 2 places, a residual layer at each with its position, and mean and maximum.

    Levels are the joined places and those after the layer, both of 6 × 6.

    Args:
        length: C.
        width: W.
        layers: residual layers.
        dropout: on the joined places.
    """

    dimensions = 2

    def __init__(self, *, length: int = LENGTH, width: int = 128, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.channels, self.width, self.level_widths = length, width, (width, width)
        self.join = nn.Conv2d(length, width, 2, stride=2)
        self.place = nn.Conv2d(4, width, 1, bias=False)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, width), nn.Conv2d(width, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, width, 1)
            )
            for _ in range(layers)
        )
        self.norm, self.dropout = nn.GroupNorm(1, width), nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, width)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, 12, 12] maps."""
        first = self.join(images)
        x = self.dropout(first + self.place(position(first)))
        for layer in self.layers:
            x = x + layer(x)
        last = self.norm(x)
        spots = last.flatten(2).transpose(1, 2)
        pooled = self.head(torch.cat([spots.mean(1), spots.amax(1)], 1))
        if not tokens:
            return Encoded(pooled)
        return Encoded(pooled, spots, tuple(last.shape[2:]), None, (first, last))


def stored_maps(stages: Sequence[Tensor]) -> Tensor:
    """[S, C, 12, 12] of the maps of two stages, the coarser one laid over the finer."""
    fine, coarse = stages
    return torch.cat([fine, F.interpolate(coarse, size=fine.shape[2:], mode="nearest")], 1)
