"""Tables that come with a data set (reports, labels, metadata, splits), read by key and held against each other."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import InputError
from voxtile.stages.ingest.table import Table, read_table


@dataclass(frozen=True)
class KeyedRow:
    """A row of a table.

    Attributes:
        key: what it is of.
        place: file and row (from 1), for people.
        cells: field → text; None where blank.
    """

    key: str
    place: str
    cells: Mapping[str, str | None]


@dataclass
class KeyedRows:
    """The rows of one role, from one table or several.

    Attributes:
        rows: key → its row.
        torn: key → the places that say different things of it, of which none is used.
        repeated: how many rows say again what another says.
        nameless: places of rows without a key.
        files: the tables that were read, relative.
    """

    rows: dict[str, KeyedRow] = field(default_factory=dict)
    torn: dict[str, list[str]] = field(default_factory=dict)
    repeated: int = 0
    nameless: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, row: KeyedRow) -> None:
        """Take in a row; a key of which two rows say different things is torn."""
        if row.key in self.torn:
            self.torn[row.key].append(row.place)
        elif row.key not in self.rows:
            self.rows[row.key] = row
        elif self.rows[row.key].cells == row.cells:
            self.repeated += 1
        else:
            self.torn[row.key] = [self.rows.pop(row.key).place, row.place]


def find_tables(paths: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Files of a download by the patterns of their names or of the ends of their paths, sorted.

    Args:
        paths: of all files, relative, with forward slashes.
        patterns: such as `*_reports.csv` or `metadata/*.csv`.
    """
    return sorted(p for p in paths if any(fnmatch.fnmatchcase("/" + p, "*/" + pattern) for pattern in patterns))


def read_keyed(
    root: Path,
    files: Sequence[str],
    key: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    *,
    needed: Sequence[str] = (),
    title: str,
    key_of: Callable[[str], str] = str,
) -> KeyedRows:
    """Read tables by key.

    Args:
        root: the download.
        files: tables, relative to it.
        key: names that the column of keys may have.
        columns: field → names that its column may have.
        needed: fields without which a table is of another release.
        title: of the data set.
        key_of: from a cell to the key.

    Raises:
        InputError: a table cannot be read, or lacks a column that the layout has.
    """
    found = KeyedRows(files=list(files))
    for file in files:
        table = read_table(root / file)
        name = _need(table, key, title, file)
        held = {
            field_name: _need(table, names, title, file) if field_name in needed else table.find(names)
            for field_name, names in columns.items()
        }
        for row in _rows(table, file, name, {k: v for k, v in held.items() if v is not None}, key_of):
            if row.key:
                found.add(row)
            else:
                found.nameless.append(row.place)
    return found


def _need(table: Table, names: Sequence[str], title: str, file: str) -> str:
    column = table.find(names)
    if column is None:
        raise InputError(
            f"'{file}' has no column '{names[0]}', which {title} has: it is of another release, or of something else; "
            "download the table that belongs to the volumes"
        )
    return column


def _rows(
    table: Table, file: str, key: str, held: Mapping[str, str], key_of: Callable[[str], str]
) -> Iterator[KeyedRow]:
    columns = {name: table.column(column) for name, column in held.items()}
    for index, cell in enumerate(table.column(key)):
        cells = {name: values[index] for name, values in columns.items()}
        yield KeyedRow(key_of(cell) if cell else "", f"{file} row {index + 1}", cells)
