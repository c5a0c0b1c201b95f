"""Rows of a JSONL or Parquet file that lies beside a corpus: findings of other models, texts beside pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.bounded_text import load_json
from voxtile.errors import InputError, cause_of


def side_rows(path: Path, columns: Sequence[str], what: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a file, one after the other.

    Args:
        path: of the file; its suffix, .jsonl or .parquet, says what it is.
        columns: what is read of a Parquet file, as far as it is there; an object of JSONL comes whole.
        what: the file holds, for error messages, e.g. "experts' findings".

    Raises:
        InputError: it is neither, cannot be read, or a line of it is no JSON object.
    """
    if path.suffix not in {".jsonl", ".parquet"}:
        raise InputError(f"'{path}' is neither .jsonl nor .parquet; write the {what} as one of them")
    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            names = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=names):
                yield from batch.to_pylist()
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = load_json(line) if line.strip() else None
                if row is not None and not isinstance(row, dict):
                    raise InputError(f"'{path}', line {number}: is no JSON object")
                if row is not None:
                    yield row
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"the {what} '{path}' cannot be read: {cause_of(error)}") from error
