"""The pictures that the tables of a download name, each with the fields of all tables that speak of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import tell
from voxtile_medical.recipes.pictures.files import PictureNames
from voxtile_medical.recipes.pictures.picture_set import Derived, PictureSet, TableFiles
from voxtile_medical.recipes.pictures.tables import Fields, TableRow, read_rows


@dataclass
class PictureRow:
    """What the tables say of one picture.

    Attributes:
        key: unique in the set.
        fields: of its first row and of the rows joined to it.
        rows: the fields of all its rows.
        folder: of the table, relative.
        refusal: reason and sentence, where the tables alone say that it is not used.
    """

    key: str
    fields: Fields
    folder: str
    rows: list[Fields] = field(default_factory=list)
    refusal: tuple[str, str] | None = None


def picture_rows(root: Path, data: PictureSet, names: PictureNames) -> Iterator[PictureRow]:
    """The pictures of a set in the order of its tables; rows that say again what another says are rows of the ledger.

    Args:
        root: the download.
        data: the set.
        names: the pictures that are there.

    Raises:
        InputError: a table is missing, cannot be read, or is of another release.
    """
    found: dict[str, PictureRow] = {}
    repeated: list[PictureRow] = []
    for row in _rows(root, data, names):
        fields = _derived(row.fields, data.derive, row.place, data)
        key = fill(data.key, fields)
        if key is None:
            why = f"{row.place} does not say which picture it is of"
            repeated.append(PictureRow(row.place, fields, row.folder, refusal=("nameless-row", why)))
            continue
        first = found.setdefault(key, PictureRow(key, fields, row.folder))
        if first.rows and not data.is_gathered:
            repeated.append(_repeated(first, fields, row))
        first.rows.append(fields)
    for join in data.joins:
        _join(root, join, data, found.values())
    for picture in found.values():
        picture.fields |= _derived(picture.fields, data.derive, picture.key, data)
    _leave_out(root, data, found)
    for key, said in data.corrections.items():
        if key in found:
            found[key].fields |= said
    yield from found.values()
    yield from repeated


def fill(template: str, fields: Mapping[str, str | None]) -> str | None:
    """A template with its fields; None where one of them is blank or not there."""
    try:
        filled = template.format_map({name: value for name, value in fields.items() if value is not None})
    except KeyError:
        return None
    return filled or None


def _rows(root: Path, data: PictureSet, names: PictureNames) -> Iterator[TableRow]:
    if data.table is not None:
        yield from read_rows(root, data.table, data)
        return
    for path in names.all():
        match = re.fullmatch(data.pattern, path)
        if match is not None:
            yield TableRow({"path": path, **match.groupdict()}, path, "")


def subject_of(fields: Mapping[str, str | None], data: PictureSet) -> str | None:
    """Whose picture it is; None where the tables do not say."""
    return next((name for template in data.subject if (name := fill(template, fields))), None)


def _derived(known: Fields, derive: Iterable[Derived], place: str, data: PictureSet) -> Fields:
    fields = dict(known)
    for rule in derive:
        value = fields.get(rule.source)
        match = re.fullmatch(rule.pattern, value) if value else None
        if match is not None:
            fields |= match.groupdict()
        elif value and rule.is_needed:
            raise InputError(
                f"{place} has '{value[:80]}' where {data.title} has what fits {rule.pattern}; it is a table of "
                "another release, or of something else"
            )
    return fields


def _repeated(first: PictureRow, fields: Fields, row: TableRow) -> PictureRow:
    """A further row of a picture: the first holds where both say the same, and neither where they do not."""
    if fields == first.rows[0]:
        refusal = ("duplicate-row", f"{row.place} says again what another row says of the picture")
    else:
        refusal = ("conflicting-rows", f"{row.place} says something else of the picture than another row")
        first.refusal = ("conflicting-rows", "rows of the table say different things of the picture")
    return PictureRow(f"{first.key} ({row.place})", fields, row.folder, refusal=refusal)


def _join(root: Path, join: TableFiles, data: PictureSet, pictures: Iterable[PictureRow]) -> None:
    """Add the fields of a table to the pictures that it speaks of, and say how many rows speak of none."""
    known: dict[tuple[str | None, ...], Fields] = {}
    torn: set[tuple[str | None, ...]] = set()
    is_there = False
    for row in read_rows(root, join, data):
        is_there, key = True, tuple(row.fields.get(name) for name in join.by)
        if known.setdefault(key, row.fields) != row.fields:
            torn.add(key)
    used: set[tuple[str | None, ...]] = set()
    for picture in pictures:
        key = tuple(picture.fields.get(name) for name in join.by)
        used.add(key)
        fields = known.get(key)
        if key in torn:
            why = f"rows of the {join.what} say different things of it"
            picture.refusal = picture.refusal or ("conflicting-rows", why)
        elif fields is not None:
            for cells in (picture.fields, *picture.rows):
                cells |= {name: value for name, value in fields.items() if name not in join.by}
        elif join.required and is_there:
            picture.refusal = picture.refusal or ("not-listed", join.required)
    strays = [key for key in known if key not in used]
    if strays and not join.is_partial:
        tell(
            f"{data.title}: {len(strays)} of {len(known)} rows of the {join.what} are of no picture of the download, "
            f"such as '{'/'.join(str(part) for part in strays[0])}'"
        )


def _leave_out(root: Path, data: PictureSet, found: Mapping[str, PictureRow]) -> None:
    for rule in data.left_out:
        keys = list(rule.keys)
        if rule.table is not None:
            keys += [key for row in read_rows(root, rule.table, data) if (key := row.fields["key"])]
        for key in keys:
            if key in found:
                found[key].refusal = (rule.reason, rule.sentence)
