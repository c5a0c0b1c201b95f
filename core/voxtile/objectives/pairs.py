"""Which image-text pairs of a batch are positive and which are left out, tile by tile.

Shape letters: B items (rows of the logits), T texts (columns), K keys an item, r and c rows and columns of a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.types import Batch

RelationName: TypeAlias = Literal["text", "study", "subject", "facts", "same_facts"]
IgnoredName: TypeAlias = Literal[RelationName, "other_source"]

_PAD = -1  # keys are indices into the distinct values, never negative


@dataclass(frozen=True)
class Relation:
    """Item i and text j are related when any key of the item equals the key of the text.

    Attributes:
        item_keys: [B, K] int32, padded with -1.
        text_keys: [T] int32.
    """

    item_keys: Tensor
    text_keys: Tensor

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        keys, text_keys = self.item_keys[rows], self.text_keys[columns]
        related = keys[:, :1] == text_keys
        for k in range(1, keys.shape[1]):
            related |= keys[:, k : k + 1] == text_keys
        return related


@dataclass(frozen=True)
class Unrelated:
    """Item i and text j are related when their keys differ.

    Attributes:
        item_keys: [B] int64.
        text_keys: [T] int64.
    """

    item_keys: Tensor
    text_keys: Tensor

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        return self.item_keys[rows, None] != self.text_keys[columns]


class TiledRelation(Protocol):
    """What a set of pairs must offer."""

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""


class Tile:
    """The positive and the ignored pairs of one tile of the logits.

    Without relations the positives are the texts that the items own, held as indices; otherwise as a mask.
    """

    def __init__(self, at: tuple[Tensor, Tensor] | None, mask: Tensor | None, ignored: Tensor | None) -> None:
        self._at = at
        self._mask = mask
        self._ignored = ignored

    def drop_(self, logits: Tensor) -> None:
        """Set ignored pairs of [r, c] logits to minus infinity, in place: no part of any sum."""
        if self._ignored is not None:
            logits.masked_fill_(self._ignored, -torch.inf)

    def negate_(self, values: Tensor) -> None:
        """Change the sign of the positive pairs of [r, c] values, in place."""
        if self._at is not None:
            values[self._at] = -values[self._at]
        elif self._mask is not None:
            torch.where(self._mask, -values, values, out=values)

    def subtract_(self, shares: Tensor, weight: Tensor, axis: int) -> None:
        """Subtract `weight` ([r] of rows for axis 1, [c] of columns for axis 0) at a mask's pairs of [r, c] shares."""
        if self._mask is not None:
            shares -= self._mask * weight.unsqueeze(axis)

    def owned(self, values: Tensor) -> Tensor:
        """[n] of [r, c] values at the owned pairs; empty where the tile has a mask."""
        return values[self._at] if self._at is not None else values.new_empty(0)

    def put_owned_(self, values: Tensor, new: Tensor) -> None:
        """Overwrite [r, c] values at the owned pairs with [n] new ones; nothing where the tile has a mask."""
        if self._at is not None:
            values[self._at] = new

    def take_owned_(self, values: Tensor, axis: int) -> Tensor:
        """Set [r, c] values at owned pairs to 0; return their sums along `axis` in float64, [r] for 1 and [c] for 0.

        A share near 1 would swallow the small ones in a float32 sum.
        """
        kept = values.new_zeros(values.shape[1 - axis], dtype=torch.float64)
        if self._at is not None:
            kept.index_add_(0, self._at[1 - axis], values[self._at].double())
            values[self._at] = 0
        return kept

    def spread(self, weight: Tensor, axis: int) -> Tensor:
        """[n] weight of the row (axis 1, [r]) or the column (axis 0, [c]) of each owned pair."""
        return weight[self._at[1 - axis]] if self._at is not None else weight.new_empty(0)

    def sums(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the logits of the positive pairs by row and by column, in float64: ([r], [c])."""
        if self._at is not None:
            values = logits[self._at].double()
            rows = values.new_zeros(logits.shape[0]).index_add_(0, self._at[0], values)
            return rows, values.new_zeros(logits.shape[1]).index_add_(0, self._at[1], values)
        assert self._mask is not None
        kept = torch.where(self._mask, logits, 0.0)
        return kept.sum(1).double(), kept.sum(0).double()

    def counts(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Count the positive pairs by row and by column, as float64: ([r], [c])."""
        if self._at is not None:
            rows = torch.bincount(self._at[0], minlength=shape[0])
            return rows.double(), torch.bincount(self._at[1], minlength=shape[1]).double()
        assert self._mask is not None
        return self._mask.sum(1).double(), self._mask.sum(0).double()


class Pairs:
    """Positive and ignored pairs of a whole batch, never held as a matrix.

    Args:
        owner: [T] int64, the item that owns each text; an owned pair is always positive.
        items: number of items B.
        positives: relations that make further pairs positive.
        ignored: relations whose pairs are left out of all sums unless they are positive.
    """

    def __init__(
        self, owner: Tensor, items: int, positives: Sequence[TiledRelation] = (), ignored: Sequence[TiledRelation] = ()
    ) -> None:
        self.owner = owner
        self.items = items
        self._owned = Relation(torch.arange(items, dtype=torch.int32, device=owner.device)[:, None], owner.int())
        self._positives = tuple(positives)
        self._ignored = tuple(ignored)

    @classmethod
    def from_batch(cls, batch: Batch, positives: Sequence[IgnoredName], ignored: Sequence[IgnoredName]) -> Pairs:
        """Build the pairs from the hashes of a batch.

        Args:
            batch: its `text_item`, `text_hash`, `study`, `subject` and `source` are read.
            positives: `text` (the item has a text with the same hash), `study`, `subject`, `facts` (all that the text
                states is known to be true of the item), `same_facts` (the owner of the text has the same known facts).
            ignored: likewise, for pairs that are neither positive nor negative; `facts` here means that the item's
                facts do not decide whether the text is true of it, and `other_source` that the item and the owner of
                the text are of different sources of a mixture.

        Raises:
            ConfigError: a relation that does not exist.
        """
        return cls(
            batch.text_item,
            len(batch),
            [r for name in positives if (r := _relation(batch, name, StatedRelation)) is not None],
            [r for name in ignored if (r := _relation(batch, name, UndecidedRelation)) is not None],
        )

    def tile(self, rows: slice, columns: slice) -> Tile:
        """The pairs of one tile; both slices have a start and a stop."""
        if not self._positives and not self._ignored:
            return Tile(self._owned_at(rows, columns), None, None)
        mask = self._owned.tile(rows, columns)
        for relation in self._positives:
            mask |= relation.tile(rows, columns)
        ignored = None
        for relation in self._ignored:
            related = relation.tile(rows, columns)
            ignored = related if ignored is None else ignored | related
        if ignored is not None:
            ignored &= ~mask
        if not self._positives:
            return Tile(self._owned_at(rows, columns), None, ignored)
        return Tile(None, mask, ignored)

    def dense(self) -> tuple[Tensor, Tensor]:
        """Positive and valid pairs as [B, T] bool, for objectives whose similarities are held anyway."""
        return self.masks(slice(0, self.items), slice(0, len(self.owner)))

    def masks(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Positive and valid pairs of one tile as [r, c] bool."""
        here = self.tile(rows, columns)
        marks = torch.ones(rows.stop - rows.start, columns.stop - columns.start, device=self.owner.device)
        here.negate_(marks)
        positive = marks < 0
        here.drop_(marks)
        return positive, marks.isfinite()

    def rivals(self, rows: slice, columns: slice) -> Tensor:
        """Pairs of one tile that do not belong together, as [r, c] bool: neither positive nor ignored."""
        positive, valid = self.masks(rows, columns)
        return valid & ~positive

    def _owned_at(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        owner = self.owner[columns]
        (column,) = torch.where((owner >= rows.start) & (owner < rows.stop))
        return owner[column] - rows.start, column


def _relation(
    batch: Batch, name: IgnoredName, by_facts: type[StatedRelation] | type[UndecidedRelation]
) -> TiledRelation | None:
    """The relation of that name, or None where it holds for owned pairs only (so that the cheap path can be taken)."""
    if name == "text":
        return _text_relation(batch)
    if name == "facts":
        return None if batch.text_facts is None else by_facts(batch.facts, batch.text_facts)
    if name == "other_source":
        source = batch.source
        return (
            None if source is None or bool((source == source[0]).all()) else Unrelated(source, source[batch.text_item])
        )
    if name == "same_facts":
        index = _same_facts(batch.facts)
    elif name in ("study", "subject"):
        index = torch.unique(batch.study if name == "study" else batch.subject, return_inverse=True)[1]
    else:
        known = ", ".join(get_args(IgnoredName))
        raise ConfigError(f"a contrastive objective knows no relation '{name}'; there are: {known}")
    if len(torch.unique(index)) == len(batch):
        return None
    index = index.int()
    return Relation(index[:, None], index[batch.text_item])


def _same_facts(facts: Tensor) -> Tensor:
    """[B] group of each item: equal facts share one; an item of which nothing is known is alone."""
    distinct, index = torch.unique(facts, dim=0, return_inverse=True)
    alone = len(distinct) + torch.arange(len(facts), device=facts.device)
    return torch.where((facts < 0).all(1), alone, index)


def _text_relation(batch: Batch) -> Relation | None:
    distinct, index = torch.unique(batch.text_hash, return_inverse=True)
    owned = torch.unique(torch.stack([batch.text_item, index], 1), dim=0)  # [P, 2], sorted by item
    if owned.shape[0] == distinct.numel():
        return None
    count = torch.bincount(owned[:, 0], minlength=len(batch))
    first = torch.cumsum(count, 0) - count
    slot = torch.arange(owned.shape[0], device=owned.device) - first[owned[:, 0]]
    keys = torch.full((len(batch), int(count.max())), _PAD, dtype=torch.int32, device=owned.device)
    keys[owned[:, 0], slot] = owned[:, 1].int()
    return Relation(keys, index.int())


class StatedRelation:
    """Pairs whose text is true of the item.

    Args:
        facts: [B, F] int8, 1 present, 0 absent, -1 unknown.
        text_facts: [T, F] int8, likewise.
    """

    def __init__(self, facts: Tensor, text_facts: Tensor) -> None:
        self._present, self._absent = (facts == 1).float(), (facts == 0).float()
        self._says_present, self._says_absent = (text_facts == 1).float(), (text_facts == 0).float()
        self._stated = (text_facts >= 0).sum(1).float()

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        return (self._agreed(rows, columns) == self._stated[columns]) & (self._stated[columns] > 0)

    def _agreed(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] number of stated facts that hold."""
        present = self._present[rows] @ self._says_present[columns].T
        return present.addmm_(self._absent[rows], self._says_absent[columns].T)

    def _denied(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] number of stated facts that do not hold."""
        denied = self._present[rows] @ self._says_absent[columns].T
        return denied.addmm_(self._absent[rows], self._says_present[columns].T)


class UndecidedRelation(StatedRelation):
    """Pairs whose text is neither true nor false of the item."""

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        return (self._denied(rows, columns) == 0) & ~super().tile(rows, columns)
