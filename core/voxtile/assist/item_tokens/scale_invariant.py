"""The scale-invariant connector: as many tokens of an image of any size, none of which is scaled away.

Shape letters: B images, N tokens of the tower, K tokens of the overview, D width of the tower, H within.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from voxtile.models.tower import full_precision
from voxtile.objectives.generative.cross_attention import require_tokens
from voxtile.types import Encoded


class ScaleInvariantTokens(nn.Module):
    """Tokens of the image as a whole look at the tokens of all of its parts (PA-LLaVA, Dai et al., arXiv 2408.09530).

    There the image is encoded twice, squashed to the tower's size and in tiles of its own, and tokens of the first are
    the queries of cross-attention to those of the others, to which they are added. Here the overview is the tower's
    tokens averaged to a grid, so that the image is encoded once. An image of twice the size whose tokens say the same
    makes the same tokens.

    Args:
        average: [B, N, D] tokens on a grid to [B, K, D].
        layers: of cross-attention.
        heads: of it.
        hidden: H.
        width: D.
    """

    def __init__(
        self,
        average: Callable[[Tensor, tuple[int, ...] | None], Tensor],
        layers: int,
        heads: int,
        hidden: int,
        width: int,
    ) -> None:
        super().__init__()
        self._average = average
        self.begin = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.parts = nn.LayerNorm(width)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(hidden, heads, kdim=width, vdim=width, batch_first=True) for _ in range(layers)
        )
        self.end = nn.LayerNorm(hidden)

    def forward(self, encoded: Encoded) -> Tensor:
        """[B, K, H] of B images.

        Raises:
            ConfigError: the tower gives no tokens, or none on a grid.
        """
        tokens, padding = require_tokens(encoded, "Answering", "image")
        tokens = full_precision(tokens)
        overview = self.begin(self._average(tokens, encoded.grid))
        parts = self.parts(tokens)
        for norm, look in zip(self.norms, self.attention, strict=True):
            seen = look(norm(overview), parts, parts, key_padding_mask=padding, need_weights=False)[0]
            overview = overview + seen
        return cast(Tensor, self.end(overview))
