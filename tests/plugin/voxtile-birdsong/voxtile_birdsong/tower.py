"""The image tower: convolutions along time, since a call an octave higher is another call.

Shape letters: S recordings, F bands, T frames, W features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models import ImageTower
from voxtile.types import Encoded


class SpectrogramTower(ImageTower):
    """Convolutions along time, each of which halves it; mean and maximum over time.

    Args:
        bands: of the preset.
        widths: features of each convolution; W is twice the last.

    Raises:
        ConfigError: no width.
    """

    dimensions = 2
    channels = 1

    def __init__(self, *, bands: int = 32, widths: Sequence[int] = (32, 64)) -> None:
        super().__init__()
        if not widths:
            raise ConfigError("widths of a SpectrogramTower are empty; give at least one")
        self.width = 2 * widths[-1]
        self.layers = nn.Sequential(*_layers(bands, widths))

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, F, T]; tokens lie on a grid of one row."""
        found = self.layers(images)
        pooled = torch.cat([found.mean((2, 3)), found.amax((2, 3))], 1)
        if not tokens:
            return Encoded(pooled)
        flat = found.flatten(2).transpose(1, 2)
        return Encoded(pooled, torch.cat([flat, flat], 2), (1, found.shape[3]))


def _layers(bands: int, widths: Sequence[int]) -> Iterator[nn.Module]:
    """The first sees all bands at once; maps [S, W, 1, T] keep an axis of frequency for `voxtile ground`."""
    for number, (before, after) in enumerate(pairwise((1, *widths))):
        yield nn.Conv2d(before, after, (1 if number else bands, 5), stride=(1, 2), padding=(0, 2))
        yield nn.GroupNorm(1, after)
        yield nn.GELU()
