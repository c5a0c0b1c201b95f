"""The Parquet parts of a table, checked before they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from voxtile.corpus.header import check_version
from voxtile.corpus.packing.reading import PREFIX, fragments, locate, packed_files, packed_members
from voxtile.corpus.schema import LEDGER, TABLES, VERSION_KEY
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256

if TYPE_CHECKING:
    import pyarrow.dataset as ds


_T = TypeVar("_T")


def table_schema(name: str) -> pa.Schema:
    """Schema of a table, or of the ledger.

    Raises:
        CorpusError: there is no such table.
    """
    if name != "ledger" and name not in TABLES:
        raise CorpusError(f"there is no table '{name}'; there are: {', '.join(TABLES)}, ledger")
    return LEDGER if name == "ledger" else TABLES[name]


def sql_schema(name: str) -> pa.Schema:
    """Schema of a table without the columns that SQL cannot read, and without metadata."""
    schema = table_schema(name).remove_metadata()
    return pa.schema([field for field in schema if not _is_half_precision(field.type)])


def _is_half_precision(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float16(kind.value_type if pa.types.is_list(kind) else kind))


def part_paths(root: Path, name: str) -> list[Path]:
    """Parts of a table in name order, without temporary files and those of jobs that are not committed.

    A part may lie within a packed file (`voxtile.corpus.packing.reading`): then its path is no file. Read parts by the
    functions of this module, which look there.
    """
    hidden = uncommitted_stems(root)
    return sorted(path for path in all_parts(root, name) if path.stem not in hidden)


def changed_at(root: Path, name: str) -> int:
    """When a part of a table last came, went or was written again, in nanoseconds; 0 where it has none.

    For what is kept by the names of parts: a job that is done again writes under the names that it wrote before.
    """
    try:
        return table_folder(root, name).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def all_parts(root: Path, name: str) -> list[Path]:
    """Parts of a table in name order, also those of jobs that are not committed.

    Where a job is done again after its parts were packed, what it writes counts in place of all that is packed of it.
    """
    folder = table_folder(root, name)
    alone = {stem for stem in _files_in(folder) if not stem.startswith(PREFIX)}  # first: a part is packed, then removed
    again = _files_in(root / "ledger")
    packed = {stem for stem in packed_members(folder) if stem not in again}
    return sorted(folder / f"{stem}.parquet" for stem in alone | packed)


def find_part(root: Path, name: str, stem: str) -> Path | None:
    """The part of a table with a name, or None; also of a job that is not committed."""
    path = table_folder(root, name) / f"{stem}.parquet"
    if path.is_file():
        return path
    if (root / "ledger" / path.name).is_file():  # done again, without rows of this table
        return None
    return path if locate(path).member is not None else None


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Attributes:
        path: of it.
        passed_over: half-open ranges of its rows that do not count, since what they are of was written again.
    """

    path: Path
    passed_over: tuple[tuple[int, int], ...] = ()


def table_files(root: Path, name: str) -> list[TableFile]:
    """The files that hold the rows of `part_paths`, for who reads whole files."""
    folder, parts = table_folder(root, name), part_paths(root, name)
    alone = [TableFile(part) for part in parts if part.is_file()]
    wanted, packed = {part.stem for part in parts} - {file.path.stem for file in alone}, []
    for file in packed_files(folder):
        row, passed_over = 0, []
        for stem, member in file.members.items():
            if stem not in wanted:
                passed_over.append((row, row + member.rows))
            row += member.rows
        wanted -= file.members.keys()
        packed.append(TableFile(file.path, tuple(passed_over)))
    return sorted(alone + packed, key=lambda file: file.path)


def table_folder(root: Path, name: str) -> Path:
    """Folder of a table's parts, or of the ledger's."""
    return root / "ledger" if name == "ledger" else root / "tables" / name


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {e.name[:-8] for e in entries if e.name.endswith(".parquet") and not e.name.startswith(".")}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def part_rows(part: Path) -> int:
    """Number of rows of a part.

    Raises:
        CorpusError: a packed file is damaged.
    """
    place = locate(part)
    return int(pq.read_metadata(place.path).num_rows) if place.member is None else place.member.rows


def part_bytes(part: Path) -> int:
    """Size of a part in bytes as a file of its own."""
    place = locate(part)
    return place.path.stat().st_size if place.member is None else place.member.nbytes


def part_sha256(part: Path) -> str:
    """Hash of a part (hex) as a file of its own."""
    place = locate(part)
    if place.member is not None:
        return place.member.sha256
    return file_sha256(place.path)


def part_table(part: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a part as they are stored, in the types of the file.

    Raises:
        OSError, pyarrow.ArrowException: there is no such part, or it is damaged.
    """
    place = locate(part)
    if place.member is None:
        return pq.read_table(place.path, columns=columns)
    with pq.ParquetFile(place.path, metadata=_metadata_of(place.path, *_stamp(place.path))) as file:
        return file.read_row_groups(place.member.row_groups, columns=columns)


def part_batches(part: Path, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The same in batches of some rows, read one after the other.

    Raises:
        OSError, pyarrow.ArrowException: there is no such part, or it is damaged.
    """
    place = locate(part)
    if place.member is None:
        yield from pq.ParquetFile(place.path).iter_batches(rows, columns=list(columns), use_threads=False)
    elif place.member.groups:
        file = pq.ParquetFile(place.path, metadata=_metadata_of(place.path, *_stamp(place.path)))
        yield from file.iter_batches(rows, row_groups=place.member.row_groups, columns=list(columns), use_threads=False)


def uncommitted_stems(root: Path) -> set[str]:
    """Stems of jobs that were announced and not committed: in progress, or killed while renaming their files."""
    stems: set[str] = set()
    for path in (root / "done").glob("*.pending"):
        with suppress(FileNotFoundError):  # committed a moment ago
            if not path.with_suffix(".json").exists():
                stems.add(path.read_text("utf-8"))
    return stems


def check_part(path: Path, schema: pa.Schema) -> None:
    """Check a part's version and columns by its footer.

    Raises:
        CorpusError: it is damaged, newer, or lacks a column or has it in another type.
    """
    try:
        found = _where_it_is_now(lambda: _stored_schema(path))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"'{path}' is not a readable Parquet file; restore it or run its stage again") from error
    version = (found.metadata or {}).get(VERSION_KEY)
    if version is not None:
        check_version(version.decode("ascii", "replace"), path)
    missing = [name for name in schema.names if name not in found.names]
    if missing:
        raise CorpusError(f"'{path}' lacks the column '{missing[0]}'; restore it or run its stage again")
    for field in schema:
        if not _compatible(found.field(field.name).type, field.type):
            actual = found.field(field.name).type
            raise CorpusError(f"'{path}' holds '{field.name}' as {actual} instead of {field.type}; run its stage again")


def _where_it_is_now(read: Callable[[], _T]) -> _T:
    """Read, and again where a file was packed between the look for it and its opening."""
    try:
        return read()
    except FileNotFoundError:
        return read()


def _stored_schema(part: Path) -> pa.Schema:
    place = locate(part)
    if place.member is None:
        return pq.read_schema(place.path)
    return _metadata_of(place.path, *_stamp(place.path)).schema.to_arrow_schema()


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _metadata_of(packed: Path, _size: int, _mtime_ns: int) -> pq.FileMetaData:
    """Footer of a packed file, read once for its thousands of parts."""
    return pq.read_metadata(packed)


def part_dataset(paths: Sequence[Path], schema: pa.Schema) -> ds.Dataset:
    """One lazy table over checked parts."""
    import pyarrow.dataset as ds  # late: it imports pandas, and workers read no tables

    bare = schema.remove_metadata()
    if all(path.is_file() for path in paths) or not paths:
        return ds.dataset([str(path) for path in paths], schema=bare, format="parquet")
    return ds.FileSystemDataset(fragments(paths), bare, ds.ParquetFileFormat(), LocalFileSystem())


def held_dataset(paths: Sequence[Path], schema: pa.Schema) -> ds.Dataset:
    """As `part_dataset`, for who holds it and reads later: the parts may have been packed meanwhile.

    DuckDB asks for a scanner at each query, and gets one of the files that hold the parts then.
    """
    import pyarrow.dataset as ds  # late, as above

    written = paths[0].parent.stat().st_mtime_ns
    found = part_dataset(paths, schema)

    class Held(ds.FileSystemDataset):  # type: ignore[misc]
        def scanner(self, **options: Any) -> ds.Scanner:  # noqa: ANN401 - of pyarrow
            nonlocal found, written
            if (now := paths[0].parent.stat().st_mtime_ns) != written:
                found, written = part_dataset(paths, schema), now
            return found.scanner(**options)

    return Held([], schema.remove_metadata(), ds.ParquetFileFormat(), LocalFileSystem())


def read_parts(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Read columns of checked parts.

    Raises:
        CorpusError: the data of a part is damaged.
    """
    if not paths:
        return schema.remove_metadata().empty_table().select(list(columns))
    try:
        return _where_it_is_now(lambda: part_dataset(paths, schema).to_table(columns=list(columns)))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(
            f"a part of '{paths[0].parent}' is damaged ({error}); run 'voxtile verify' on the corpus"
        ) from error


def text_table(columns: Mapping[str, Sequence[str]], schema: pa.Schema) -> pa.Table:
    """A table of texts. Pyarrow's own way from Python texts to a column imports pandas, which takes a while."""
    arrays = []
    for name in schema.names:
        encoded = [text.encode() for text in columns[name]]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
        arrays.append(pa.Array.from_buffers(pa.string(), len(encoded), buffers))
    return pa.Table.from_arrays(arrays, schema=schema)


def _compatible(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Other writers choose wider integers and strings; those are cast on reading."""
    if found == wanted or pa.types.is_null(found):
        return True
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted):
        return (pa.types.is_list(found) or pa.types.is_large_list(found)) and _compatible(
            found.value_type, wanted.value_type
        )
    families = (
        (pa.types.is_string, pa.types.is_large_string),
        (pa.types.is_binary, pa.types.is_large_binary),
        (pa.types.is_integer,),
        (pa.types.is_floating, pa.types.is_integer),
    )
    return any(any(t(found) for t in family) and family[0](wanted) for family in families)
