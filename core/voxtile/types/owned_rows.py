"""Rows that belong to items, each with the number of its owner, and those of some of the items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def rows_at(rows: Any, places: Tensor | slice) -> Any:  # noqa: ANN401 - a tensor, a list, or None where it is not known
    """Rows at some places."""
    if isinstance(rows, list) and isinstance(places, Tensor):
        return [rows[place] for place in places.tolist()]
    return None if rows is None else rows[places]


def owned(owners: Tensor, items: Tensor | slice, count: int) -> tuple[Tensor | slice, Tensor]:
    """Where the rows of some of `count` items are, and the new owner of each, counted as `items` are.

    Args:
        owners: [N] int64, ascending.
        items: see `Batch.select`; places, or a range.
        count: of all items.
    """
    if isinstance(items, slice):
        start, stop, _ = items.indices(count)
        first, last = torch.searchsorted(owners, torch.tensor([start, stop], device=owners.device)).tolist()
        return slice(first, last), owners[first:last] - start
    sizes = torch.bincount(owners, minlength=count)
    each, starts = sizes[items], (sizes.cumsum(0) - sizes)[items]
    new = torch.arange(len(items), device=owners.device).repeat_interleave(each)
    within = torch.arange(len(new), device=owners.device) - (each.cumsum(0) - each)[new]
    return starts[new] + within, new
