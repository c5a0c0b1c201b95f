"""A captioning decoder a word at a time, with the keys and values of the words before it kept.

Shape letters: R rows, L words so far, Q pooled image tokens, W decoder width, H heads, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from voxtile.objectives.generative.captioning import Decoder


class CachedRows:
    """Rows of a `Decoder` in work; what it gives is what the decoder gives for the whole text (`decoding.Rows`).

    Args:
        decoder: in evaluation mode.
        image: [R, Q, W] pooled tokens of each row's image.
    """

    def __init__(self, decoder: Decoder, image: Tensor) -> None:
        self._decoder = decoder
        self._length = 0
        self._words: list[tuple[Tensor, Tensor] | None] = [None] * len(self._layers())
        multimodal = decoder.multimodal.layers
        self._image = [
            _keys_values(cast(nn.TransformerDecoderLayer, layer).multihead_attn, image) for layer in multimodal
        ]

    def following(self, words: Tensor) -> Tensor:
        """[R] words to [R, V] logits of the next ones."""
        decoder, single = self._decoder, len(self._decoder.unimodal.layers)
        state = decoder.embedded(words.to(decoder.words.weight.device)[:, None], self._length)
        for number, layer in enumerate(self._layers()):
            state = state + self._attend(number, layer.self_attn, layer.norm1(state))
            if isinstance(layer, nn.TransformerDecoderLayer):
                query = layer.norm2(state)
                state = state + _attention(layer.multihead_attn, query, *self._image[number - single])
                state = state + layer.linear2(F.gelu(layer.linear1(layer.norm3(state))))
            else:
                state = state + layer.linear2(F.gelu(layer.linear1(layer.norm2(state))))
        self._length += 1
        assert decoder.multimodal.norm is not None
        return decoder.logits(decoder.multimodal.norm(state[:, 0]))

    def take(self, rows: Tensor) -> None:
        """Go on with these rows."""
        self._words = [None if kept is None else (kept[0][rows], kept[1][rows]) for kept in self._words]
        self._image = [(keys[rows], values[rows]) for keys, values in self._image]

    def _layers(self) -> list[nn.TransformerEncoderLayer | nn.TransformerDecoderLayer]:
        return cast(
            list[nn.TransformerEncoderLayer | nn.TransformerDecoderLayer],
            [*self._decoder.unimodal.layers, *self._decoder.multimodal.layers],
        )

    def _attend(self, number: int, attention: nn.MultiheadAttention, word: Tensor) -> Tensor:
        """[R, 1, W] of the newest word, which sees itself and all before it."""
        keys, values = _keys_values(attention, word)
        before = self._words[number]
        if before is not None:
            keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
        self._words[number] = keys, values
        return _attention(attention, word, keys, values)


def _keys_values(attention: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """[R, L, W] to [R, H, L, W / H] keys and values."""
    width = attention.embed_dim
    bias = attention.in_proj_bias
    made = F.linear(tokens, attention.in_proj_weight[width:], None if bias is None else bias[width:])
    keys, values = (_heads(attention, part) for part in made.chunk(2, 2))
    return keys, values


def _attention(attention: nn.MultiheadAttention, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """[R, 1, W] of what a word sees."""
    width, bias = attention.embed_dim, attention.in_proj_bias
    asked = F.linear(query, attention.in_proj_weight[:width], None if bias is None else bias[:width])
    asked = _heads(attention, asked)
    seen = F.scaled_dot_product_attention(asked, keys, values).transpose(1, 2).flatten(2)
    return cast(Tensor, attention.out_proj(seen))


def _heads(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """[R, L, W] to [R, H, L, W / H]."""
    return tokens.view(*tokens.shape[:2], attention.num_heads, -1).transpose(1, 2)
