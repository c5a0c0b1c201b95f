"""Tables that come with a data set (reports, labels, metadata, splits), read by key and held against each other."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import InputError
from voxtile.stages.ingest.table import Table, as_text, read_table
from voxtile_datasets.intake.tables import read_table as read_arrow_table

_SHEETS = frozenset({".xlsx", ".xlsm"})


@dataclass(frozen=True)
class KeyedRow:
    """A row of a table.

    Attributes:
        key: what it is of.
        file: the table, relative to the download.
        number: of the row, from 1.
        cells: field → text; None where blank.
    """

    key: str
    file: str
    number: int
    cells: Mapping[str, str | None]

    @property
    def place(self) -> str:
        """File and row, for people."""
        return f"{self.file} row {self.number}"


@dataclass
class KeyedRows:
    """The rows of one role, from one table or several.

    Attributes:
        rows: key → its row.
        torn: key → the rows that say different things of it.
        repeated: how many rows say again what another says.
        nameless: places of rows without a key.
        files: the tables that were read, relative.
    """

    rows: dict[str, KeyedRow] = field(default_factory=dict)
    torn: dict[str, list[KeyedRow]] = field(default_factory=dict)
    repeated: int = 0
    nameless: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, row: KeyedRow) -> None:
        """Take in a row; a key of which two rows say different things is torn."""
        if row.key in self.torn:
            self.torn[row.key].append(row)
        elif row.key not in self.rows:
            self.rows[row.key] = row
        elif self.rows[row.key].cells == row.cells:
            self.repeated += 1
        else:
            self.torn[row.key] = [self.rows.pop(row.key), row]


def find_tables(paths: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Files of a download by the patterns of their names or of the ends of their paths, sorted.

    Args:
        paths: of all files, relative, with forward slashes.
        patterns: such as `*_reports.csv` or `metadata/*.csv`.
    """
    return sorted(p for p in paths if any(fnmatch.fnmatchcase("/" + p, "*/" + pattern) for pattern in patterns))


@dataclass(frozen=True)
class Columns:
    """What is read of a table.

    Attributes:
        key: names that the column of keys may have.
        fields: field → names that its column may have.
        needed: fields without which a table is of another release.
        parted_by: columns whose name has this in it are fields, too, under their own name.
        of_file: field → pattern of a file's name → what the field is in all rows of the file.
    """

    key: Sequence[str]
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needed: Sequence[str] = ()
    parted_by: str = ""
    of_file: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def said_by_name(self, file: str) -> dict[str, str]:
        """Fields that the file's name says."""
        return {
            name: word
            for name, patterns in self.of_file.items()
            for pattern, word in patterns.items()
            if fnmatch.fnmatchcase("/" + file, "*/" + pattern)
        }


def read_keyed(
    root: Path, files: Sequence[str], columns: Columns, *, title: str, key_of: Callable[[str], str] = str
) -> KeyedRows:
    """Read tables by key.

    Args:
        root: the download.
        files: tables, relative to it: CSV, TSV, Parquet or the first sheet of a workbook.
        columns: what is read.
        title: of the data set.
        key_of: from a cell to the key.

    Raises:
        InputError: a table cannot be read, or lacks a column that the layout has.
    """
    found = KeyedRows(files=list(files))
    for file in files:
        table = _read(root / file)
        name = _need(table, columns.key, title, file)
        held = {key: table.find(names) for key, names in columns.fields.items()}
        for key in columns.needed:
            held[key] = _need(table, columns.fields[key], title, file)
        if columns.parted_by:
            parted = [column for column in table.columns if columns.parted_by in column]
            if not parted:
                raise InputError(_other_release(file, f"whose name has '{columns.parted_by}' in it", title))
            held |= {column: column for column in parted}
        said = columns.said_by_name(file)
        for row in _rows(table, file, name, {k: v for k, v in held.items() if v is not None}, key_of, said):
            if row.key:
                found.add(row)
            else:
                found.nameless.append(row.place)
    return found


def _read(path: Path) -> Table:
    if path.suffix.lower() not in _SHEETS:
        return read_table(path)
    sheet = read_arrow_table(path)
    rows = zip(*(map(as_text, column.to_pylist()) for column in sheet.columns), strict=True)
    return Table(path, tuple(name.strip() for name in sheet.column_names), tuple(rows))


def _need(table: Table, names: Sequence[str], title: str, file: str) -> str:
    column = table.find(names)
    if column is None:
        raise InputError(_other_release(file, f"'{names[0]}'", title))
    return column


def _other_release(file: str, column: str, title: str) -> str:
    return (
        f"'{file}' has no column {column}, which {title} has: it is of another release, or of something else; download "
        "the table that belongs to the volumes"
    )


def _rows(
    table: Table,
    file: str,
    key: str,
    held: Mapping[str, str],
    key_of: Callable[[str], str],
    said: Mapping[str, str],
) -> Iterator[KeyedRow]:
    columns = [table.column(column) for name, column in held.items() if name not in said]
    places = {name: place for place, name in enumerate([*(name for name in held if name not in said), *said])}
    for index, cell in enumerate(table.column(key)):
        values = (*(column[index] for column in columns), *said.values())
        yield KeyedRow(key_of(cell) if cell else "", file, index + 1, _Cells(places, values))


class _Cells(Mapping[str, str | None]):
    """The cells of a row under names that all rows share: a table of labels by location has 4,000 columns."""

    def __init__(self, places: Mapping[str, int], values: tuple[str | None, ...]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, name: str) -> str | None:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
