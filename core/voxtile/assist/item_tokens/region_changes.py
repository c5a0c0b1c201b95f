"""Tokens of how what a tower finds differs between the images of one prompt, as an examination and the one before it.

Shape letters: N images in the order of the prompt, P phrases, F numbers of a phrase, F' of them that are
compared, H within, W width of the language model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_STEEP = 4.0  # a third more along every axis is a difference of 0.2 in the logarithms of a profile


class RegionChangeTokens(nn.Module):
    """A token of each phrase for each image: what was found in the image before it, in itself, and the difference.

    A language model would have to subtract one token from another; and of two large numbers that differ little a
    difference is what it learns last. What larger means is the same for all phrases, so that they share a reading, to
    which each adds what is its own.

    Args:
        phrases: P.
        numbers: [F'] which of the F numbers of a profile are compared.
        hidden: H.
        language: W.
    """

    def __init__(self, phrases: int, numbers: Sequence[int], hidden: int, language: int) -> None:
        super().__init__()
        self.names = nn.Parameter(torch.randn(phrases, language))
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.shared = nn.Linear(3 * len(numbers), hidden)
        self.offsets = nn.Parameter(torch.randn(phrases, hidden))
        self.own = nn.Parameter(torch.zeros(phrases, 3 * len(numbers), hidden))
        self.made = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, language), nn.LayerNorm(language, elementwise_affine=False)
        )

    def forward(self, profiles: Tensor) -> Tensor:
        """[N, P, F] to [N, P, W]; of the first image there is no difference."""
        now = profiles[..., self.get_buffer("numbers")]
        before = torch.cat([now[:1], now[:-1]])
        seen = torch.cat([before, now, _STEEP * (now - before)], 2)
        read = self.shared(seen) + torch.einsum("npf,pfh->nph", seen, self.own)
        made: Tensor = self.made(read + self.offsets) + self.names
        return made
