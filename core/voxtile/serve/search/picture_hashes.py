"""Pictures that are nearly the same, by the perceptual hashes that `voxtile score --from image` keeps as scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.serve.sample_index import Numbers, SampleIndex
from voxtile.serve.tables import Tables

MOST_BITS = 4
"""Of 63 that differ: what `voxtile curate --dedup picture` takes for the same where no other number is given."""

_HIGH, _LOW = "phash_high", "phash_low"  # scores: the upper 31 bits and the lower 32


@dataclass(frozen=True)
class PictureHashes:
    """Hashes of 63 bits.

    Attributes:
        numbers: [n] of samples that have one, ascending.
        words: [n] uint64.
    """

    numbers: Numbers
    words: npt.NDArray[np.uint64]

    def alike(self, number: int) -> list[tuple[int, int]]:
        """Other samples within `MOST_BITS` of a sample, the nearest first, each with the bits that differ."""
        place = int(np.searchsorted(self.numbers, number))
        if place >= len(self.numbers) or self.numbers[place] != number:
            return []
        differ = (self.words ^ self.words[place]).view(np.uint8).reshape(-1, 8)
        bits = _ONES[differ].sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(bits <= MOST_BITS)
        near = near[np.lexsort((near, bits[near]))]
        return [(int(self.numbers[n]), int(bits[n])) for n in near if n != place]


_ONES = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def picture_hashes(tables: Tables, index: SampleIndex) -> PictureHashes:
    """Those of a corpus; empty where it was not scored."""
    rows = tables.table(
        f"SELECT uid, max(value) FILTER (name = '{_HIGH}') AS high, max(value) FILTER (name = '{_LOW}') AS low "
        f"FROM scores WHERE name IN ('{_HIGH}', '{_LOW}') AND value IS NOT NULL GROUP BY uid "
        "HAVING high IS NOT NULL AND low IS NOT NULL"
    )
    numbers = index.numbers(rows["uid"].cast(pa.string()))
    high, low = (np.asarray(rows[name].to_numpy(), np.float64).astype(np.uint64) for name in ("high", "low"))
    words = (high << np.uint64(32)) | low
    kept = np.flatnonzero(numbers >= 0)
    kept = kept[np.argsort(numbers[kept], kind="stable")]
    return PictureHashes(numbers[kept], words[kept])
