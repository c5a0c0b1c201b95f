"""What a label table says: which key joins it, and per key which concepts are present, absent or uncertain."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.table import Table, column_key, composed, is_missing

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]

# CheXpert's coding (Irvin et al., AAAI 2019): 1 positive, 0 negative, -1 uncertain, blank not mentioned.
VALUES: Mapping[str, Polarity] = {
    "1": "present", "true": "present", "yes": "present", "positive": "present",
    "0": "absent", "false": "absent", "no": "absent", "negative": "absent",
    "-1": "uncertain", "uncertain": "uncertain",
    # TRUE and FALSE of spreadsheets in other languages, and their yes and no.
    **dict.fromkeys(["wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar"], "present"),
    **dict.fromkeys(["ja", "oui", "sí", "si", "sim"], "present"),
    **dict.fromkeys(["falsch", "faux", "falso", "onwaar", "nein", "non", "nee", "não", "nao"], "absent"),
}  # fmt: skip
_WHOLE = re.compile(r"^([-−]?\d+)[.,]0+$")  # of a number as spreadsheets write it: 1.0, in many languages 1,00
KEYS: Mapping[str, tuple[str, ...]] = {
    "uid": ("uid",),
    "source": (
        "source", "file", "filepath", "path", "filename", "file_name", "image", "image_path", "image_index", "slide",
        "slide_id",
    ),
    "study": ("study", "study_id", "study_instance_uid", "accession", "accession_number"),
    "subject": ("subject", "subject_id", "patient", "patient_id", "case", "case_id"),
}  # fmt: skip
CLASS_COLUMNS = ("label", "labels", "class", "category", "finding_labels", "diagnosis")
_DOUBTFUL = frozenset({"none", "-", "–", "?", "unknown", "unbekannt", "inconnu", "keine angabe", "k.a.", "n.d."})
_STRENGTH: Mapping[Polarity, int] = {"absent": 0, "uncertain": 1, "present": 2}


@dataclass(frozen=True)
class Labels:
    """A label table, read.

    Attributes:
        keys: key (`uid`, `source`, `study`, `subject`) → its value in each row, for the keys that the table has.
        rows: concept → polarity, for each row; blank cells are not in it.
        concepts: what was looked for, in the table's order.
        is_class: the labels come from one column of classes.
        ignored: columns that are neither key nor label.
        doubtful: classes whose names say that nothing is known.
    """

    keys: Mapping[str, Sequence[str | None]]
    rows: Sequence[Mapping[str, Polarity]]
    concepts: tuple[str, ...]
    is_class: bool
    ignored: tuple[str, ...]
    doubtful: tuple[str, ...] = ()


def read_labels(
    table: Table,
    *,
    columns: Sequence[str] = (),
    class_column: str | None = None,
    class_names: Sequence[str] = (),
    separator: str = "|",
) -> Labels:
    """Interpret a table.

    Args:
        table: with at least one column of `KEYS`.
        columns: label columns with 1, 0, -1 or blank; by default all columns that hold nothing else.
        class_column: column with the name of a class, or of several; by default one of `CLASS_COLUMNS`.
        class_names: names for classes that are given as numbers 0, 1, ….
        separator: between several classes in one cell.

    Raises:
        ConfigError: a column does not exist, or numbered classes have no names.
        InputError: no key, no label, or a column that stands twice.
    """
    keys = {key: column for key, names in KEYS.items() if (column := table.find(names))}
    if not keys:
        wanted = ", ".join(names[0] for names in KEYS.values())
        raise InputError(
            f"'{table.path}' has no column that says whose labels these are ({wanted}); {table.told_header}"
        )
    for name in (*columns, *([class_column] if class_column else [])):
        if name not in table.columns:
            raise ConfigError(f"'{table.path}' has no column '{name}'; {table.told_header}")
    key_values = {key: _known(table.column(column)) for key, column in keys.items()}
    chosen = class_column or (None if columns else table.find(CLASS_COLUMNS))
    if chosen is not None:
        return _by_class(table, key_values, frozenset(keys.values()), chosen, tuple(class_names), separator)
    return _by_column(table, key_values, frozenset(keys.values()), tuple(columns))


def _known(values: Sequence[str | None]) -> list[str | None]:
    return [None if is_missing(value) else value for value in values]


def _polarities(values: Sequence[str | None]) -> tuple[list[Polarity | None], int | None]:
    """What a column says, and the row of the file at which it says something else; None for none."""
    plain = [value and _WHOLE.sub(r"\1", composed(value).casefold()).replace("−", "-") for value in _known(values)]
    strange = next((row for row, value in enumerate(plain, start=2) if value and value not in VALUES), None)
    return [VALUES.get(value) if value else None for value in plain], strange


def merge(labels: Sequence[Mapping[str, Polarity]]) -> tuple[dict[str, Polarity], int]:
    """Join the labels of several rows about the same thing: present outweighs uncertain, which outweighs absent.

    Returns:
        The merged labels, and the number of concepts about which the rows disagree.
    """
    merged: dict[str, Polarity] = {}
    disputed: set[str] = set()
    for row in labels:
        for concept, polarity in row.items():
            known = merged.setdefault(concept, polarity)
            if known != polarity:
                disputed.add(concept)
                merged[concept] = max(known, polarity, key=_STRENGTH.__getitem__)
    return merged, len(disputed)


def _by_column(
    table: Table, keys: Mapping[str, Sequence[str | None]], taken: frozenset[str], wanted: tuple[str, ...]
) -> Labels:
    known_keys = {column_key(name) for names in KEYS.values() for name in names} | {"split"}
    candidates = wanted or tuple(c for c in table.columns if c and c not in taken and column_key(c) not in known_keys)
    parsed: dict[str, list[Polarity | None]] = {}
    others: dict[str, str] = {}
    for column in candidates:
        if table.columns.count(column) > 1:
            raise InputError(f"'{table.path}' has the column '{column}' more than once; remove all but one")
        found, strange = _polarities(table.column(column))
        if strange is None and any(found):
            parsed[column] = found
        else:
            others[column] = f"something else in row {strange}" if strange else "nothing"
            if wanted:
                raise InputError(
                    f"column '{column}' of '{table.path}' holds {others[column]}; labels are 1, 0, -1 or blank"
                )
    if not parsed:
        nearest = "".join(f" (column '{column}' holds {what})" for column, what in list(others.items())[:1])
        raise InputError(
            f"'{table.path}' has no label column (1, 0, -1 or blank) and none of classes ({', '.join(CLASS_COLUMNS)})"
            f"{nearest}; name it with --columns or --class-column"
        )
    rows: list[dict[str, Polarity]] = [{} for _ in table.rows]
    for column, polarities in parsed.items():
        for row, polarity in zip(rows, polarities, strict=True):
            if polarity is not None:
                row[column] = polarity
    ignored = tuple(
        f"{c or 'a column without a name'}{f' (it holds {others[c]})' if c in others else ''}"
        for c in table.columns
        if c not in parsed and c not in taken
    )
    return Labels(keys, rows, tuple(parsed), is_class=False, ignored=ignored)


def _by_class(
    table: Table,
    keys: Mapping[str, Sequence[str | None]],
    taken: frozenset[str],
    column: str,
    class_names: tuple[str, ...],
    separator: str,
) -> Labels:
    names: dict[str, None] = dict.fromkeys(class_names)
    rows: list[dict[str, Polarity]] = []
    for value in table.column(column):
        row: dict[str, Polarity] = {}
        for part in classes_in(value or "", separator):
            row[_class_name(part, class_names, table, column)] = "present"
        names |= dict.fromkeys(row)
        rows.append(row)
    if not names:
        raise InputError(f"the class column '{column}' of '{table.path}' is empty; name another with --class-column")
    concepts = tuple(names) if class_names else tuple(sorted(names))
    ignored = tuple(c for c in table.columns if c != column and c not in taken)
    doubtful = tuple(name for name in concepts if name.casefold() in _DOUBTFUL)
    return Labels(keys, rows, concepts, is_class=True, ignored=ignored, doubtful=doubtful)


def classes_in(cell: str, separator: str) -> list[str]:
    """Names in a cell: joined by the separator, or a list as Python and Parquet write it."""
    listed = re.fullmatch(r"\[(?:'.*'|\".*\")?\]", cell, re.DOTALL)
    try:
        parts = [str(part) for part in ast.literal_eval(cell)] if listed else cell.split(separator)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        parts = cell.split(separator)
    named = [" ".join(composed(part).split()) for part in parts]
    return [name for name in named if name.casefold() == "none" or not is_missing(name)]


def _class_name(value: str, class_names: Sequence[str], table: Table, column: str) -> str:
    value = _WHOLE.sub(r"\1", value)
    if not value.lstrip("-").isdecimal():
        return value
    if not class_names:
        raise ConfigError(
            f"the class column '{column}' of '{table.path}' holds numbers; name them in order with --class-names"
        )
    if not 0 <= int(value) < len(class_names):
        raise InputError(
            f"column '{column}' of '{table.path}' holds {value}, but there are {len(class_names)} class names"
        )
    return class_names[int(value)]
