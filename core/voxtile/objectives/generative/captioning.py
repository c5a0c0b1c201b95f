"""Captioning: each word of a text from the words before it and the image (CoCa, Yu et al., TMLR 2022).

Shape letters: B items, T texts, L tokens of a text, N tokens of an image, Q queries, V vocabulary, W decoder width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower, Tokenizer, WritingTokenizer, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.generative.captioning_rows import CachedRows
from voxtile.objectives.generative.cross_attention import check_sizes, cross_attention, require_tokens
from voxtile.objectives.generative.decoding import Decoding, Written, write
from voxtile.types import Encoded, Features

_LONGEST = 64  # tokens of a text, where the tokenizer has no context
_AT_ONCE = 32  # texts whose logits over the vocabulary are held at a time


class Captioning(ItemObjective):
    """Autoregressive cross-entropy of the texts, given their images (CoCa, eq. 3).

    With y_j the tokens of text j and x the image of its item,

        L = − 1/N Σ_j Σ_t log P(y_jt | y_j,<t, x),

    N being the number of tokens to tell. As in CoCa the image's tokens are pooled by learned queries (attentional
    pooling), words first see the words before them only, and then the pooled tokens as well. The decoder has word
    embeddings of its own, which are its output weights too: text towers may look ahead, and would give the answer away.

    Args:
        width: of the decoder.
        heads: of its attention.
        unimodal_depth: layers that see words alone.
        depth: layers that see the image, too.
        queries: pooled image tokens Q.
        dropout: in all layers.

    Raises:
        ConfigError: sizes that do not fit.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextTransformer, ViTTower
        >>> from voxtile.objectives import Captioning, Decoding
        >>> image, text = ViTTower(size=8, patch=4, width=16, depth=1, heads=2), TextTransformer(width=16, depth=1)
        >>> text.tokenizer.train(["a nodule", "no nodule"])
        >>> captioning = Captioning(width=16, queries=4).eval()
        >>> captioning.setup_towers(image, text)
        >>> pictures = image(torch.randn(2, 1, 8, 8), tokens=True)
        >>> len(captioning.generate(pictures, Decoding(method="beam", beams=3), longest=8))  # a caption an image
        2
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def __init__(
        self,
        *,
        width: int = 128,
        heads: int = 4,
        unimodal_depth: int = 1,
        depth: int = 2,
        queries: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes("Captioning", width=width, heads=heads, depth=min(unimodal_depth, depth), dropout=dropout)
        if queries < 1:
            raise ConfigError(f"Captioning needs at least 1 query, not {queries}")
        self.width, self.heads, self.dropout = width, heads, dropout
        self.depths, self.count = (unimodal_depth, depth), queries
        self.pool: AttentionalPool | None = None
        self.decoder: Decoder | None = None
        self._tokenizer: Tokenizer | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Create what depends on the vocabulary and the image tower's width.

        Raises:
            ConfigError: the text tower's tokenizer cannot write, or marks no start and end.
        """
        tokenizer = text.tokenizer
        if not isinstance(tokenizer, WritingTokenizer):
            raise ConfigError(
                f"Captioning needs a tokenizer that turns tokens back to text, which {type(tokenizer).__name__} does "
                "not; use a text tower such as TextTransformer, or remove the objective"
            )
        if tokenizer.ready:
            _marks(tokenizer)
        self._tokenizer = tokenizer
        self.pool = AttentionalPool(self.count, self.width, self.heads, image.width)
        self.decoder = Decoder(tokenizer.size, self.width, self.heads, self.depths, self.dropout)

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: the summed cross-entropy of an item's texts, and how many tokens that are.

        Raises:
            ConfigError: the image tower gives no tokens, or the objective was not set up.
        """
        batch = features.batch
        pooled, decoder = self._pooled(features.image_encoded)
        assert batch.tokens is not None
        if not len(batch.tokens):
            return features.image.new_zeros(len(batch), 2)
        before, told = batch.tokens[:, :-1], batch.tokens[:, 1:]
        states = decoder(before, pooled[batch.text_item])
        losses = [
            checkpoint(decoder.cross_entropy, *part, use_reentrant=False, preserve_rng_state=False)
            for part in zip(torch.split(states, _AT_ONCE), torch.split(told, _AT_ONCE), strict=True)
        ]
        each = torch.cat(losses)
        made = torch.stack([each, (told != 0).sum(1).to(each.dtype)], 1)
        return made.new_zeros(len(batch), 2).index_add(0, batch.text_item, made)

    def generate(
        self,
        image: Encoded,
        decoding: Decoding | None = None,
        *,
        longest: int | None = None,
        keys: Tensor | None = None,
    ) -> list[str]:
        """Say a caption of each image; arguments and errors as for `write`.

        Args:
            image: from the image tower, with `tokens`; B images.
            decoding: how; greedy where left out.
            longest: tokens at which a text is cut, in the place of the decoding's.
            keys: [B] int64 that decide what is drawn.

        Returns:
            B texts.
        """
        chosen = decoding or Decoding()
        written = self.write(image, replace(chosen, longest=longest) if longest else chosen, keys=keys)
        return [self.decode(text.tokens) for text in written]

    @torch.no_grad()
    def write(self, image: Encoded, decoding: Decoding, *, keys: Tensor | None = None) -> list[Written]:
        """Say a caption of each image in tokens, with its log-likelihood. Dropout is off meanwhile.

        Args:
            image: from the image tower, with `tokens`; B images.
            decoding: how. A text ends with the end token, and is never longer than the tokenizer's context.
            keys: [B] int64 that decide with the seed what is drawn of each; the places where left out.

        Raises:
            ConfigError: as for `rows`.
        """
        pooled, decoder = self._pooled(image)
        assert isinstance(self._tokenizer, WritingTokenizer)
        start, end = _marks(self._tokenizer)
        context = getattr(self._tokenizer, "context", None)
        limits = [limit for limit in (decoding.longest, context) if limit is not None]
        training = decoder.training
        decoder.eval()
        try:
            return write(
                lambda times: CachedRows(decoder, pooled.repeat_interleave(times, 0)),
                len(pooled),
                decoding,
                start=start,
                end=end,
                longest=min(limits, default=_LONGEST),
                keys=torch.arange(len(pooled)) if keys is None else keys,
            )
        finally:
            decoder.train(training)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        assert isinstance(self._tokenizer, WritingTokenizer)
        return self._tokenizer.decode(tokens)

    def _pooled(self, image: Encoded) -> tuple[Tensor, Decoder]:
        """[B, Q, W] pooled image tokens, and the decoder."""
        tokens, padding = require_tokens(image, "Captioning", "image")
        if self.pool is None or self.decoder is None:
            raise ConfigError("Captioning was not set up; load a checkpoint or train the model first")
        return self.pool(tokens, padding), self.decoder


class AttentionalPool(nn.Module):
    """Learned queries that look at image tokens (CoCa, section 3.2).

    Args:
        queries: Q.
        width: of the result.
        heads: of the attention.
        image_width: of the tokens.
    """

    def __init__(self, queries: int, width: int, heads: int, image_width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, kdim=image_width, vdim=image_width, batch_first=True)

    def forward(self, tokens: Tensor, padding: Tensor | None) -> Tensor:
        """Pool [B, N, image_width], of which [B, N] may be padding, to [B, Q, W]."""
        queries = self.queries.expand(len(tokens), -1, -1)
        pooled: Tensor = self.attention(queries, tokens, tokens, key_padding_mask=padding, need_weights=False)[0]
        return pooled


class Decoder(nn.Module):
    """Words from the words before them, and from an image in the second part of the layers.

    Args:
        vocabulary: V.
        width: W.
        heads: of the attention.
        depths: layers that see words alone, and layers that see the image, too.
        dropout: in all layers.
    """

    def __init__(self, vocabulary: int, width: int, heads: int, depths: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.words.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.unimodal = nn.TransformerEncoder(layer, depths[0], enable_nested_tensor=False)
        self.multimodal = cross_attention(width=width, heads=heads, depth=depths[1], dropout=dropout)

    def forward(self, tokens: Tensor, image: Tensor) -> Tensor:
        """[T, L, W] states from which the words after each of [T, L] tokens are told, given [T, Q, W] of the image."""
        words = self.embedded(tokens)
        ahead = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        words = self.unimodal(words, mask=ahead, is_causal=True)
        states: Tensor = self.multimodal(words, image, tgt_mask=ahead, tgt_is_causal=True)
        return states

    def embedded(self, tokens: Tensor, first: int = 0) -> Tensor:
        """[T, L, W] of [T, L] tokens, the first of which stands at a place of its text."""
        words: Tensor = self.words(tokens)
        return words + _positions(first + tokens.shape[1], words)[first:]

    def logits(self, states: Tensor) -> Tensor:
        """[…, W] to [… , V], by the weights of the embedding (Press and Wolf, EACL 2017)."""
        return full_precision(states @ self.words.weight.T)

    def cross_entropy(self, states: Tensor, told: Tensor) -> Tensor:
        """[T] summed over the [T, L] tokens that are to be told; padding is not."""
        logits = self.logits(states).transpose(1, 2)
        return F.cross_entropy(logits, told, ignore_index=0, reduction="none").sum(1)


def _positions(length: int, like: Tensor) -> Tensor:
    """[L, W] sinusoids (Vaswani et al. 2017, section 3.5), so that texts may be of any length."""
    width = like.shape[-1]
    place = torch.arange(length, dtype=torch.float64, device=like.device).unsqueeze(1)
    rate = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64, device=like.device) / width)
    angles = place * rate
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width].to(like.dtype) * 0.02  # the size of first words


def _marks(tokenizer: Tokenizer) -> tuple[int, int]:
    """The tokens that start and end a text."""
    marks = [token for token in tokenizer.encode([""])[0][0].tolist() if token]
    if len(marks) != 2:
        raise ConfigError(
            f"Captioning needs a tokenizer that marks where a text starts and ends; an empty text has {len(marks)} "
            "tokens here, not 2: use a text tower such as TextTransformer, or remove the objective"
        )
    return marks[0], marks[1]
