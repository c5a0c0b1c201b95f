"""In which order the items of a global batch are handed out to ranks, so that each reads neighbours on the disk.

Within a window of a large corpus a batch holds several rows of each block. Handed out as they were drawn, they would
go to as many ranks, and every rank would read of as many shards as it has items. The batch itself, the set of its items
and what is drawn for each of them, is the same either way.
"""

from __future__ import annotations

import numpy as np

from voxtile.data.epoch_order import EpochOrder, Int64s, WeightedOrder
from voxtile.data.mixture.order import MixtureOrder

STRIPS = 4  # parts of the corpus, each of which gives every rank some: corpora whose halves differ in size are shared
RUN = 8  # neighbours that are handed out together


def reads_by_blocks(order: EpochOrder | WeightedOrder | MixtureOrder) -> bool:
    """Whether neighbours come close together in an order, so that it matters who reads which of them.

    A mixture's items are in groups of one source, which stay as they are.
    """
    if isinstance(order, MixtureOrder):
        return False
    return (order.slots if isinstance(order, WeightedOrder) else order).block > 1


def by_place(rows: Int64s) -> Int64s:
    """The order in which a global batch is handed out, of which rank r takes the r-th equal part.

    The rows are sorted and cut into `STRIPS` strips; runs of `RUN` neighbours are taken of each strip in turn. Whoever
    takes the r-th part therefore stays near the same `STRIPS` places of the corpus from batch to batch.

    Args:
        rows: [B] rows of the batch, in the order of the draws.

    Returns:
        [B] places in `rows`, a permutation that depends on the rows alone and not on the number of ranks.
    """
    ascending = np.argsort(rows, kind="stable")
    whole = len(rows) // (STRIPS * RUN) * STRIPS * RUN
    runs = ascending[:whole].reshape(STRIPS, -1, RUN).swapaxes(0, 1)
    places: Int64s = np.concatenate([runs.reshape(-1), ascending[whole:]])
    return places
