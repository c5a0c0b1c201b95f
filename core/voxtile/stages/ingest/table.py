"""Side tables from outside (labels, captions, splits, subjects) as CSV, TSV or Parquet, read as text.

What is wrong is told by rows and by names that were looked for: cells hold names and texts, and so does the first line
of a file without a header.
"""

from __future__ import annotations

import codecs
import csv
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from voxtile.errors import InputError
from voxtile.stages.ingest.outside_parquet import read_outside_parquet

SUBJECT_COLUMNS = ("subject", "patient", "subject_id", "patient_id")  # whose an imported picture is
_LONGEST_FIELD = 64 * 2**20  # bytes; longer fields are a broken quote, which would otherwise swallow the file
_PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
# How R, pandas, databases and spreadsheets (in English and German) write that nothing is known.
_MISSING = frozenset({"na", "n/a", "n.a.", "#n/a", "#nv", "nan", "null", "<na>", "none"})


@dataclass(frozen=True)
class Table:
    """A side table: `columns` in file order, `rows` as tuples of stripped text (None where blank)."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    def find(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is a column; case, spaces and underscores do not matter.

        Raises:
            InputError: two columns go by that name.
        """
        keys = [column_key(column) for column in self.columns]
        key = next((key for name in names if (key := column_key(name)) in keys), None)
        if key is None:
            return None
        found = [column for column, known in zip(self.columns, keys, strict=True) if known == key]
        if len(found) > 1:
            raise InputError(
                f"'{self.path}' has {len(found)} columns for one thing ({', '.join(found)}); remove all but one"
            )
        return found[0]

    def need(self, names: Sequence[str], purpose: str) -> str:
        """Like `find`.

        Raises:
            InputError: none of them is a column, or two; the message repeats nothing of the file.
        """
        found = self.find(names)
        if found is None:
            raise InputError(f"'{self.path}' has no column for the {purpose} ({', '.join(names)}); {self.told_header}")
        return found

    @property
    def told_header(self) -> str:
        """What may be said of the header, which is a patient's row where the file has none."""
        return f"its first line must name the columns and has {len(self.columns)} cells, none of which is such a name"

    def column(self, name: str) -> list[str | None]:
        """All values of one column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def column_key(name: str) -> str:
    """A column's name without case, spaces, underscores and hyphens."""
    return "".join(c for c in name.casefold() if c not in " _-")


def is_missing(text: str | None) -> bool:
    """Whether a cell is blank or says that nothing is known: `NA`, `NaN`, `None`, …."""
    return not text or text.strip().casefold() in _MISSING


def composed(name: str) -> str:
    """A name with accents as macOS and others write them made one: "Mu" + "¨" as "ü", Unicode's form NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def file_key(name: str) -> str:
    """A file's path in a table, as paths of a folder are compared with it."""
    return composed(name.replace("\\", "/").removeprefix("./"))


def encoding_of(path: Path) -> str:
    """UTF-16 by its mark, or by the zero bytes of its first two characters; else UTF-8.

    Raises:
        InputError: it is a workbook, which no text is.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        raise InputError(f"'{path}' is a workbook (or zip) and no text; save its sheet as CSV (Excel: 'CSV UTF-8')")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) == 4 and head[1] == head[3] == 0 != head[0]:
        return "utf-16-le"
    return "utf-16-be" if len(head) == 4 and head[0] == head[2] == 0 != head[1] else "utf-8-sig"


def read_table(path: Path) -> Table:
    """Read a CSV, TSV or Parquet file.

    Args:
        path: the file; anything but `.parquet` is read as delimited text, with the delimiter (comma, tab, semicolon
            or bar) that the header line has most of.

    Raises:
        InputError: the file is missing, empty, damaged or neither UTF-8 nor UTF-16.
    """
    if not path.is_file():
        raise InputError(f"the table '{path}' does not exist; give the path of a CSV or Parquet file")
    try:
        return _read_parquet(path) if path.suffix.lower() in _PARQUET_SUFFIXES else _read_delimited(path)
    except (pa.ArrowException, csv.Error, OSError) as error:
        raise InputError(f"the table '{path}' cannot be read ({_one_line(error)}); write it again") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"the table '{path}' is not UTF-8 (byte {error.start}); save it as UTF-8 (Excel: 'CSV UTF-8')"
        ) from error


def numbered_rows(
    path: Path,
    *,
    errors: Literal["strict", "surrogateescape"] = "strict",
    closed: bool = True,
    delimiters: str = ",\t;|",
) -> Iterator[tuple[int, list[str]]]:
    """Rows of a delimited file with the number of the line that each begins in, the header first.

    A quotation mark that is never closed makes the rest of a file one cell: the reports of all patients that follow
    become the report of one. What is wrong is told by the line alone, since cells hold names and texts.

    Args:
        path: the file; its delimiter is the one that the header line has most of.
        errors: with `surrogateescape`, bytes that are not UTF-8 arrive as lone surrogates, to be judged row by row.
        closed: refuse cells whose quotation marks are not closed, or stand inside them undoubled; otherwise only where
            such a cell would take in the lines that follow.
        delimiters: to choose from.

    Raises:
        InputError: a cell is not closed.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding=encoding_of(path), errors=errors, newline="") as file:
        header = file.readline()
        delimiter = max(delimiters, key=header.count)
        file.seek(0)
        lines: list[str] = []
        rows, start = csv.reader(_kept(file, lines), delimiter=delimiter, strict=closed), 1
        while True:
            lines.clear()
            try:
                row = next(rows, None)
                if not closed and len(lines) > 1:
                    next(csv.reader(lines, delimiter=delimiter, strict=True))
            except csv.Error:
                raise InputError(
                    f"'{path}' line {start}: a quotation mark there opens a cell and is never closed, or stands inside "
                    'one; close it, and write "" for a mark inside a cell'
                ) from None
            if row is None:
                return
            if row:
                yield start, row
            start = rows.line_num + 1


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line


def delimited_rows(path: Path, *, errors: Literal["strict", "surrogateescape"] = "strict") -> Iterator[list[str]]:
    """Rows of a delimited file, the header first; stray quotation marks, as captions of the web have them, are let be.

    Those are left that stand in one line; a mark that would make one cell of several lines is refused.

    Args:
        path: the file; its delimiter is the one of comma, tab, semicolon and bar that the header line has most of.
        errors: with `surrogateescape`, bytes that are not UTF-8 arrive as lone surrogates, to be judged row by row.

    Raises:
        InputError: a cell is not closed.
    """
    for _, row in numbered_rows(path, errors=errors, closed=False):
        yield row


def as_text(value: object) -> str | None:
    """A cell as text; blank and NaN cells are None, whole floats lose their `.0`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _read_delimited(path: Path) -> Table:
    rows = numbered_rows(path)
    header = tuple(name.strip() for name in next(rows, (1, []))[1])
    if not header:
        raise InputError(f"the table '{path}' is empty; its first line must name the columns")
    body: list[tuple[str | None, ...]] = []
    for line, row in rows:
        if len(row) > len(header):
            raise InputError(
                f"'{path}' line {line}: the row has {len(row)} cells and the header {len(header)}; "
                'put cells that hold the delimiter between quotation marks ("…")'
            )
        values = [as_text(value) for value in row]
        body.append(tuple(values + [None] * (len(header) - len(row))))
    return Table(path, header, tuple(body))


def _read_parquet(path: Path) -> Table:
    table = read_outside_parquet(path)
    cells = [column.to_pylist() for column in table.columns]
    columns = [[as_text(v.decode() if isinstance(v, bytes) else v) for v in column] for column in cells]
    return Table(path, tuple(table.column_names), tuple(zip(*columns, strict=True)))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
