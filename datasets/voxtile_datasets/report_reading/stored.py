"""Rows that another reader of the same reports has stored: what the rules read is there once, whoever ran first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.records import Row

BESIDE_MODEL = "-model"
"""What the name of the task with a model has behind the name of that which reads by the rules alone."""

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "facts": ("uid", "concept", "polarity", "source", "attributes"),
    "scopes": ("uid", "vocabulary", "closed", "concepts"),
}
_Key: TypeAlias = tuple[Any, ...]


class StoredRows:
    """The facts and scopes that runs of some task have stored, by what they state.

    Args:
        corpus: the corpus.
        task: beginning of the task's name.
        uids: only of these samples; all where None.
    """

    def __init__(self, corpus: Path, task: str, uids: Collection[str] | None = None) -> None:
        self._keys = {table: _keys(corpus, table, f"{task}-", uids) for table in _COLUMNS}

    def without(self, tables: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
        """Rows by table without those that are stored."""
        return {
            table: [row for row in rows if _key(row, _COLUMNS[table]) not in self._keys[table]]
            for table, rows in tables.items()
        }


def _keys(corpus: Path, table: str, task: str, uids: Collection[str] | None) -> frozenset[_Key]:
    columns = _COLUMNS[table]
    parts = [part for part in part_paths(corpus, table) if part.stem.startswith(task)]
    rows = read_parts(parts, table_schema(table), list(columns))
    if uids is not None:
        rows = rows.filter(pc.is_in(rows["uid"], value_set=pa.array(sorted(uids), pa.string())))
    return frozenset(_key(row, columns) for row in rows.to_pylist())


def _key(row: Row, columns: Collection[str]) -> _Key:
    values = (row.get(column) for column in columns)
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
