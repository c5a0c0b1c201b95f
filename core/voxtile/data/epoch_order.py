"""The order of an epoch as a pure function of (seed, epoch, position), in constant memory.

Positions are shuffled on two levels so that reads stay local in a corpus of any size: blocks of neighbouring rows are
permuted over the whole epoch, and rows are permuted within windows of many blocks. A keyed rotation moves the block
borders every epoch. Nothing depends on NumPy's random streams, which may change between versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

SORTED_DOMAIN = (
    1 << 16
)  # up to here a permutation is an exact sort of keyed hashes (0.5 MB); above it a Feistel network
ROUNDS = 8  # twice the four rounds that Luby and Rackoff (1988) need for a strong pseudo-random permutation
SMALL_EPOCH = 1 << 20  # up to here rows are shuffled one by one: the page cache makes locality worthless
BLOCK_ROWS = 32
WINDOW_BLOCKS = 2048  # 2048 · 32 rows = SORTED_DOMAIN

_SHIFT_STREAM = 5  # key of the weighted order's offset in an epoch

_GOLDEN = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


def mix64(values: UInt64s) -> UInt64s:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words with full avalanche."""
    z = values + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64s = z ^ (z >> np.uint64(31))
    return mixed


def derive_key(*parts: int) -> int:
    """Fold integers into one 64-bit key; different tuples give unrelated keys."""
    key = len(parts)
    for part in parts:
        z = ((key ^ part) + _GOLDEN) & _MASK64  # SplitMix64 as in `mix64`, in plain integers
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
        key = ((z ^ (z >> 31)) * 0xD6E8FEB86659FD93 + 1) & _MASK64
    return key


def permute(positions: Int64s, size: int, key: int) -> Int64s:
    """Map positions in [0, size) to [0, size) by the bijection that `key` selects.

    Args:
        positions: [P] positions, each in [0, size).
        size: number of elements, at most 2^62.
        key: 64-bit key.
    """
    if size <= SORTED_DOMAIN:
        return _sorted_permutation(size, key)[positions]
    return _feistel(positions, size, key)


@lru_cache(maxsize=32)  # 16 MB: the sources of a mixture, each in its own epoch
def _sorted_permutation(size: int, key: int) -> Int64s:
    """A uniform permutation: the argsort of one keyed hash per element."""
    hashes = mix64(np.arange(size, dtype=np.uint64) ^ np.uint64(key))
    order: Int64s = np.argsort(mix64(hashes + np.uint64(key)), kind="stable").astype(np.int64)
    order.flags.writeable = False
    return order


def _feistel(positions: Int64s, size: int, key: int) -> Int64s:
    """Balanced Feistel network on the next even number of bits, walked along its cycle until it falls below `size`."""
    half = np.uint64(((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)
    round_keys = [np.uint64(derive_key(key, r)) for r in range(ROUNDS)]
    values = positions.astype(np.uint64)
    pending = np.arange(len(values))
    while len(pending):
        walked = values[pending]
        left, right = walked >> half, walked & mask
        for round_key in round_keys:
            left, right = right, left ^ (mix64(right ^ round_key) & mask)
        walked = (left << half) | right
        values[pending] = walked
        pending = pending[walked >= np.uint64(size)]
    return values.astype(np.int64)


@dataclass(frozen=True)
class EpochOrder:
    """Which row is drawn at each position of an epoch.

    Attributes:
        size: number of rows; every epoch draws each exactly once.
        seed: the run's seed.
        block: rows that stay neighbours on the outer level; 1 shuffles row by row.
        window: blocks whose rows are mixed with each other.
    """

    size: int
    seed: int
    block: int = 1
    window: int = WINDOW_BLOCKS

    @classmethod
    def automatic(cls, size: int, seed: int) -> EpochOrder:
        """Row by row for up to a million rows, by blocks of 32 in windows of 65,536 rows above."""
        return cls(size, seed, block=1 if size <= SMALL_EPOCH else BLOCK_ROWS)

    def rows(self, epoch: int, positions: Int64s) -> Int64s:
        """Rows at these positions of an epoch.

        Args:
            epoch: number of the epoch, from 0.
            positions: [P] positions in [0, size).

        Returns:
            [P] rows in [0, size).
        """
        key = derive_key(self.seed, epoch)
        if self.block == 1:
            return permute(positions, self.size, key)
        rotated = self._blockwise(positions, key)
        return (rotated + derive_key(key, 1) % self.size) % self.size

    def _blockwise(self, positions: Int64s, key: int) -> Int64s:
        """Rows before rotation: shuffled windows of shuffled whole blocks, then the shuffled remainder."""
        blocks = self.size // self.block
        window_rows = self.window * self.block
        rows = np.empty_like(positions)
        windows = np.where(positions < blocks * self.block, positions // window_rows, -1)
        for window in np.unique(windows):
            here = windows == window
            if window < 0:
                start, length = blocks * self.block, self.size - blocks * self.block
                rows[here] = start + permute(positions[here] - start, length, derive_key(key, 2))
                continue
            start = int(window) * window_rows
            length = min(window_rows, blocks * self.block - start)
            inside = permute(positions[here] - start, length, derive_key(key, 3, int(window)))
            block = permute(start // self.block + inside // self.block, blocks, derive_key(key, 4))
            rows[here] = block * self.block + inside % self.block
        return rows


@dataclass(frozen=True)
class WeightedOrder:
    """Draws in proportion to weights, still a pure function of (seed, epoch, position).

    The slots of an epoch are shuffled as the rows of `EpochOrder` are, and slot s takes the row in whose share of the
    total weight the point (s + u) / size lies, with u in [0, 1) of the epoch: systematic sampling (Madow and Madow
    1944). A row with the share w is drawn ⌊size · w⌋ or ⌈size · w⌉ times an epoch, and on average size · w times.

    Attributes:
        slots: the order of the slots, as many as there are rows.
        sums: [size + 1] running sums of the weights, which may be memory-mapped.
    """

    slots: EpochOrder
    sums: npt.NDArray[np.float64]

    @property
    def size(self) -> int:
        """Draws an epoch."""
        return self.slots.size

    def rows(self, epoch: int, positions: Int64s) -> Int64s:
        """As `EpochOrder.rows`, but a row may come more than once, and one without weight never does."""
        low, high = float(self.sums[0]), float(self.sums[-1])
        shift = derive_key(self.slots.seed, epoch, _SHIFT_STREAM) / 2**64
        points = low + (self.slots.rows(epoch, positions) + shift) / self.size * (high - low)
        drawn = np.searchsorted(self.sums, np.minimum(points, np.nextafter(high, low)), side="right") - 1
        return np.asarray(drawn, np.int64)
