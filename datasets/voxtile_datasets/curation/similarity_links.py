"""Which of several similar items stay: links between similar ones, and the choice that leaves none of them twice.

Items are numbered by priority: of two that are alike the one with the lower number stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Int64s: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

STAYS = -1
_UNDECIDED, _KEPT, _GONE = 0, 1, 2


def resolve(count: int, low: Int64s, high: Int64s, fixed: Mask) -> Int64s:
    """Go through the items by priority; one that is linked to an item that stays is removed.

    No chain of links removes an item: each removed one is itself alike to one that stays. (The lexicographically first
    maximal independent set, found in rounds: Blelloch, Fineman and Shun 2012.)

    Args:
        count: number of items.
        low: [links] the item of higher priority.
        high: [links] the other one.
        fixed: [count] items that always stay.

    Returns:
        [count] the item that stays in each one's stead; `STAYS` for those that stay.
    """
    state = np.zeros(count, np.uint8)
    by = np.full(count, STAYS, np.int64)
    open_links = ~fixed[high]
    low, high = low[open_links], high[open_links]
    linked = np.zeros(count, np.bool_)
    linked[high] = True
    state[~linked | fixed] = _KEPT
    while len(low):
        kept = state[low] == _KEPT
        state[high[kept]] = _GONE
        by[high[kept][::-1]] = low[kept][::-1]
        going = (state[low] != _GONE) & (state[high] == _UNDECIDED)
        waiting = np.zeros(count, np.bool_)
        waiting[high[going]] = True
        state[(state == _UNDECIDED) & ~waiting] = _KEPT
        low, high = low[going], high[going]
    return by


def pairs_within_runs(keys: npt.NDArray[np.generic]) -> Iterator[tuple[Int64s, Int64s]]:
    """All pairs of items with the same key, as arrays of lower and higher numbers, some at a time.

    Args:
        keys: [n], of any type that sorts.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    places = np.arange(len(keys) - 1)
    lag = 1
    while len(places):
        places = places[places + lag < len(keys)]
        places = places[ordered[places] == ordered[places + lag]]
        if len(places):
            yield order[places].astype(np.int64), order[places + lag].astype(np.int64)
        lag += 1


def groups(by: Int64s) -> int:
    """Number of items that stay and stand for at least one other."""
    return len(np.unique(by[by >= 0]))
