"""The files of a compiled view: Arrow IPC with record batches of a fixed size, written once and memory-mapped."""

from __future__ import annotations

import json
import mmap
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BATCH_ROWS = 1 << 16  # every record batch but the last has exactly this many rows, so that row → batch is arithmetic

INDEX = pa.schema(
    [
        ("uid", pa.binary(16)),
        ("shard", pa.int32()),  # into view.json's shards; its path is null for codec ref
        ("offset", pa.int64()),
        ("nbytes", pa.int64()),
        ("digest", pa.binary(8)),  # first bytes of the payload's sha-256; zeros where it is not known
        ("codec", pa.uint8()),  # into view.json's codecs
        ("meta", pa.int32()),  # row of metas.arrow
        ("split", pa.uint8()),
        ("subject", pa.int64()),  # 63-bit hashes
        ("study", pa.int64()),
        ("caption_start", pa.int64()),  # rows of captions.arrow
        ("caption_count", pa.int32()),
        ("facts", pa.int64()),  # row of facts.npy; -1 without facts
        ("moment", pa.int64()),  # of the acquisition, microseconds since 1970; NO_MOMENT where unknown
    ]
)
CAPTIONS = pa.schema(
    [("text", pa.large_string()), ("kind", pa.uint8()), ("verdict", pa.uint8()), ("text_hash", pa.int64())]
)
# A study is a range of rows of the index; `prior` is the number of the subject's study before it, -1 for none.
STUDIES = pa.schema([("start", pa.int64()), ("count", pa.int32()), ("prior", pa.int64())])
METAS = pa.schema([("json", pa.large_string())])

# Running sums of sampling weights, [rows + 1] and [studies + 1] float64; only where weights differ.
WEIGHTS, STUDY_WEIGHTS = "weights.npy", "study_weights.npy"

_OPEN_BATCHES = 256  # record batches whose column addresses are kept; their pages belong to the operating system
# A read maps up to 64 KB around each of its pages. Every so many reads the pages are handed back (they stay in the page
# cache), so that a process never seems to hold the whole index.
_READS_UNTIL_UNMAPPED = 256

NO_MOMENT = -(1 << 63)
CODECS = ("b2nd", "jpg", "png", "ref")


class BatchWriter:
    """An uncompressed Arrow IPC file whose record batches all have `BATCH_ROWS` rows but the last."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")
        self._schema = schema
        self._writer = pa.ipc.new_file(self._file, schema)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0

    def write(self, columns: dict[str, Any]) -> None:
        """Append columns (arrays of equal length)."""
        arrays = [
            pa.array(columns[f.name], f.type) if not isinstance(columns[f.name], pa.Array) else columns[f.name]
            for f in self._schema
        ]
        self._pending.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self._pending_rows += len(arrays[0])
        if self._pending_rows >= BATCH_ROWS:
            self._flush(self._pending_rows - self._pending_rows % BATCH_ROWS)

    def close(self) -> None:
        """Write what is left and sync the file to disk."""
        self._flush(self._pending_rows)
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        for start in range(0, rows, BATCH_ROWS):
            chunk = table.slice(start, min(BATCH_ROWS, rows - start)).combine_chunks()
            self._writer.write_batch(chunk.to_batches()[0])
        rest = table.slice(rows)
        self._pending, self._pending_rows = ([rest] if len(rest) else []), len(rest)


class MappedBatches:
    """Rows of a memory-mapped Arrow IPC file with record batches of a fixed size."""

    def __init__(self, path: Path, batch_rows: int) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map)))
        self._batch_rows = batch_rows
        self._open: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._reads = 0

    def at(self, row: int) -> tuple[dict[str, Any], int]:
        """Columns of the batch that holds a row (NumPy arrays; strings as Arrow arrays), and the place in it."""
        self._reads += 1
        if self._reads % _READS_UNTIL_UNMAPPED == 0:
            self.release()
        number, place = divmod(row, self._batch_rows)
        columns = self._open.get(number)
        if columns is None:
            batch = self._file.get_batch(number)
            columns = {n: _mapped(c) for n, c in zip(batch.schema.names, batch.columns, strict=True)}
            self._open[number] = columns
            if len(self._open) > _OPEN_BATCHES:
                self._open.popitem(last=False)
        return columns, place

    def release(self) -> None:
        """Hand the pages that were read back to the operating system, which may keep them for the next reader."""
        self._map.madvise(mmap.MADV_DONTNEED)

    @property
    def rows(self) -> int:
        """Rows of the file; only its last record batch is read for that."""
        whole = self._file.num_record_batches - 1
        return whole * self._batch_rows + len(self._file.get_batch(whole)) if whole >= 0 else 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All record batches in order."""
        for number in range(self._file.num_record_batches):
            yield self._file.get_batch(number)


def mapped_array(path: Path) -> npt.NDArray[Any]:
    """A `.npy` file, memory-mapped."""
    mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


class JsonRows(Sequence[dict[str, Any]]):
    """The column `json` of a mapped file; a row is read when it is asked for, since there may be as many as samples."""

    def __init__(self, stored: MappedBatches) -> None:
        self._stored, self._count = stored, stored.rows

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._stored.batches():
            for text in batch.column(0):
                yield json.loads(text.as_py())

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self._count))]
        columns, at = self._stored.at(range(self._count)[place])
        meta: dict[str, Any] = json.loads(columns["json"][at].as_py())
        return meta


def _mapped(column: pa.Array) -> npt.NDArray[Any] | pa.Array:
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        data = np.frombuffer(column.buffers()[1], np.uint8)
        return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
    return column if pa.types.is_large_string(column.type) else column.to_numpy(zero_copy_only=True)
