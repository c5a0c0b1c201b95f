"""From states of the language model to what a text tower would give for a phrase, which asks the grounding decoder.

Shape letters: M places that are pointed at, W width of the language model, Q words at most, L words of a phrase, D
width of the text tower.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.models.tower import full_precision
from voxtile.types import Encoded


class PhraseQueries(nn.Module):
    """A phrase as the decoder reads it, made of one state: the whole, its words, and how many words those are.

    Args:
        language: W.
        hidden: width within.
        text: D.
        words: Q.
    """

    def __init__(self, language: int, hidden: int, text: int, words: int) -> None:
        super().__init__()
        self.words, self.text = words, text
        self.made = nn.Sequential(nn.LayerNorm(language), nn.Linear(language, hidden), nn.GELU())
        self.vectors = nn.Linear(hidden, (1 + words) * text)
        self.there = nn.Linear(hidden, words)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """[M, W] to [M, 1 + Q, D] the whole and its words, and [M, Q] logits of there being such a word."""
        made = self.made(states)
        return self.vectors(made).unflatten(1, (1 + self.words, self.text)), self.there(made)

    def encoded(self, states: Tensor) -> Encoded:
        """[M, W] to pooled [M, D] and tokens [M, Q, D] with their mask, as a text tower gives them."""
        vectors, there = self(states)
        return Encoded(vectors[:, 0], vectors[:, 1:], None, there > 0) if self.words else Encoded(vectors[:, 0])

    def unlike(self, states: Tensor, phrases: Encoded) -> Tensor:
        """How far what states ask lies from phrases; 0 where the decoder cannot tell them apart.

        With q and p the whole, t and w the words of both, the first Q of the phrase's L, and z the logits,

            |q − p|² / |p|²  +  Σ_l |t_l − w_l|² / Σ_l |w_l|²  +  mean over Q of the cross-entropy of z.

        Args:
            states: [M, W].
            phrases: M, of the text tower; no gradient reaches it.

        Returns:
            [M].
        """
        vectors, there = self(states)
        whole = full_precision(phrases.pooled).detach().to(vectors)
        losses = _apart(vectors[:, :1], whole[:, None])
        if not self.words:
            return losses
        held = torch.zeros_like(there, dtype=torch.bool)
        if phrases.tokens is not None:
            words = full_precision(phrases.tokens)[:, : self.words].detach().to(vectors)
            mask = phrases.mask if phrases.mask is not None else words.new_ones(phrases.tokens.shape[:2])
            held[:, : words.shape[1]] = mask[:, : self.words].bool()
            count = words.shape[1]
            kept = held[:, :count, None]
            losses = losses + _apart(vectors[:, 1 : 1 + count] * kept, words * kept)
        counted = F.binary_cross_entropy_with_logits(there, held.to(there.dtype), reduction="none")
        return losses + counted.mean(1)


def joined(queries: Sequence[Encoded]) -> Encoded:
    """Several phrases, one after the other, as one model makes them."""
    tokens, masks = [q.tokens for q in queries if q.tokens is not None], [q.mask for q in queries if q.mask is not None]
    whole = torch.cat([query.pooled for query in queries])
    return Encoded(whole, torch.cat(tokens) if tokens else None, None, torch.cat(masks) if masks else None)


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """[M] squared distance of [M, n, D] vectors, as a share of the squared length of those that are wanted."""
    length = wanted.square().sum((1, 2)).clamp(min=torch.finfo(wanted.dtype).tiny)
    return (made - wanted).square().sum((1, 2)) / length
