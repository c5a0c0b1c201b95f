"""Some of what an item has, drawn by weight: its texts, its dialogues, its pairs of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Drawn = TypeVar("Drawn")


def drawn_by_weight(
    found: Sequence[Drawn],
    count: int,
    rng: np.random.Generator | None,
    weights: Callable[[Sequence[Drawn]], npt.ArrayLike],
) -> list[Drawn]:
    """Draw without replacement, by exponential keys (Efraimidis and Spirakis, IPL 2006).

    Args:
        found: N of them, in order.
        count: how many are drawn at most; 0 takes all, in order.
        rng: source of randomness; None takes the first ones in order.
        weights: [N] of them, above 0; asked for only where there is something to choose.
    """
    if not count or len(found) <= count:
        return list(found)
    if rng is None:
        return list(found[:count])
    keys = rng.standard_exponential(len(found)) / np.asarray(weights(found), np.float64)
    return [found[place] for place in np.argsort(keys, kind="stable")[:count]]
