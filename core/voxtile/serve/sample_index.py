"""Which samples there are and where their rows lie, so that a page of them costs a page, whatever the corpus holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.corpus.packing.reading import locate
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import ROOT_COLUMN, Corpus
from voxtile.corpus.schema import OVERVIEW

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class SampleIndex:
    """The samples of a corpus by number, in the order of corpora and parts; overviews are left out.

    It holds a uid and two numbers a sample, some 50 bytes: what else a row says is read when it is shown.

    Args:
        corpus: one, or the union of several; parts that arrive later are not in it.

    Raises:
        CorpusError: a part is missing or damaged.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._parts: list[tuple[int, Path]] = []
        uids, owners, rows = [], [], []
        for root in range(len(corpus.roots)):
            for part in corpus.parts("samples", root):
                table = part_table(part, ["uid", "kind"])
                kept = np.flatnonzero(pc.not_equal(table["kind"], OVERVIEW).to_numpy())
                uids.append(table["uid"].take(pa.array(kept)).cast(pa.string()))
                owners.append(np.full(len(kept), len(self._parts), np.int32))
                rows.append(kept)
                self._parts.append((root, part))
        chunks = [chunk for column in uids for chunk in column.chunks]
        self.uids: pa.Array = pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())
        self._owner = np.concatenate([np.zeros(0, np.int32), *owners])
        self._row = np.concatenate([np.zeros(0, np.int64), *rows])

    def __len__(self) -> int:
        return len(self.uids)

    def numbers(self, uids: pa.Array | pa.ChunkedArray) -> Numbers:
        """Numbers of samples by uid; -1 where there is none."""
        found = pc.fill_null(pc.index_in(uids, value_set=self.uids), -1)
        return np.asarray(
            found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy(), np.int64
        )

    def mask(self, uids: pa.Array | pa.ChunkedArray) -> Mask:
        """[samples] whether a sample is among these."""
        chosen = np.zeros(len(self), np.bool_)
        numbers = self.numbers(uids)
        chosen[numbers[numbers >= 0]] = True
        return chosen

    def rows(self, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of the table `samples`, with the index of their root in `corpus`, in the order asked for.

        Args:
            numbers: of samples.
            columns: those to read.
        """
        wanted: dict[int, list[int]] = defaultdict(list)
        for number in numbers:
            wanted[int(self._owner[number])].append(number)
        found: dict[int, dict[str, Any]] = {}
        for owner, own in wanted.items():
            root, part = self._parts[owner]
            places = {int(self._row[number]): number for number in own}
            for place, row in _read_rows(part, sorted(places), columns):
                found[places[place]] = {**row, ROOT_COLUMN: root}
        return [found[number] for number in numbers]


def _read_rows(part: Path, places: Iterable[int], columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a part by their place in it; only the row groups that hold them are read."""
    waiting = list(places)
    place = locate(part)
    with pq.ParquetFile(place.path) as file:
        start = 0
        groups = range(file.metadata.num_row_groups) if place.member is None else place.member.row_groups
        for group in groups:
            stop = start + file.metadata.row_group(group).num_rows
            here = [row for row in waiting if start <= row < stop]
            if here:
                table = file.read_row_group(group, columns=list(columns))
                taken = table.take(pa.array([row - start for row in here], pa.int64()))
                yield from zip(here, taken.to_pylist(), strict=True)
            start = stop
