"""Layers in which words look at image tokens, for objectives that read both.

Shape letters: B items, N tokens of an image, W width of the layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.types import Encoded


def check_sizes(name: str, *, width: int, heads: int, depth: int, dropout: float) -> None:
    """Check what layers are made with.

    Raises:
        ConfigError: numbers out of range; names the objective.
    """
    if min(width, heads, depth) < 1 or width % heads or not 0 <= dropout < 1:
        raise ConfigError(
            f"{name} needs positive sizes, a width that is a multiple of heads and a dropout below 1, not width "
            f"{width}, heads {heads}, depth {depth} and dropout {dropout:g}"
        )


def cross_attention(*, width: int, heads: int, depth: int, dropout: float) -> nn.TransformerDecoder:
    """Pre-norm layers of self-attention, attention to the image, and a feed-forward part."""
    layer = nn.TransformerDecoderLayer(
        width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerDecoder(layer, depth, norm=nn.LayerNorm(width))


def require_tokens(encoded: Encoded, objective: str, side: str) -> tuple[Tensor, Tensor | None]:
    """[B, N, W] local features of a tower, and [B, N] bool, True where one is padding (None: nowhere).

    Raises:
        ConfigError: it gives none; names the objective.
    """
    if encoded.members is not None:
        raise ConfigError(
            f"the {objective} objective needs tokens, but items have several samples; use data.unit: sample"
        )
    if encoded.tokens is None:
        raise ConfigError(
            f"the {objective} objective needs tokens, which the {side} tower does not give; use a tower of voxtile "
            "such as WaveletTower or TextTransformer, or remove the objective"
        )
    return encoded.tokens, None if encoded.mask is None else ~encoded.mask
