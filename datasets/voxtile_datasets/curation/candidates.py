"""What curation works on: the samples and captions of a corpus by their place in the tables, and which are left.

Rows are numbered in the order of roots, parts and rows, so that a mask says what is selected and nothing is joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_batches
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.view.key import INPUT_TABLES
from voxtile.corpus.view.tables import assign_splits, connect, judge_captions
from voxtile.data.epoch_order import UInt64s
from voxtile.errors import ConfigError, CorpusError
from voxtile_datasets.curation.similarity_links import Int64s, Mask
from voxtile_datasets.curation.string_hashes import string_keys

TABLES = (*INPUT_TABLES, "scores", "reviews")
_BATCH = 1 << 16


@dataclass
class Pool:
    """The samples and captions of one or more corpora.

    Attributes:
        store: the corpora.
        connection: their tables in SQL, with `judged` (caption_id, verdict) beside them.
        keep: [samples] whether each is still selected.
        fixed: [samples] in a validation or test split: conditions apply to them, and no other step does.
        owner: [captions] the sample of each; -1 for captions of samples that do not exist.
        keep_captions: [captions] whether each is still selected.
    """

    store: Corpus
    connection: duckdb.DuckDBPyConnection
    keep: Mask
    fixed: Mask
    owner: npt.NDArray[np.int32]
    keep_captions: Mask
    _keys: UInt64s = field(repr=False)
    _order: npt.NDArray[np.integer[Any]] = field(repr=False)

    @classmethod
    def open(cls, store: Corpus, scheme: str, scratch: Path, memory_mb: int) -> Pool:
        """Read where everything is.

        Args:
            store: the corpora.
            scheme: split scheme that says which samples are held out.
            scratch: folder to which queries may spill.
            memory_mb: memory in MB of queries.

        Raises:
            ConfigError: the corpus has splits but not this scheme.
            CorpusError: a table is damaged, or a uid occurs twice.
        """
        for root in range(len(store.roots)):
            for name in TABLES:
                store.parts(name, root)  # checks versions and columns
        connection = connect(store.roots, scratch, tables=TABLES, memory_mb=memory_mb)
        assign_splits(connection, scheme)
        judge_captions(connection)
        kinds, keys = _sample_keys(store)
        order = np.argsort(keys, kind="stable")
        if len(order) <= np.iinfo(np.uint32).max:
            order = order.astype(np.uint32)  # of a billion samples four gigabytes less
        keys.sort()
        pool = cls(store, connection, kinds, np.zeros(len(keys), np.bool_), _NO_CAPTIONS, _NOTHING, keys, order)
        if (pool._keys[1:] == pool._keys[:-1]).any():
            raise CorpusError(f"a uid occurs twice in '{store.roots[0]}'; run `voxtile verify` on the corpus")
        pool.fixed = pool.mask("SELECT uid FROM samples JOIN assigned USING (subject) WHERE code <> 0")
        pool.owner = pool._owners()
        pool.keep_captions = pool.owner >= 0
        pool.keep_captions &= pool.keep[pool.owner]
        return pool

    @property
    def samples(self) -> int:
        """Number of samples that are selected."""
        return int(self.keep.sum())

    @property
    def captions(self) -> int:
        """Number of captions that are selected."""
        return int(self.keep_captions.sum())

    @property
    def open_samples(self) -> Mask:
        """[samples] selected and not held out: what steps work on."""
        return self.keep & ~self.fixed

    def places(self, uids: pa.Array) -> Int64s:
        """Numbers of samples by uid; -1 where there is none."""
        keys = string_keys(uids)
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at].astype(np.int64), -1)

    def mask(self, query: str) -> Mask:
        """[samples] whose uid a query gives in its first column."""
        found = np.zeros(len(self.keep), np.bool_)
        for batch in self.connection.sql(query).to_arrow_reader(_BATCH):
            places = self.places(batch.column(0))
            found[places[places >= 0]] = True
        return found

    def values(self, query: str) -> npt.NDArray[np.float64]:
        """[samples] numbers that a query gives as (uid, value); NaN where it gives none."""
        values = np.full(len(self.keep), np.nan)
        for batch in self.connection.sql(query).to_arrow_reader(_BATCH):
            places = self.places(batch.column(0))
            given = batch.column(1).cast(pa.float64()).to_numpy(zero_copy_only=False)
            values[places[places >= 0]] = given[places >= 0]
        return values

    def caption_mask(self, query: str) -> Mask:
        """[captions] whose caption_id a query gives in its first column."""
        keys = [string_keys(batch.column(0)) for batch in self.connection.sql(query).to_arrow_reader(_BATCH)]
        wanted = np.sort(np.concatenate(keys)) if keys else np.empty(0, np.uint64)
        found = np.zeros(len(self.owner), np.bool_)
        start = 0
        for batch in scan(self.store, "captions", ["caption_id"]):
            own = string_keys(batch.column(0))
            if len(wanted):
                at = np.searchsorted(wanted, own).clip(max=len(wanted) - 1)
                found[start : start + len(own)] = wanted[at] == own
            start += len(own)
        return found

    def drop_samples(self, gone: Mask) -> None:
        """Leave samples out, with their captions."""
        self.keep &= ~gone
        self.keep_captions &= self.keep[self.owner]

    def drop_captions(self, gone: Mask) -> None:
        """Leave captions out, and samples that have none left and had one."""
        before = self._caption_counts()
        self.keep_captions &= ~gone
        bare = (before > 0) & (self._caption_counts() == 0)
        self.keep &= ~bare

    def _caption_counts(self) -> Int64s:
        return np.bincount(self.owner[self.keep_captions], minlength=len(self.keep))

    def texts(self) -> Iterator[tuple[Int64s, pa.Array]]:
        """Numbers and texts of the selected captions, batch by batch."""
        start = 0
        for batch in scan(self.store, "captions", ["text"]):
            chosen = self.keep_captions[start : start + len(batch)]
            if chosen.any():
                yield start + np.flatnonzero(chosen).astype(np.int64), batch.column(0).filter(pa.array(chosen))
            start += len(batch)

    def uids(self, samples: Sequence[int]) -> list[str]:
        """Uids of samples by number, in the order given."""
        return _picked(self.store, "samples", "uid", samples)

    def caption_texts(self, captions: Sequence[int]) -> list[str]:
        """Texts of captions by number, in the order given."""
        return _picked(self.store, "captions", "text", captions)

    def _owners(self) -> npt.NDArray[np.int32]:
        owners = [self.places(b.column(0)).astype(np.int32) for b in scan(self.store, "captions", ["uid"])]
        return np.concatenate(owners) if owners else _NO_CAPTIONS


_NO_CAPTIONS: npt.NDArray[np.int32] = np.empty(0, np.int32)
_NOTHING: Mask = np.empty(0, np.bool_)
Columns: TypeAlias = Sequence[str]


def scan(store: Corpus, table: str, columns: Columns) -> Iterator[pa.RecordBatch]:
    """Rows of a table in the order of roots, parts and rows.

    Raises:
        CorpusError: the data of a part is damaged.
    """
    for root in range(len(store.roots)):
        for part in store.parts(table, root):
            try:
                yield from part_batches(part, _BATCH, columns)
            except (OSError, pa.ArrowException) as error:
                raise CorpusError(f"'{part}' is damaged ({error}); run 'voxtile verify' on the corpus") from error


def _sample_keys(store: Corpus) -> tuple[Mask, UInt64s]:
    """[samples] whether each is one that views take, and the hashes of their uids."""
    taken, keys = [], []
    for batch in scan(store, "samples", ["uid", "kind"]):
        taken.append(pc.not_equal(batch.column("kind"), OVERVIEW).to_numpy(zero_copy_only=False))
        keys.append(string_keys(batch.column("uid")))
    if not keys:
        raise CorpusError(f"'{store.roots[0]}' holds no sample; convert something into it first")
    return np.concatenate(taken).astype(np.bool_), np.concatenate(keys)


def _picked(store: Corpus, table: str, column: str, rows: Sequence[int]) -> list[str]:
    wanted = np.unique(np.asarray(rows, np.int64))
    found: dict[int, str] = {}
    start = 0
    for batch in scan(store, table, [column]):
        inside = wanted[(wanted >= start) & (wanted < start + len(batch))]
        for row, text in zip(inside.tolist(), batch.column(0).take(pa.array(inside - start)).to_pylist(), strict=True):
            found[row] = text
        start += len(batch)
    return [found[int(row)] for row in rows]


def refuse_empty(pool: Pool, step: str) -> None:
    """Raise ConfigError where a step has left nothing."""
    if not pool.samples:
        raise ConfigError(f"no sample is left after {step}; nothing was written, so make that step less strict")
