"""The Parquet parts of a table, checked before they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.header import check_version
from voxtile.corpus.schema import LEDGER, TABLES, VERSION_KEY
from voxtile.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow.dataset as ds


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
    """Parts of a table in name order, without temporary files and those of jobs that are not committed."""
    folder = root / "ledger" if name == "ledger" else root / "tables" / name
    hidden = uncommitted_stems(root)
    return sorted(p for p in folder.glob("*.parquet") if not p.name.startswith(".") and p.stem not in hidden)


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
        found = pq.read_schema(path)
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


def part_dataset(paths: Sequence[Path], schema: pa.Schema) -> ds.Dataset:
    """One lazy table over checked parts."""
    import pyarrow.dataset as ds  # late: it imports pandas, and workers read no tables

    return ds.dataset([str(path) for path in paths], schema=schema.remove_metadata(), format="parquet")


def read_parts(paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Read columns of checked parts.

    Raises:
        CorpusError: the data of a part is damaged.
    """
    if not paths:
        return schema.remove_metadata().empty_table().select(list(columns))
    try:
        return part_dataset(paths, schema).to_table(columns=list(columns))
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
