"""From what the tables say of a picture to an entry of the plan, with its split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_datasets.recipes.entries import Box, Entry
from voxtile_medical.dicom_header.attributes import age_band
from voxtile_medical.recipes.pictures.files import PictureNames, is_inside
from voxtile_medical.recipes.pictures.labels import Fact, Labelled, concept_names, labels_of
from voxtile_medical.recipes.pictures.picture_set import Boxes, PictureSet, Texts
from voxtile_medical.recipes.pictures.rows import PictureRow, fill, picture_rows, subject_of
from voxtile_medical.recipes.pictures.splits import Placed, official_splits
from voxtile_medical.recipes.pictures.tables import Fields, read_rows

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom")
_OLDEST = 120  # years; NIH's first release has a patient of 411


@dataclass(frozen=True)
class PictureEntry(Entry):
    """One picture to be.

    Attributes:
        labelled: facts by vocabulary.
        report: a text file of the download, beside `texts`.
        masks: phrase and mask file of regions.
        runs: phrase and run lengths of regions.
        scaled_from: spacing in mm (rows, columns) and size in pixels (rows, columns) of what the picture was made of.
        language: of its texts.
        refusal: reason and sentence, where the tables alone say that it is not used.
    """

    labelled: tuple[Labelled, ...] = ()
    report: str | None = None
    masks: tuple[tuple[str, str], ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    scaled_from: tuple[float, ...] = ()
    language: str | None = None
    refusal: tuple[str, str] | None = field(default=None)

    @classmethod
    def from_inputs(cls, values: Mapping[str, Any]) -> PictureEntry:
        """Back from `to_inputs`, also after a trip through JSON."""
        entry = Entry.from_inputs({k: v for k, v in values.items() if k in Entry.__dataclass_fields__})
        labelled = tuple(
            Labelled(one["vocabulary"], one["is_closed"], tuple(Fact(**fact) for fact in one["facts"]))
            for one in values["labelled"]
        )
        held = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
        return cls(
            **held,
            labelled=labelled,
            report=values["report"],
            masks=_pairs(values["masks"]),
            runs=_pairs(values["runs"]),
            scaled_from=tuple(values["scaled_from"]),
            language=values["language"],
            refusal=tuple(values["refusal"]) if values["refusal"] else None,
        )


def _pairs(values: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in values)


def list_entries(root: Path, data: PictureSet) -> Iterator[PictureEntry]:
    """The pictures of a set, each patient in one split.

    Raises:
        InputError: a table is missing, cannot be read, or is of another release.
    """
    names = PictureNames(root)
    rows = list(picture_rows(root, data, names))
    splits = official_splits(root, data, rows)
    boxes = _boxes_by_key(root, data, rows)
    concepts = concept_names(root, data)
    pictures, bare, named = 0, list[PictureRow](), set[str]()
    for row in rows:
        entry = _entry(row, data, names, splits, boxes.get(row.key, []), concepts)
        named.update(entry.files or [names.find(_paths(row, data), row.folder) or ""])
        if not entry.is_missing and entry.refusal is None:
            pictures += 1
            bare += [] if entry.texts or entry.report else [row]
        yield entry
    if data.texts is not None and data.texts.files and bare:
        tell(
            f"{data.title}: {len(bare)} of {pictures} pictures have no report in '{root}' "
            f"('{fill(data.texts.files[0], bare[0].fields)}'); unpack the reports there, or these pictures have no text"
        )
    if names.ambiguous:
        tell(
            f"{data.title}: {len(names.ambiguous)} pictures lie in several folders of '{root}', such as "
            f"{some_of(list(names.ambiguous))}; the first is read, remove the others"
        )
    if pictures:  # else it is another download
        yield from _unread(root, data, names, named)


def _unread(root: Path, data: PictureSet, names: PictureNames, named: Set[str]) -> Iterator[PictureEntry]:
    """Pictures of which no table, and no name that the set gives its pictures, says what they show or are."""
    unread = [
        path
        for path in names.all()
        if path.lower().endswith(_PICTURES)
        and path not in named
        and path.rpartition("/")[2] not in names.ambiguous
        and not data.is_unread(path)
    ]
    if unread:
        tell(f"{data.title}: {len(unread)} pictures of '{root}' are not read ({some_of(unread)}); see the ledger")
    why = "no table of the set speaks of it" if data.table else "no picture of the set is named so"
    yield from (PictureEntry(path, (), refusal=("not-of-the-set", why)) for path in unread)


def _paths(row: PictureRow, data: PictureSet) -> list[str]:
    """Where its picture may be."""
    return [path for template in data.picture if (path := fill(template, row.fields))]


def _entry(
    row: PictureRow,
    data: PictureSet,
    names: PictureNames,
    splits: Mapping[str, Placed],
    boxes: Sequence[Box],
    concepts: Mapping[str, Mapping[str, str]],
) -> PictureEntry:
    fields, key = row.fields, row.key
    if row.refusal:
        return PictureEntry(key, (), refusal=row.refusal)
    subject, study = subject_of(fields, data), fill(data.study, fields) if data.study else None
    if subject is None:
        return PictureEntry(key, (), refusal=("nameless-subject", "the table does not say whose picture it is"))
    split, refusal = splits.get(key, (None, None))
    if refusal:
        return PictureEntry(key, (), refusal=refusal)
    paths = _paths(row, data)
    if not all(is_inside(path.removeprefix("**/")) for path in paths):
        return PictureEntry(key, (), refusal=("unsafe-name", "the table names a file outside the download"))
    found = names.find(paths, row.folder)
    if found is None:
        return PictureEntry(key, tuple(paths[:1]) or (key,), is_missing=True)
    report, texts = _texts(data.texts, fields, names, row.folder)
    masks, runs = _masks(data, row, names, found)
    files = (found, *([report] if report else []), *(path for _, path in masks))
    return PictureEntry(
        key,
        files,
        split=split,
        texts=texts,
        boxes=tuple(boxes),
        subject=subject,
        study=study,
        row=_columns(data, fields),
        attributes=_attributes(data, fields),
        labelled=tuple(labels_of(row, data, concepts)),
        report=report,
        masks=masks,
        runs=runs,
        scaled_from=_scaled_from(data, fields),
        language=data.texts.language if data.texts else None,
    )


def _columns(data: PictureSet, fields: Fields) -> dict[str, Any]:
    columns: dict[str, Any] = {"modality": fields.get("modality") or data.modality}
    licence = fields.get(data.licence_field) if data.licence_field else None
    return columns | ({"licence": licence} if licence else {})


def _attributes(data: PictureSet, fields: Fields) -> dict[str, Any]:
    held: dict[str, Any] = {"body_part": data.body_part} if data.body_part else {}
    for choice in data.attributes:
        word = fields.get(choice.source)
        value = None if word is None else choice.values.get(word, word if choice.is_open else None)
        if value is not None:
            held.setdefault(choice.name, value)
    years = fields.get(data.age) if data.age else None
    digits = "".join(c for c in (years or "").removesuffix(".0") if c.isdecimal())
    if digits and 0 < int(digits) <= _OLDEST and (band := age_band(f"{int(digits):03d}Y")):
        held["age_band"] = band
    return held


def _texts(texts: Texts | None, fields: Fields, names: PictureNames, folder: str) -> tuple[str | None, tuple[str, ...]]:
    """The report's file, or the texts that the tables hold: one of all its sections."""
    if texts is None:
        return None, ()
    report = names.find([path for template in texts.files if (path := fill(template, fields))], folder)
    held = {heading: text for heading, name in texts.fields.items() if (text := fields.get(name))}
    if len(texts.fields) == 1:
        return report, tuple(held.values())
    return report, ("\n".join(f"{heading}: {text}" for heading, text in held.items()),) if held else ()


def _masks(
    data: PictureSet, row: PictureRow, names: PictureNames, path: str
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    rule = data.masks
    phrase = fill(rule.phrase, row.fields) if rule else None
    if rule is None or phrase is None:
        return (), ()
    pattern = fill(rule.files, row.fields) if rule.files else None
    masks = tuple((phrase, file) for file in names.beside(path, pattern)) if pattern else ()
    cells = [cell for fields in row.rows if (cell := fields.get(rule.runs))] if rule.runs else []
    return masks, tuple((phrase, cell) for cell in dict.fromkeys(cells) if cell != rule.empty)


def _scaled_from(data: PictureSet, fields: Fields) -> tuple[float, ...]:
    rule = data.spacing
    cells = [fields.get(name) for name in (rule.y, rule.x, rule.height, rule.width)] if rule else []
    try:
        numbers = tuple(float(cell) for cell in cells if cell is not None)
    except ValueError:
        return ()
    return numbers if len(numbers) == 4 and all(number > 0 for number in numbers) else ()


def _boxes_by_key(root: Path, data: PictureSet, rows: Sequence[PictureRow]) -> dict[str, list[Box]]:
    rule = data.boxes
    if rule is None:
        return {}
    if rule.table is None:
        return {row.key: [box for fields in row.rows if (box := _box(rule, fields, data, row.key))] for row in rows}
    found: dict[str, list[Box]] = {}
    for row in read_rows(root, rule.table, data):
        key = fill(data.key, row.fields)
        box = _box(rule, row.fields, data, row.place)
        if key and box and box not in found.setdefault(key, []):
            found[key].append(box)
    strays = sorted(found.keys() - {row.key for row in rows})
    if strays:
        tell(f"{data.title}: boxes are of {len(strays)} pictures that its table does not have: {some_of(strays)}")
    return found


def _box(rule: Boxes, fields: Fields, data: PictureSet, where: str) -> Box | None:
    """A row's box; None where its cells are blank, as they are of a picture without one."""
    named = (rule.left, rule.top, rule.right or rule.width, rule.bottom or rule.height)
    cells = [fields.get(name) for name in named]
    phrase = fill(rule.phrase, fields)
    if phrase is None or None in cells:
        return None
    try:
        left, top, third, fourth = (float(cell or "") for cell in cells)
    except ValueError as error:
        raise InputError(
            f"{data.title}: a box of '{where}' is no four numbers; take the table of its release"
        ) from error
    right, bottom = (third, fourth) if rule.right else (left + third, top + fourth)
    note = fill(rule.note, fields) if rule.note else None
    return Box(rule.names.get(phrase, phrase), (top, left, bottom, right), note=note or "")
