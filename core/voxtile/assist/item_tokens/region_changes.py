"""Tokens of how what a tower finds differs between the images of one prompt, as an examination and the one before it.

Shape letters: N images in the order of the prompt, P phrases, F numbers of a phrase, H within, W width of the language
model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STEEP = 4.0  # a third more along every axis is a difference of 0.2 in the logarithms of a profile


class RegionChangeTokens(nn.Module):
    """A token of each phrase for each image: what was found in the image before it, in itself, and the difference.

    A language model would have to subtract one token from another; and of two large numbers that differ little a
    difference is what it learns last.

    Args:
        phrases: P.
        numbers: F, of the profiles of `FoundRegionTokens`.
        hidden: H.
        language: W.
    """

    def __init__(self, phrases: int, numbers: int, hidden: int, language: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(phrases, language))
        self.read = nn.Parameter(torch.randn(phrases, 3 * numbers, hidden) / (3 * numbers) ** 0.5)
        self.made = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, language), nn.LayerNorm(language, elementwise_affine=False)
        )

    def forward(self, profiles: Tensor) -> Tensor:
        """[N, P, F] to [N, P, W]; of the first image there is no difference."""
        before = torch.cat([profiles[:1], profiles[:-1]])
        seen = torch.cat([before, profiles, _STEEP * (profiles - before)], 2)
        made: Tensor = self.made(torch.einsum("npf,pfh->nph", seen, self.read)) + self.names
        return made
