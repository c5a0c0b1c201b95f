"""What a set of pictures says of itself in YAML: its tables, where its pictures are, and what its columns mean.

A *field* is a column of a table under the name that the YAML file gives it; a *template* is a text with fields in
braces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.errors import ConfigError
from voxtile_medical.recipes.medical_set import MedicalSet, made, read_set

SETS = Path(__file__).parent / "sets"


@dataclass(frozen=True, kw_only=True)
class TableFiles:
    """Tables with the same columns.

    Attributes:
        files: patterns of their names, or of the ends of their paths; the first that is found of each.
        columns: field → names that its column has in the releases.
        optional: fields that a release may lack.
        labels: columns that are fields under their own names.
        file_pattern: regular expression whose named groups in a table's path are fields of its rows.
        by: fields by which the rows are joined to those of the pictures; empty for the pictures' own table.
        required: why a picture without a row of this table is not used; blank where that is no matter.
        is_needed: the download is incomplete without it.
        is_partial: each row is of one picture of several, so that rows without one are no matter.
        is_one: the files are releases of one table, of which the first that is there counts.
        is_each: the files are parts of one table, so that the download is incomplete without any of them.
        what: it is, for people.
    """

    files: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    file_pattern: str = ""
    by: tuple[str, ...] = ()
    required: str = ""
    is_needed: bool = True
    is_partial: bool = False
    is_one: bool = False
    is_each: bool = False
    what: str = "table"


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Fields that are parts of another: the named groups of a regular expression.

    Attributes:
        source: the field.
        pattern: that must match the whole of it.
        is_needed: a row that does not match is of another release.
    """

    source: str
    pattern: str
    is_needed: bool = True


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What labels mean.

    Attributes:
        vocabulary: the scope.
        kind: `columns` (a column a finding: 1, 0, -1 or blank), `readers` (the same, a row a reader), `list` (several
            in one cell), `class` (one a cell), or `mask` (present where a picture has one; the cell of `Masks.empty`
            says that it has none).
        source: the field of `list`, `class` and `mask`.
        columns: field → concept, for `columns` and `readers`.
        classes: label → concept, for `list` and `class`; a label whose concept is blank says that none holds.
        is_closed: what a label does not state is absent.
        is_open: labels of `list` that are not among the classes are concepts themselves.
        separator: between the labels of a list; `python` for the lists of that language.
        names: table with the fields `label` and `concept`, where labels are codes.
        codes: field that holds codes of the labels in the same order.
        method: field that says how the labels were made.
        replaces: where it says anything of a picture, rules of its vocabulary before it say nothing.
    """

    vocabulary: str
    kind: str
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    is_closed: bool = True
    is_open: bool = False
    separator: str = "|"
    names: TableFiles | None = None
    codes: str = ""
    method: str = ""
    replaces: bool = False

    @property
    def concepts(self) -> list[str]:
        """All that are looked for."""
        return [name for name in dict.fromkeys((*self.columns.values(), *self.classes.values())) if name]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An attribute that a field states in the words of the set.

    Attributes:
        name: of the attribute.
        source: the field.
        values: word → value; words that are not there are kept as they are where `is_open`, else left out.
    """

    name: str
    source: str
    values: Mapping[str, Any] = field(default_factory=dict)
    is_open: bool = False


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Official splits.

    Attributes:
        source: the field that says them.
        values: its values → train, val or test.
        lists: split → text file of keys, a line each, in place of a field.
        validation: share of the subjects of train that become val, where the set has none.
    """

    source: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    validation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Reports or captions.

    Attributes:
        fields: one text, or heading → field; several headings make one report.
        files: templates of text files, the first that is there.
        language: code of ISO 639.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Regions as boxes, in pixels from the left and the top.

    Attributes:
        phrase: template of what they show.
        names: spelling in this table → that of the findings.
        left, top: fields.
        right, bottom: fields of the other corner, or
        width, height: fields of the size.
        note: template of what distinguishes them.
        table: where they are; None for the rows of the pictures.
    """

    phrase: str
    left: str
    top: str
    names: Mapping[str, str] = field(default_factory=dict)
    right: str = ""
    bottom: str = ""
    width: str = ""
    height: str = ""
    note: str = ""
    table: TableFiles | None = None


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Regions as masks.

    Attributes:
        phrase: template of what they show.
        files: glob in the picture's folder, a template; each file is a region.
        runs: field of run lengths down the columns, each start counted from the end of the run before (SIIM-ACR).
        empty: what that field holds where there is none.
    """

    phrase: str
    files: str = ""
    runs: str = ""
    empty: str = "-1"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Pictures that the makers, or those who read the set before, found to be none.

    Attributes:
        reason: in the ledger.
        sentence: why.
        keys: of the pictures.
        table: whose field `key` lists them, where the set has one.
    """

    reason: str
    sentence: str
    keys: tuple[str, ...] = ()
    table: TableFiles | None = None


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """Spacing of the pictures before they were scaled to what is in the download: fields of mm and of pixels."""

    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, kw_only=True)
class PictureSet(MedicalSet):
    """A set of pictures.

    Attributes:
        modality: a defined term of DICOM; a field of this name in the rows says better.
        body_part: of all pictures.
        table: of the pictures; None where they are found by `pattern`.
        pattern: regular expression of the pictures' paths, whose named groups are fields.
        joins: further tables.
        derive: fields from parts of fields.
        key: template, unique among the pictures.
        is_gathered: several rows of the table may be of one picture.
        picture: templates of where it is, the first that is there; `**/` for a name in whatever folder.
        subject: templates, the first whose fields are known.
        study: template.
        corrections: key → field → what its makers say it should be.
        left_out: pictures that are not used.
        splits, findings, attributes, texts, boxes, masks, spacing: what else is known.
        age: field of years.
        licence_field: of the single picture.
    """

    modality: str
    key: str
    picture: tuple[str, ...]
    subject: tuple[str, ...]
    body_part: str | None = None
    table: TableFiles | None = None
    pattern: str = ""
    joins: tuple[TableFiles, ...] = ()
    derive: tuple[Derived, ...] = ()
    is_gathered: bool = False
    study: str = ""
    corrections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    splits: Splits | None = None
    findings: tuple[Findings, ...] = ()
    attributes: tuple[Choice, ...] = ()
    texts: Texts | None = None
    boxes: Boxes | None = None
    masks: Masks | None = None
    spacing: Spacing | None = None
    age: str = ""
    licence_field: str = ""


def picture_set(name: str) -> PictureSet:
    """One of the sets in `sets/`, by its name.

    Raises:
        ConfigError: the file does not fit.
    """
    path = SETS / f"{name}.yaml"
    fields = read_set(path)
    fields["findings"] = made(Findings, [_with_table(f, path, "names") for f in fields.get("findings", ())], path)
    for group, kind in {"derive": Derived, "attributes": Choice}.items():
        fields[group] = made(kind, fields.get(group, ()), path)
    for part, kind in {"splits": Splits, "texts": Texts, "masks": Masks, "spacing": Spacing}.items():
        fields[part] = _one(kind, fields.get(part), path)
    fields["table"] = _table(fields.get("table"), path)
    fields["joins"] = tuple(_table(entry, path) for entry in fields.get("joins", ()))
    fields["left_out"] = made(LeftOut, [_with_table(entry, path) for entry in fields.get("left_out", ())], path)
    fields["boxes"] = _one(Boxes, _with_table(fields["boxes"], path) if "boxes" in fields else None, path)
    for name in ("picture", "subject"):
        fields[name] = tuple(fields.get(name, ()))
    try:
        return PictureSet(**fields)
    except TypeError as error:
        raise ConfigError(f"the data set '{path}' does not fit: {error}; correct the file") from error


def _one(kind: type[Any], entry: Mapping[str, Any] | None, path: Path) -> Any:  # noqa: ANN401
    return None if entry is None else made(kind, [entry], path)[0]


def _with_table(entry: Mapping[str, Any], path: Path, name: str = "table") -> dict[str, Any]:
    return {**entry, name: _table(entry.get(name), path)}


def _table(entry: Mapping[str, Any] | None, path: Path) -> TableFiles | None:
    if entry is None:
        return None
    columns = {
        name: (names,) if isinstance(names, str) else tuple(names) for name, names in entry.get("columns", {}).items()
    }
    found: TableFiles = _one(TableFiles, {**entry, "columns": columns}, path)
    return found
