"""Writing a corpus: what one job adds appears whole or not at all.

A job adds one shard and one part to each table it fills. All are written under temporary names and synced before the
first is renamed; the `samples` part is renamed last, so that a row never points at a shard that is not there yet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from voxtile.corpus.geoparquet import GEO_KEY, geo_metadata
from voxtile.corpus.header import new_corpus
from voxtile.corpus.records import EncodedArray, Mask, Row, Sample
from voxtile.corpus.schema import SCHEMA_VERSION, TABLES, VERSION_KEY
from voxtile.corpus.shards.codecs import dtype_name, encode_array, picture_codec, picture_shape
from voxtile.corpus.shards.tar import DeterministicTar
from voxtile.corpus.storage import StorageError, publish_all, storage_errors, temporary_path
from voxtile.errors import CorpusError

__all__ = ["JobWriter", "StorageError", "UnfitRowError", "append_rows", "new_corpus", "write_part"]

_UID = re.compile(r"[0-9A-Za-z_-]{1,80}")  # no dot and no slash: it is the WebDataset key of the shard's members
_STEM = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,120}")
_PREVIEW_QUALITY = 85
_BUFFER = 1 << 20  # bytes: tiles are smaller than a write to the disk should be
MASK_SUFFIX = "mask.b2nd"
MASK_TYPES = ("bool", "uint8")


class UnfitRowError(CorpusError):
    """A value of a row is of another kind than its column.

    Attributes:
        table: its name; empty where it is not known.
        number: of the row in its part, from 0.
    """

    reason = "unfit-row"

    def __init__(self, sentence: str, table: str, number: int) -> None:
        super().__init__(sentence)
        self.table, self.number = table, number


class JobWriter:
    """Collects what one job produces and publishes it in one go.

    Args:
        root: the corpus.
        stem: name of the shard and the parts, unique to the job, e.g. `dicom-0123456789abcdef`.
    """

    def __init__(self, root: Path, stem: str) -> None:
        self._root = root
        self._stem = _checked_stem(stem)
        self._rows: dict[str, list[Row]] = {}
        self._uids: set[str] = set()
        self._region_ids: set[str] = set()
        self._shard = Path("shards") / f"{stem}.tar"
        self._shard_name = self._shard.as_posix()
        self._temporary = temporary_path(root / self._shard)
        self._file: IO[bytes] | None = None
        self._tar: DeterministicTar | None = None

    def add(self, sample: Sample) -> None:
        """Store a sample: its payload and preview go to the shard, its row to the `samples` part.

        Raises:
            CorpusError: the uid is missing, malformed or already in this job, a required column is empty, or the
                payload is neither an array nor JPEG or PNG bytes.
            StorageError: the shard cannot be written.
        """
        row = dict(sample.row)
        uid = str(row.get("uid") or "")
        if not _UID.fullmatch(uid):
            raise CorpusError(f"the uid {uid!r} cannot name a shard member; use letters, digits, '-' and '_'")
        if uid in self._uids:
            raise CorpusError(f"the sample {uid} appears twice in job '{self._stem}'; remove one copy from the input")
        row |= _payload_columns(sample, row)
        if row["codec"] != "ref":
            data = _encoded(sample.payload)
            row |= {"shard": self._shard_name, "nbytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            preview = _encode_preview(sample.preview) if sample.preview is not None else None
            _check_row("samples", row)
            extra = [(f"{uid}.preview.jpg", preview)] if preview is not None else []
            row["offset"] = self._append([(f"{uid}.{row['codec']}", data), *extra])[0]
        else:
            _check_row("samples", row)
        self._uids.add(uid)
        self._rows.setdefault("samples", []).append(row)

    def add_mask(self, mask: Mask) -> None:
        """Store a region with its mask: the mask goes to the shard, its row to the `regions` part.

        Raises:
            CorpusError: the region_id is missing, malformed or already in this job, a required column is empty, or the
                mask is neither bool nor uint8.
            StorageError: the shard cannot be written.
        """
        region_id = str(mask.row.get("region_id") or "")
        if not _UID.fullmatch(region_id):
            raise CorpusError(
                f"the region_id {region_id!r} cannot name a shard member; use letters, digits, '-' and '_'"
            )
        if region_id in self._region_ids:
            raise CorpusError(
                f"the region {region_id} appears twice in job '{self._stem}'; give each its own region_id"
            )
        if mask.array.dtype.name not in MASK_TYPES:
            raise CorpusError(f"the mask of region {region_id} is {mask.array.dtype}; store it as bool or uint8")
        data = encode_array(mask.whole())
        row = {**mask.row, "mask_shard": self._shard_name, "mask_nbytes": len(data)}
        _check_row("regions", row)
        row["mask_offset"] = self._append([(f"{region_id}.{MASK_SUFFIX}", data)])[0]
        self._region_ids.add(region_id)
        self._rows.setdefault("regions", []).append(row)

    def add_rows(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows to another table.

        Raises:
            CorpusError: no such table or column, or a required column is empty.
        """
        if table == "samples":
            raise CorpusError("rows of 'samples' come with their payload; use add()")
        checked = [_check_row(table, row) for row in rows]
        self._rows.setdefault(table, []).extend(checked)

    def sizes(self) -> dict[str, int]:
        """How many rows each table has so far."""
        return {table: len(rows) for table, rows in self._rows.items()}

    def publish(self) -> list[Path]:
        """Write everything to its final place and return the files; nothing is written for an empty job.

        Raises:
            UnfitRowError: a value is of another kind than its column; no file of this job is left behind.
            StorageError: the disk is full or the folder not writable; no file of this job is left behind.
        """
        tables = sorted((name for name, rows in self._rows.items() if rows), key=lambda name: (name == "samples", name))
        files: list[tuple[Path, Callable[[Path], None]]] = []
        if self._tar is not None:
            files.append((self._root / self._shard, self._finish_shard))
        for name in tables:
            files.append(_part(self._root, name, self._stem, self._rows[name]))
        try:
            published = publish_all(files)
        except BaseException:
            self.discard()
            raise
        self._rows.clear()
        return published

    def discard(self) -> None:
        """Forget everything that was added; removes the temporary shard."""
        self._rows.clear()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
        self._tar = None

    def _append(self, members: list[tuple[str, bytes]]) -> list[int]:
        """Append members to the shard, which is started with the first one; their offsets."""
        try:
            with storage_errors(self._root / self._shard):
                if self._tar is None:
                    self._temporary.parent.mkdir(parents=True, exist_ok=True)
                    self._file = self._temporary.open("wb", buffering=_BUFFER)
                    self._tar = DeterministicTar(self._file)
                return [self._tar.add(name, data) for name, data in members]
        except StorageError:
            self.discard()
            raise

    def _finish_shard(self, target: Path) -> None:
        if self._tar is None or self._file is None:
            raise CorpusError(f"job '{self._stem}' was already published or discarded")
        self._tar.finish()
        self._file.close()
        self._temporary.rename(target)
        self._file = self._tar = None


def append_rows(root: Path, table: str, stem: str, rows: Iterable[Row]) -> Path | None:
    """Add one part to a table, for stages that store no pixels.

    Args:
        root: the corpus.
        table: its name in `schema.TABLES`, other than `samples`.
        stem: name of the part, unique to the job.
        rows: may be empty, then no part is written.

    Raises:
        CorpusError: no such table or column, or a required column is empty.
        StorageError: the part cannot be written.
    """
    writer = JobWriter(root, stem)
    writer.add_rows(table, rows)
    published = writer.publish()
    return published[0] if published else None


def write_part(path: Path, schema: pa.Schema, rows: list[Row], table: str = "") -> None:
    """Write rows as one Parquet file with the format's version, and GeoParquet metadata if there is geometry.

    The bytes depend on the rows alone. The file is written in place: give a temporary path.

    Raises:
        UnfitRowError: a value does not fit its column.
    """
    metadata = {VERSION_KEY: SCHEMA_VERSION.encode()}
    try:
        geometries = [row["geometry"] for row in rows if row.get("geometry")] if "geometry" in schema.names else []
        if geometries:
            metadata[GEO_KEY] = geo_metadata(geometries)
        made = pa.Table.from_pylist(rows, schema=schema.with_metadata(metadata))
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        number, column = _unfit(schema, rows)
        sentence = f"a row does not fit the table '{table or path.name}' (column {column!r}): {error}"
        raise UnfitRowError(sentence, table, number) from error
    pq.write_table(made, path, compression="zstd")


def _unfit(schema: pa.Schema, rows: list[Row]) -> tuple[int, str]:
    """Number and column of the first value that is of another kind than its column; -1 where all are of theirs."""
    for number, row in enumerate(rows):
        for field in schema:
            try:
                pa.array([row.get(field.name)], field.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                return number, field.name
    return -1, "geometry"


def _part(root: Path, table: str, stem: str, rows: list[Row]) -> tuple[Path, Callable[[Path], None]]:
    def fill(target: Path) -> None:
        write_part(target, TABLES[table], rows, table)

    return root / "tables" / table / f"{stem}.parquet", fill


def _payload_columns(sample: Sample, row: Mapping[str, Any]) -> Row:
    payload = sample.payload
    if isinstance(payload, EncodedArray):
        return {"codec": "b2nd", "shape": list(payload.shape), "dtype": payload.dtype}
    if isinstance(payload, np.ndarray):
        return {"codec": "b2nd", "shape": list(payload.shape), "dtype": dtype_name(payload.dtype)}
    if isinstance(payload, bytes):
        shape = list(picture_shape(payload))
        return {
            "codec": picture_codec(payload),
            "shape": shape,
            "dtype": "uint8",
            "axes": "YX" if len(shape) == 2 else "YXC",
        }
    if payload is not None or not row.get("ref"):
        raise CorpusError(f"the sample {row['uid']} has neither an array, nor JPEG or PNG bytes, nor a reference")
    return {"codec": "ref", "shard": None, "offset": None, "nbytes": None}


def _encoded(payload: npt.NDArray[Any] | EncodedArray | bytes | None) -> bytes:
    if isinstance(payload, np.ndarray):
        return encode_array(payload)
    return payload.data if isinstance(payload, EncodedArray) else payload or b""


def _encode_preview(pixels: npt.NDArray[np.uint8]) -> bytes:
    grey = pixels.ndim == 2
    image = np.ascontiguousarray(pixels[:, :, None] if grey else pixels)
    encoded: bytes = simplejpeg.encode_jpeg(image, quality=_PREVIEW_QUALITY, colorspace="GRAY" if grey else "RGB")
    return encoded


def _check_row(table: str, row: Row) -> Row:
    schema = TABLES.get(table)
    if schema is None:
        raise CorpusError(f"there is no table '{table}'; there are: {', '.join(TABLES)}")
    names, required = _columns(table)
    unknown = row.keys() - names
    if unknown:
        raise CorpusError(f"the table '{table}' has no column {', '.join(map(repr, sorted(unknown)))}")
    empty = [name for name in required if row.get(name) is None]
    if empty:
        raise CorpusError(f"a row of the table '{table}' lacks {', '.join(map(repr, empty))}")
    return row


@cache
def _columns(table: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """All columns of a table, and those that must not be empty; asked for each of millions of rows."""
    schema = TABLES[table]
    return frozenset(schema.names), tuple(field.name for field in schema if not field.nullable)


def _checked_stem(stem: str) -> str:
    if not _STEM.fullmatch(stem):
        raise CorpusError(f"'{stem}' cannot name a shard; use letters, digits, '.', '-' and '_'")
    return stem
