"""Tables of reports, splits and labels as people have them: CSV of any spreadsheet, Parquet, XLSX, XLS; read as text.

What is wrong is told by the line alone: cells hold names and texts, and so does the first line of a file without a
header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import DEFAULT_LIMITS, PlanReader
from voxtile.errors import InputError
from voxtile.stages.ingest.outside_parquet import read_outside_parquet
from voxtile.stages.ingest.table import Table, as_text, encoding_of, numbered_rows
from voxtile.stages.ingest.table import read_table as read_texts

DELIMITERS = ",;\t|"
_BLOCK_BYTES = 64 << 20
_EXACT = 2.0**53  # whole numbers below it are exact in a float
_SHEETS = frozenset({".xlsx", ".xlsm"})
_OLD_SHEET = ".xls"
_ZEROS = re.compile("0{2,}")  # the format of a cell that shows 7 as 007
# Of a text that begins with "=", "+" or "-" spreadsheets make a formula, and of that an error.
_ERRORS = frozenset({"#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NULL!"})


def read_table(path: Path, reader: PlanReader | None = None) -> pa.Table:
    """Read a CSV, XLSX, XLS or Parquet file; values stay text, so that identifiers keep their leading zeros.

    CSV may have commas, semicolons or tabs between its cells (the one that its first line has most of) and be UTF-8 or
    UTF-16. Of a workbook, the first sheet is read.

    Args:
        path: the file.
        reader: with the limits of the conversion.

    Raises:
        InputError: it does not exist or cannot be read.
        ImportError: it is a workbook, and openpyxl (or python-calamine, for XLS) is not installed.
    """
    if not path.is_file():
        raise InputError(f"the file '{path}' does not exist")
    if not path.stat().st_size:
        raise InputError(f"'{path}' is empty; its first line must name the columns")
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _with_whole_numbers(read_outside_parquet(path, reader))
        if suffix == _OLD_SHEET:
            import python_calamine  # noqa: F401 - named here, where its absence can be said

            return _read_sheet(path, reader, _old_sheet)
        if suffix in _SHEETS:
            import openpyxl  # noqa: F401 - likewise

            return _read_sheet(path, reader, _sheet)
        return _read_csv(path)
    except UnicodeError as error:
        raise InputError(
            f"'{path}' is not UTF-8; save it as UTF-8 (Excel: 'CSV UTF-8'), or as XLSX or Parquet"
        ) from error
    except (pa.ArrowException, OSError) as error:
        # What a library says may hold a row, with names and texts; its class does not.
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise InputError(
            f"'{path}' cannot be read as {path.suffix or 'a table'} ({reason}); save it as UTF-8 CSV or Parquet"
        ) from error


def read_side_table(path: Path) -> Table:
    """A table of labels, texts or splits: CSV or Parquet as the core reads them, or the first sheet of a workbook.

    Raises:
        InputError: it does not exist or cannot be read.
        ImportError: it is a workbook, and openpyxl (or python-calamine, for XLS) is not installed.
    """
    if path.suffix.lower() not in _SHEETS | {_OLD_SHEET}:
        return read_texts(path)
    sheet = read_table(path)
    for column in sheet.columns:
        check_cells(column.to_pylist(), path)
    rows = zip(*(column.to_pylist() for column in sheet.columns), strict=True)
    return Table(path, tuple(sheet.column_names), tuple(tuple(cell or None for cell in row) for row in rows))


def check_cells(values: Sequence[str], path: Path) -> None:
    """Raise InputError where a cell is an error of the spreadsheet, so that what it held is lost."""
    row = next((row for row, value in enumerate(values, start=1) if value in _ERRORS), None)
    if row is not None:
        raise InputError(
            f"'{path}' row {row} below the header holds the spreadsheet's error {values[row - 1]}; format the cell as "
            "text and enter again what it held"
        )


def _with_whole_numbers(table: pa.Table) -> pa.Table:
    """Columns of whole numbers as such: where a cell is blank, pandas writes 12345 as 12345.0. Bytes as their text."""
    for place, column in enumerate(table.columns):
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            table = table.set_column(place, table.column_names[place], column.cast(pa.string()))
        if not pa.types.is_floating(column.type):
            continue
        values = column.to_numpy().astype(np.float64)  # of a blank cell NaN
        blank = np.isnan(values)
        whole = np.where(blank, 0, values)
        if np.isfinite(whole).all() and (whole == np.rint(whole)).all() and (np.abs(whole) < _EXACT).all():
            numbers = pa.array(whole.astype(np.int64), mask=blank)
            table = table.set_column(place, table.column_names[place], numbers)
    return table


def told_columns(table: pa.Table, known: Iterable[str]) -> str:
    """What may be said of a table's columns: how many there are, and which of them are of a closed list."""
    names = {name.casefold(): name for name in known}
    found = [names[key] for column in table.column_names if (key := column.strip().casefold()) in names]
    return f"of its {table.num_columns} columns, {', '.join(found) or 'none'} can be used; its first line names them"


def _read_csv(path: Path) -> pa.Table:
    encoding = encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
    delimiter = max(DELIMITERS, key=first.count)
    _check_rows(path, delimiter)
    parse = pc.ParseOptions(newlines_in_values=True, delimiter=delimiter)
    read = pc.ReadOptions(block_size=_BLOCK_BYTES, encoding="utf8" if encoding == "utf-8-sig" else encoding)
    with path.open("rb") as stream:
        names = pc.open_csv(stream, read_options=read, parse_options=parse).schema.names
    as_texts = pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return pc.read_csv(path, read_options=read, parse_options=parse, convert_options=as_texts)


def _check_rows(path: Path, delimiter: str) -> None:
    """Raise InputError where a cell is not closed or a row has another number of cells than the header."""
    rows = numbered_rows(path, delimiters=delimiter)
    wanted = len(next(rows, (1, []))[1])
    held = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
    for line, row in rows:
        if len(row) != wanted:
            raise InputError(
                f"'{path}' line {line}: the row has {len(row)} cells and the header {wanted}; "
                f'put cells that hold {held} between quotation marks ("…")'
            )


def _read_sheet(path: Path, reader: PlanReader | None, parse: Callable[[Path], pa.Table]) -> pa.Table:
    """A workbook, parsed in a supervised process."""
    found = (reader or PlanReader(1, DEFAULT_LIMITS)).read(parse, path, title="reading a table")
    if not isinstance(found, Failure):
        return found
    what = how_lost(found) if found.reason in LOST else f"fails ({found.error_class})"
    raise InputError(f"reading the workbook '{path}' {what}; save it as CSV")


def _sheet(path: Path) -> pa.Table:
    """The first sheet of a workbook: values as they are shown, the first line as names."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        rows = [[_shown(cell) for cell in row] for row in book.worksheets[0].iter_rows()]
    finally:
        book.close()
    return _of_rows(rows)


def _shown(cell: Any) -> str:  # noqa: ANN401 - openpyxl has a class for each kind
    """A cell's text; a whole number of the format `000` with the zeros that it is shown with."""
    text = as_text(cell.value) or ""
    zeros = isinstance(cell.value, int | float) and _ZEROS.fullmatch(cell.number_format or "")
    return text.zfill(len(cell.number_format)) if zeros and text.isdecimal() else text


def _old_sheet(path: Path) -> pa.Table:
    """The first sheet of a workbook of Excel 97 to 2003."""
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(path)
    rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    return _of_rows([[as_text(_whole(value)) or "" for value in row] for row in rows])


def _whole(value: object) -> object:
    """Cells of the old format hold numbers as floating point alone: 3.0 was written as 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_rows(rows: list[list[str]]) -> pa.Table:
    rows = [row for row in rows if any(row)]
    names = rows[0] if rows else []
    while names and not names[-1]:
        names = names[:-1]
    columns = [pa.array([row[i] if i < len(row) else "" for row in rows[1:]], pa.string()) for i in range(len(names))]
    return pa.Table.from_arrays(columns, names=names)
