"""Near-duplicate pictures by their perceptual hashes, found without missing a pair.

Of two hashes of 63 bits that differ in at most d, split into m > d pieces, some m − d pieces agree. So all pairs within
d bits share a key in one of the (m choose d) tables of such keys (Manku, Jain and Das Sarma 2007).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from voxtile.data.epoch_order import UInt64s
from voxtile_datasets.curation.similarity_links import STAYS, Int64s, Mask, pairs_within_runs, resolve

BITS = 63
MOST_BITS = 10
HIGH, LOW = "phash_high", "phash_low"  # scores: the upper 31 bits and the lower 32
_MOST_TABLES = 130
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def joined_hashes(high: npt.NDArray[np.float64], low: npt.NDArray[np.float64]) -> UInt64s:
    """64-bit words from the two scores that hold them."""
    words: UInt64s = (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)
    return words


def alike_pictures(hashes: UInt64s, bits: int, order: Int64s, fixed: Mask) -> Int64s:
    """Find pictures whose hashes differ in at most `bits`, and choose which stay; see `links.resolve`.

    Args:
        hashes: [n] of 63 bits.
        bits: most bits that differ, at most `MOST_BITS`.
        order: [n] numbers by falling priority.
        fixed: [n] those that stay.

    Returns:
        [n] the picture that stays in each one's stead; `STAYS` for those that stay.
    """
    ranked, ranked_fixed = hashes[order], fixed[order]
    # Held-out pictures that are alike all stay, so equal hashes are joined only behind the first of each.
    distinct, first, owner = np.unique(ranked, return_index=True, return_inverse=True)
    by_rank = np.argsort(first)
    low, high = _links(distinct[by_rank], bits)
    firsts = first[by_rank]
    by = resolve(len(firsts), low, high, ranked_fixed[firsts])
    rank_of = np.empty(len(by_rank), np.int64)
    rank_of[by_rank] = np.arange(len(by_rank))
    own = rank_of[owner]
    stead = np.where(by[own] == STAYS, firsts[own], firsts[by[own]])
    stays = (stead == np.arange(len(order))) | ranked_fixed
    result = np.full(len(order), STAYS, np.int64)
    result[order] = np.where(stays, STAYS, order[stead])
    return result


def differing_bits(one: UInt64s, other: UInt64s) -> npt.NDArray[np.int64]:
    """Hamming distances."""
    differences = (one ^ other).view(np.uint16).reshape(-1, 4)
    return np.asarray(_ONES[differences].sum(axis=1), np.int64)


def _links(hashes: UInt64s, bits: int) -> tuple[Int64s, Int64s]:
    """All pairs of distinct hashes within `bits`, lower number first."""
    lows, highs = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    if bits and len(hashes) > 1:
        pieces = _pieces(len(hashes), bits)
        for kept in itertools.combinations(range(len(pieces)), len(pieces) - bits):
            mask = np.uint64(sum(pieces[piece] for piece in kept))
            for low, high in pairs_within_runs(hashes & mask):
                near = differing_bits(hashes[low], hashes[high]) <= bits
                lows.append(np.minimum(low[near], high[near]))
                highs.append(np.maximum(low[near], high[near]))
    return np.concatenate(lows), np.concatenate(highs)


def _pieces(count: int, bits: int) -> list[int]:
    """Masks of pieces, as many as make the keys long enough for the number of hashes within the number of tables."""
    wanted = math.log2(count) + 2
    number = bits + 1
    while number < BITS and BITS * (number - bits) / number < wanted and math.comb(number + 1, bits) <= _MOST_TABLES:
        number += 1
    edges = [BITS * piece // number for piece in range(number + 1)]
    return [(1 << stop) - (1 << start) for start, stop in itertools.pairwise(edges)]
