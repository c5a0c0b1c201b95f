"""Tables of a download as rows of fields: CSV, also packed by gzip, workbooks, JSON, and the reports of Open-i."""

from __future__ import annotations

import fnmatch
import gzip
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from voxtile.bounded_text import load_json
from voxtile.errors import InputError
from voxtile.stages.ingest.table import as_text, column_key, read_table
from voxtile_datasets.intake.tables import read_table as read_sheet
from voxtile_datasets.recipes.download import some_of, still_packed, tell
from voxtile_medical.recipes.pictures.openi_reports import HEADER, openi_rows
from voxtile_medical.recipes.pictures.picture_set import PictureSet, TableFiles

Fields: TypeAlias = "dict[str, str | None]"

_LARGEST = 2 << 30  # bytes of a table; those of MIMIC-CXR-JPG have 0.06 GB
_DEPTH = 2  # folders below the download in which tables are looked for
_MOST_FOLDERS = 100  # in one of them; MIMIC-CXR has thousands of patients in each of ten, and no table there


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        fields: field → text; None where blank.
        place: file and row (from 1), for people.
        folder: of the table, relative.
    """

    fields: Fields
    place: str
    folder: str


def find_tables(root: Path, table: TableFiles) -> list[Path]:
    """The tables of a download: of each pattern the files that are nearest to its root."""
    found: dict[Path, None] = {}
    levels = list(_levels(root))
    for pattern in table.files:
        for folders in levels:
            matched = sorted(
                folder / name for folder, names in folders for name in names if fnmatch.fnmatchcase(name, pattern)
            )
            if matched:
                found |= dict.fromkeys(matched)
                break
        if found and table.is_one:
            break
    return list(found)


def _levels(root: Path) -> Iterator[list[tuple[Path, list[str]]]]:
    """Folders with the names of their files, from the root down; those of patients, which are many, are not entered."""
    folders = [root]
    for _ in range(_DEPTH + 1):
        listed, below = [], list[Path]()
        for folder in folders:
            with os.scandir(folder) as entries:
                known = [entry for entry in entries if not entry.name.startswith(".")]
            listed.append((folder, [entry.name for entry in known if entry.is_file()]))
            inside = [folder / entry.name for entry in known if entry.is_dir()]
            below += sorted(inside) if len(inside) <= _MOST_FOLDERS else []
        yield listed
        folders = below


def read_rows(root: Path, table: TableFiles, data: PictureSet) -> Iterator[TableRow]:
    """The rows of all files of a table.

    Raises:
        InputError: there is none and it is needed, one cannot be read, or it is of another release.
    """
    paths = _one_form_each(find_tables(root, table))
    lacking = [pattern for pattern in table.files if not any(fnmatch.fnmatchcase(path.name, pattern) for path in paths)]
    if (table.is_each and lacking) or (table.is_needed and not paths):
        raise InputError(
            f"'{root}' has no {table.what} '{lacking[0]}'{still_packed(root)}; give the folder that "
            f"{data.title} is unpacked to ({data.source})"
        )
    if not paths:
        tell(
            f"{data.title}: '{root}' has no {table.what} ({some_of(list(table.files))}); the corpus is made without it"
        )
    for path in paths:
        place = path.relative_to(root).as_posix()
        folder = place.rpartition("/")[0]
        named = re.search(table.file_pattern, place) if table.file_pattern else None
        of_file: Mapping[str, str | None] = named.groupdict() if named else {}
        for number, fields in enumerate(_read(path, place, table, data), start=1):
            yield TableRow({**of_file, **fields}, f"{place} row {number}", folder)


def _one_form_each(paths: list[Path]) -> list[Path]:
    """Each table once, where it is there packed and unpacked, or as a workbook and as CSV."""
    forms: dict[Path, list[Path]] = {}
    for path in paths:
        forms.setdefault((path.with_suffix("") if path.suffix == ".gz" else path).with_suffix(""), []).append(path)
    order = (".json", ".csv", ".gz", ".xlsx", ".xlsm", ".xls")
    return [
        min(same, key=lambda path: order.index(path.suffix) if path.suffix in order else 0) for same in forms.values()
    ]


def _read(path: Path, place: str, table: TableFiles, data: PictureSet) -> Iterator[Fields]:
    if path.suffix.lower() == ".json":
        header, rows = _json_rows(path, place)
    elif path.suffix.lower() == ".xml":
        header, rows = list(HEADER), iter(openi_rows(path, place))
    else:
        header, rows = _delimited_rows(path)
    by_key = {column_key(name): position for position, name in reversed(list(enumerate(header)))}
    positions: dict[str, int] = {}
    for field, names in (*table.columns.items(), *((name, (name,)) for name in table.labels)):
        found = next((by_key[key] for name in names if (key := column_key(name)) in by_key), None)
        if found is not None:
            positions[field] = found
        elif field not in table.optional:
            raise InputError(
                f"'{place}' has no column '{names[0]}', which the {table.what} of {data.title} has: it is of another "
                f"release, or of something else; download the one that belongs to the pictures ({data.source})"
            )
    for row in rows:
        yield {field: row[position] for field, position in positions.items()}


def _delimited_rows(path: Path) -> tuple[list[str], Iterator[tuple[str | None, ...]]]:
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xlsm", ".xls"):
        sheet = read_sheet(path)
        columns = [[as_text(value) for value in column.to_pylist()] for column in sheet.columns]
        return sheet.column_names, iter(zip(*columns, strict=True))
    if suffix != ".gz":
        read = read_table(path)
        return list(read.columns), iter(read.rows)
    with tempfile.TemporaryDirectory(prefix="voxtile-") as folder:
        unpacked = Path(folder) / path.stem
        _unpack(path, unpacked)
        read = read_table(unpacked)
    return list(read.columns), iter(read.rows)


def _unpack(path: Path, target: Path) -> None:
    try:
        with gzip.open(path) as packed, target.open("wb") as out:
            while chunk := packed.read(1 << 20):
                out.write(chunk)
                if out.tell() > _LARGEST:
                    raise InputError(f"'{path}' unpacks to more than {_LARGEST >> 30} GiB; download it again")
    except (OSError, EOFError, zlib.error, shutil.Error) as error:
        raise InputError(f"'{path}' cannot be unpacked ({type(error).__name__}); download it again") from error


def _json_rows(path: Path, place: str) -> tuple[list[str], Iterator[tuple[str | None, ...]]]:
    """A list of objects, or an object a line."""
    if path.stat().st_size > _LARGEST:
        raise InputError(f"'{place}' has more than {_LARGEST >> 30} GiB; download it again")
    text = path.read_text("utf-8-sig", errors="strict")
    try:
        content = (
            load_json(text) if text.lstrip().startswith("[") else [load_json(li) for li in text.splitlines() if li]
        )
    except ValueError as error:
        raise InputError(f"'{place}' is no JSON ({' '.join(str(error).split())[:100]}); download it again") from error
    rows: list[dict[str, Any]] = [row for row in content if isinstance(row, dict)]
    header = list(dict.fromkeys(name for row in rows for name in row))
    return header, (tuple(as_text(row.get(name)) for name in header) for row in rows)
