"""Pairs judged by facts: is what a text states true of an item?

An item has facts, read from its own report or labels; a text states some by itself. With both known, each pair of the
batch is true (all that is stated holds), false (something stated does not hold) or undecided (something stated is not
known, or nothing is stated). The idea is the semantic matching of MedCLIP (Wang et al., EMNLP 2022).

Shape letters: B items, T texts, F facts, r and c rows and columns of a tile.
"""

from __future__ import annotations

from torch import Tensor


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
