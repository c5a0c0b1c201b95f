"""Gated contrast: written and generated captions of an image vouch for each other (ALIP, Yang et al., ICCV 2023).

Shape letters: B items, T texts, D the shared width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.row_slabs import item_rows, softmax_sums, text_rows
from voxtile.objectives.pairs import IgnoredName, Pairs
from voxtile.types import Batch, Features


class GatedContrastive(Objective):
    """Softmax contrast of images with raw and with synthetic captions, each sample and pair weighed by two gates.

    With r_i and c_i the means of an item's raw and synthetic text vectors, H a running mean of each similarity over
    batches (momentum m), and both gates open (1) where S_i = ⟨r_i, c_i⟩ is at least its H (ALIP, section 3.3):

        language consistency      W_i  = exp(γ_s · (S_i − H_s))                 where S_i < H_s
        description consistency   W_ij = exp(γ_p · (⟨x_i, y_j⟩ − H_kind(j)))    where S_i < H_s
        L = Σ_kind 1/T_kind Σ_{j of kind} W_i · W_ij · ½ (log Σ_k exp z_ik + log Σ_k exp z_kj − 2 z_ij),   i = item of j

    where sums over texts run over those of the same kind. Two things are ours: an item of which only one kind is known
    has open gates, and H starts at the mean of the first batch, not at 1. No gradient flows into the gates.

    Take both kinds with `data.captions: {per_item: 0}`, or weigh them by `kinds`. H is in the checkpoint.

    Args:
        raw: kinds of captions that people wrote; all others are synthetic.
        sample_gate: γ_s.
        pair_gate: γ_p.
        momentum: m.
        ignore: as in `voxtile.objectives.Contrastive`.

    Raises:
        ConfigError: numbers out of range, or no kind of raw captions.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import GatedContrastive
        >>> from voxtile.types import Features
        >>> owner, kinds = torch.tensor([0, 0, 1, 1]), ["raw", "rewrite", "raw", "rewrite"]
        >>> alike = Features.of_pairs(torch.ones(2, 8), torch.ones(4, 8), text_item=owner, text_kinds=kinds)
        >>> round(GatedContrastive()(alike).item(), 4)  # log 2 for each kind: the gates are open
        1.3863
    """

    couples_items: ClassVar[bool] = True
    history: Tensor
    started: Tensor

    def __init__(
        self,
        *,
        raw: Sequence[str] = ("raw",),
        sample_gate: float = 2.0,
        pair_gate: float = 2.0,
        momentum: float = 0.99,
        ignore: Sequence[IgnoredName] = (),
    ) -> None:
        super().__init__()
        if not raw:
            raise ConfigError("GatedContrastive has no kind of raw captions; set raw, e.g. to [raw]")
        if min(sample_gate, pair_gate) < 0 or not 0 <= momentum < 1:
            raise ConfigError(
                f"GatedContrastive needs gates of at least 0 and a momentum from 0 to below 1, not {sample_gate}, "
                f"{pair_gate}, {momentum}"
            )
        self.raw, self.sample_gate, self.pair_gate, self.momentum = tuple(raw), sample_gate, pair_gate, momentum
        self.ignore = tuple(ignore)
        self.register_buffer("history", torch.zeros(3))  # of texts, of images with raw and with synthetic texts
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: the loader does not tell kinds of captions, or the first batch lacks one.
        """
        kinds = self._kinds(features.batch, features.text.device)
        weights = self._weights(features, kinds)
        loss = features.image.sum() * 0.0
        for kind in (True, False):
            keep = kinds == kind
            if keep.any():
                loss = loss + _weighted(features, keep, weights[keep], self.ignore)
        return loss

    def _kinds(self, batch: Batch, device: torch.device) -> Tensor:
        """[T] bool, True where a text is raw."""
        if batch.text_kinds is None:
            raise ConfigError(
                "GatedContrastive needs the kind of each caption, which this loader does not give; use a corpus, or "
                "remove the objective"
            )
        kinds = torch.tensor([kind in self.raw for kind in batch.text_kinds], device=device, dtype=torch.bool)
        if not self.started and (kinds.all() or not kinds.any()):
            raise ConfigError(
                f"GatedContrastive compares captions of the kinds {', '.join(self.raw)} with others, but the first "
                f"batch has only {', '.join(sorted(set(batch.text_kinds))) or 'none'}; set data.captions so that both "
                "are taken, e.g. per_item: 0"
            )
        return kinds

    @torch.no_grad()
    def _weights(self, features: Features, kinds: Tensor) -> Tensor:
        """[T] W_i · W_ij."""
        image, text, owner = full_precision(features.image), full_precision(features.text), features.batch.text_item
        raw, synthetic = (_means(text, owner, kinds == kind, len(image)) for kind in (True, False))
        both = raw[1] & synthetic[1]
        agree, fits = (raw[0] * synthetic[0]).sum(1), (image[owner] * text).sum(1)
        self._follow([agree[both], fits[kinds], fits[~kinds]])
        history = self.history.to(agree)
        doubtful = both & (agree < history[0])
        sample = torch.where(doubtful, (self.sample_gate * (agree - history[0])).exp(), 1.0)
        expected = torch.where(kinds, history[1], history[2])
        pair = torch.where(doubtful[owner], (self.pair_gate * (fits - expected)).exp(), 1.0)
        return sample[owner] * pair

    def _follow(self, similarities: list[Tensor]) -> None:
        """Let H follow the means of a training batch; where a batch has none it stays."""
        if self.started and not self.training:
            return
        for place, values in enumerate(similarities):
            if len(values):
                mean = values.mean().to(self.history.dtype)
                kept = self.momentum if self.started else 0.0
                self.history[place] = kept * self.history[place] + (1 - kept) * mean
        self.started.fill_(self.training)


def _means(text: Tensor, owner: Tensor, keep: Tensor, items: int) -> tuple[Tensor, Tensor]:
    """[B, D] mean of each item's texts that are kept, and [B] whether it has any."""
    counts = torch.bincount(owner[keep], minlength=items)
    total = text.new_zeros(items, text.shape[1]).index_add(0, owner[keep], text[keep])
    return total / counts.clamp(min=1).unsqueeze(1), counts > 0


def _weighted(features: Features, keep: Tensor, weights: Tensor, ignore: Sequence[IgnoredName]) -> Tensor:
    """Weighted mean of the losses of pairs of items with some of their texts."""
    image, text, batch = features.image, features.text[keep], features.batch.with_texts(keep)
    pairs, scale = Pairs.from_batch(batch, (), ignore), features.logit_scale
    over_texts = softmax_sums(image, text, scale, item_rows(pairs)).total[batch.text_item]
    over_items = softmax_sums(text, image, scale, text_rows(pairs)).total
    own = scale * (full_precision(image)[batch.text_item] * full_precision(text)).sum(1)
    return (weights * (0.5 * (over_texts + over_items) - own)).mean()
