"""How many images of items that have several are loaded, and which."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def kept_places(count: int, limit: int, make_rng: Callable[[], np.random.Generator | None]) -> list[int]:
    """Places of the images that are loaded, of `count`, in order.

    Args:
        count: images of the item.
        limit: how many of them at most; 0 for all.
        make_rng: makes what draws them, where not all are kept: making it takes a fortieth of the time of a small
            picture. None takes evenly spaced ones.
    """
    if not limit or count <= limit:
        return list(range(count))
    rng = make_rng()
    if rng is None:
        kept = np.linspace(0, count - 1, limit).round().astype(int)
    else:
        kept = np.sort(rng.choice(count, limit, replace=False))
    return [int(place) for place in kept]


def levelled(counts: list[int], limit: int, budget: int) -> list[int]:
    """How many images each item of a batch may give.

    Args:
        counts: that each has.
        limit: of one item; 0 for none.
        budget: of all of them together; those that have most give of theirs.
    """
    counts = [min(count, limit) if limit else count for count in counts]
    share = level(counts, budget)
    return [min(count, share) for count in counts]


def level(counts: list[int], budget: int) -> int:
    """The largest cap for which the capped counts sum to at most the budget; every item keeps at least one."""
    left = budget
    for place, count in enumerate(sorted(counts)):
        share = left // (len(counts) - place)
        if count > share:
            return max(1, share)
        left -= count
    return max(1, *counts)
