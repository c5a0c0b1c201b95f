"""Sums over each row of the logits, a slab of rows at a time, for losses that weigh rows or pairs one by one.

Logits are z = s·XYᵀ. A slab is computed again in the backward pass; only what is kept of each row is held.

Shape letters: B items, T texts, D the shared width, R rows, C columns (items and texts, or the other way round), r rows
of a slab, K numbers kept of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from voxtile.models.tower import full_precision
from voxtile.objectives.pairs import Pairs

SLAB = 256  # rows at a time

Masks: TypeAlias = Callable[[slice], tuple[Tensor, Tensor]]  # rows of a slab to positive and valid pairs, [r, C] bool
Reduce: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, positive, valid [r, C] to [r, K]


def item_rows(pairs: Pairs) -> Masks:
    """Masks of rows that are items."""
    return lambda rows: pairs.masks(rows, slice(0, len(pairs.owner)))


def text_rows(pairs: Pairs) -> Masks:
    """Masks of rows that are texts."""

    def masks(rows: slice) -> tuple[Tensor, Tensor]:
        positive, valid = pairs.masks(slice(0, pairs.items), rows)
        return positive.T, valid.T

    return masks


def over_rows(
    reduce: Reduce, rows: Tensor, columns: Tensor, scale: Tensor, masks: Masks, *, slab: int = SLAB
) -> Tensor:
    """Reduce each row of the logits.

    Args:
        reduce: from the logits, the positive and the valid pairs of some rows to what is kept of them; gradients flow
            through it, also to what it holds.
        rows: [R, D] embeddings.
        columns: [C, D] embeddings.
        scale: multiplier of the similarities.
        masks: see `item_rows` and `text_rows`.
        slab: rows at a time; changes memory and speed only.

    Returns:
        [R, K].
    """
    rows, columns = full_precision(rows), full_precision(columns)

    def run(some: Tensor, columns: Tensor, scale: Tensor, start: int) -> Tensor:
        return reduce(scale * some @ columns.T, *masks(slice(start, start + len(some))))

    kept = []
    with torch.autocast(rows.device.type, enabled=False):
        for start in range(0, max(len(rows), 1), slab):
            some = rows[start : start + slab]
            kept.append(checkpoint(run, some, columns, scale, start, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(kept)


def log_sum(z: Tensor, where: Tensor) -> Tensor:
    """[r] log Σ exp z over the pairs that a mask takes; the lowest number of the type where it takes none."""
    lowest = torch.finfo(z.dtype).min
    total = z.masked_fill(~where, lowest).logsumexp(1)
    return torch.where(where.any(1), total, lowest)


def mean(z: Tensor, where: Tensor) -> Tensor:
    """[r] mean of z over the pairs that a mask takes; 0 where it takes none."""
    return torch.where(where, z, 0.0).sum(1) / where.sum(1).clamp(min=1)


@dataclass(frozen=True)
class Sums:
    """What softmax losses need of each row.

    Attributes:
        total: [R] log Σ exp z over the valid pairs.
        wanted: [R] mean of z over the positive pairs.
        others: [R] mean of z over the valid pairs that are not positive; as `wanted` where there are none.
        live: [R] bool, True where there is a positive pair.
    """

    total: Tensor
    wanted: Tensor
    others: Tensor
    live: Tensor

    @property
    def losses(self) -> Tensor:
        """[R] cross-entropy of each row, 0 where it has no positive pair."""
        return torch.where(self.live, self.total - self.wanted, 0.0)


def softmax_sums(rows: Tensor, columns: Tensor, scale: Tensor, masks: Masks, *, slab: int = SLAB) -> Sums:
    """What softmax losses need of each row; arguments as for `over_rows`."""
    kept = over_rows(_sums, rows, columns, scale, masks, slab=slab)
    total, wanted, others, live = kept.unbind(1)
    return Sums(total, wanted, others, live.detach() > 0)


def _sums(z: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    wanted, rest = mean(z, positive), valid & ~positive
    others = torch.where(rest.any(1), mean(z, rest), wanted)
    return torch.stack([log_sum(z, valid), wanted, others, positive.any(1).to(z.dtype)], 1)
