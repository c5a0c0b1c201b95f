"""Which samples there are, by number and by uid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_WORD = 8  # bytes that are mixed at a time
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, The Art of Computer Programming 3, section 6.4)
_FOLD = np.uint64(29)


class SampleIndex:
    """The samples of a corpus by number, in the order of corpora and parts; overviews are left out.

    It holds a uid and its hash a sample, some 60 bytes: what else a row says is read when it is shown.

    Args:
        corpus: one, or the union of several; parts that arrive later are not in it.

    Attributes:
        parts: index of the root and path of each part.
        uids: [samples].

    Raises:
        CorpusError: a part is missing or damaged.
    """

    def __init__(self, corpus: Corpus) -> None:
        roots = range(len(corpus.roots))
        self.parts: list[tuple[int, Path]] = [(root, p) for root in roots for p in corpus.parts("samples", root)]
        tables = (part_table(part, ["uid", "kind"]) for _, part in self.parts)
        chunks = [chunk for table in tables for chunk in _shown(table)["uid"].cast(pa.string()).chunks]
        self.uids: pa.Array = pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())
        self._width = -(-int(pc.max(pc.binary_length(self.uids)).as_py() or 1) // _WORD) * _WORD
        hashes = self._hashes(self.uids)
        self._order = np.argsort(hashes, kind="stable")
        self._hashed = hashes[self._order]
        pa.default_memory_pool().release_unused()

    def __len__(self) -> int:
        return len(self.uids)

    def numbers(self, uids: pa.Array | pa.ChunkedArray) -> Numbers:
        """Numbers of samples by uid, the first of those that have it; -1 where there is none."""
        asked = _one_array(uids)
        if not len(self) or not len(asked):
            return np.full(len(asked), -1, np.int64)
        hashes = self._hashes(asked)
        places = np.minimum(np.searchsorted(self._hashed, hashes), len(self) - 1)
        found = np.where(self._hashed[places] == hashes, self._order[places], -1)
        hit = np.flatnonzero(found >= 0)
        same = pc.equal(self.uids.take(pa.array(found[hit])), asked.take(pa.array(hit)))
        other = hit[~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)]
        if len(other):  # two uids with one hash
            exact = pc.fill_null(pc.index_in(asked.take(pa.array(other)), value_set=self.uids), -1)
            found[other] = exact.to_numpy(zero_copy_only=False)
        return found

    def mask(self, uids: pa.Array | pa.ChunkedArray) -> Mask:
        """[samples] whether a sample is among these."""
        return self.mask_of(self.numbers(uids))

    def mask_of(self, numbers: Numbers) -> Mask:
        """[samples] whether a sample is among these; negative numbers are none."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[numbers[numbers >= 0]] = True
        return chosen

    def tables(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table, Numbers]]:
        """The table `samples`, a part at a time: index of its root, its rows, and their numbers, -1 for overviews."""
        first = 0
        for root, part in self.parts:
            table = part_table(part, [*columns])
            shown = np.flatnonzero(pc.not_equal(table["kind"], OVERVIEW).to_numpy())
            numbers = np.full(len(table), -1, np.int64)
            numbers[shown] = np.arange(first, first + len(shown))
            first += len(shown)
            yield root, table, numbers

    def _hashes(self, uids: pa.Array) -> npt.NDArray[np.uint64]:
        """[uids] of their bytes; of longer ones than any of the corpus, of their beginning."""
        words = np.frombuffer(_padded(uids, self._width), np.uint64).reshape(len(uids), self._width // _WORD)
        mixed = np.zeros(len(uids), np.uint64)
        for word in words.T:
            mixed = (mixed ^ word) * _MIX
            mixed ^= mixed >> _FOLD
        return mixed


def _padded(uids: pa.Array, width: int) -> memoryview | bytes:
    """Their bytes, each of the width; as they lie where all have it."""
    lengths = pc.binary_length(uids)
    if len(uids) and pc.min_max(lengths).as_py() == {"min": width, "max": width}:
        start = np.frombuffer(uids.buffers()[1], np.int32)[uids.offset]
        return memoryview(uids.buffers()[2])[start : start + len(uids) * width]
    padded: npt.NDArray[np.bytes_] = uids.cast(pa.binary()).to_numpy(zero_copy_only=False).astype(f"S{width}")
    return padded.tobytes()


def _shown(table: pa.Table) -> pa.Table:
    return table.filter(pc.not_equal(table["kind"], OVERVIEW))


def _one_array(uids: pa.Array | pa.ChunkedArray) -> pa.Array:
    plain = pc.fill_null(uids.cast(pa.string()), "")
    return plain.combine_chunks() if isinstance(plain, pa.ChunkedArray) else plain
