"""Labels of a picture to facts: uncertain stays uncertain, and what a table leaves blank is not mentioned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtile.errors import InputError
from voxtile_datasets.captions.label_table import VALUES, Polarity
from voxtile_medical.recipes.pictures.picture_set import Findings, PictureSet
from voxtile_medical.recipes.pictures.rows import PictureRow
from voxtile_medical.recipes.pictures.tables import Fields, read_rows


@dataclass(frozen=True)
class Fact:
    """What is known of a finding.

    Attributes:
        concept: the finding.
        polarity: present, absent or uncertain.
        code: of an ontology.
        method: how the label was made.
    """

    concept: str
    polarity: Polarity
    code: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class Labelled:
    """What a set says of a picture under one vocabulary.

    Attributes:
        vocabulary: the scope.
        is_closed: of its concepts, those without a fact are absent.
        facts: of the picture.
    """

    vocabulary: str
    is_closed: bool
    facts: tuple[Fact, ...]


def concept_names(root: Path, data: PictureSet) -> dict[str, dict[str, str]]:
    """Vocabulary → code → concept, of the sets that list them in a table."""
    return {
        rule.vocabulary: {
            label: name
            for row in read_rows(root, rule.names, data)
            if (label := row.fields["label"]) and (name := row.fields["concept"])
        }
        for rule in data.findings
        if rule.names is not None
    }


def labels_of(picture: PictureRow, data: PictureSet, names: Mapping[str, Mapping[str, str]]) -> Iterator[Labelled]:
    """The facts of a picture, by vocabulary; none of a vocabulary of which its rows hold no cell.

    Args:
        picture: any.
        data: the set.
        names: as `concept_names` gives them.

    Raises:
        InputError: a label is none of the set.
    """
    found: list[Labelled] = []
    for rule in data.findings:
        facts = _facts(picture, rule, data, names.get(rule.vocabulary, {}))
        method = picture.fields.get(rule.method) if rule.method else None
        if rule.replaces and (facts is not None or method):  # a row of blank cells has looked too
            found = [labelled for labelled in found if labelled.vocabulary != rule.vocabulary]
        if facts is None:
            continue
        told = [Fact(f.concept, f.polarity, f.code, method) for f in facts] if method else facts
        found.append(Labelled(rule.vocabulary, rule.is_closed, tuple(told)))
    yield from found


def _facts(picture: PictureRow, rule: Findings, data: PictureSet, names: Mapping[str, str]) -> list[Fact] | None:
    if rule.kind == "readers":
        return _of_readers(picture.rows, rule, data)
    if rule.kind == "columns":
        return _of_columns(picture.fields, rule, data)
    if rule.kind == "mask":
        return _of_masks(picture, rule, data)
    return _of_cell(picture, rule, data, names)


def _of_columns(fields: Fields, rule: Findings, data: PictureSet) -> list[Fact] | None:
    cells = {concept: cell for name, concept in rule.columns.items() if (cell := fields.get(name)) is not None}
    return [Fact(concept, _polarity(cell, concept, data)) for concept, cell in cells.items()] or None


def _of_readers(rows: Sequence[Fields], rule: Findings, data: PictureSet) -> list[Fact] | None:
    """More than half of the readers who say something: present; none: absent; some: uncertain."""
    facts = []
    for name, concept in rule.columns.items():
        votes = [_polarity(cell, concept, data) for row in rows if (cell := row.get(name)) is not None]
        held = votes.count("present")
        if votes:
            polarity: Polarity = "present" if 2 * held > len(votes) else "uncertain" if held else "absent"
            facts.append(Fact(concept, polarity))
    return facts or None


def _of_masks(picture: PictureRow, rule: Findings, data: PictureSet) -> list[Fact] | None:
    cells = [cell for row in picture.rows if (cell := row.get(rule.source)) is not None]
    empty = data.masks.empty if data.masks else ""
    is_there = any(cell != empty for cell in cells)
    return [Fact(name, "present" if is_there else "absent") for name in rule.concepts] if cells else None


def _of_cell(picture: PictureRow, rule: Findings, data: PictureSet, names: Mapping[str, str]) -> list[Fact] | None:
    cell = picture.fields.get(rule.source)
    if cell is None:
        return None
    labels = [cell] if rule.kind == "class" else _listed(cell, rule, data)
    codes = _listed(picture.fields.get(rule.codes) or "", rule, data) if rule.codes else []
    facts: dict[str, Fact] = {}
    for position, label in enumerate(labels):
        concept = rule.classes.get(label, names.get(label, label) if rule.is_open else None)
        if concept is None:
            raise InputError(
                f"picture '{picture.key}' has the label '{label[:60]}', which {data.title} has not; its labels are "
                f"{', '.join(list(rule.classes)[:20])}"
            )
        if concept:
            code = codes[position] if len(codes) == len(labels) else None
            facts.setdefault(concept, Fact(concept, "present", code))
    if rule.kind == "class" and not facts:
        return [Fact(concept, "absent") for concept in rule.concepts]
    return list(facts.values())


def _listed(cell: str, rule: Findings, data: PictureSet) -> list[str]:
    if rule.separator != "python":
        return [part.strip() for part in cell.split(rule.separator) if part.strip()]
    if not cell:
        return []
    try:
        values = ast.literal_eval(re.sub(r"'\s+'", "', '", cell)) if len(cell) < 20_000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        values = None
    if not isinstance(values, list):
        raise InputError(f"{data.title}: '{cell[:60]}' is no list of labels; take the table of its release")
    return [str(value).strip() for value in values if str(value).strip()]


def _polarity(cell: str, concept: str, data: PictureSet) -> Polarity:
    """By CheXpert's coding; `0.0` and `1.0` are whole numbers."""
    value = cell.casefold().removesuffix(".0")
    if value not in VALUES:
        raise InputError(
            f"{data.title}: the label '{concept}' holds '{cell[:40]}', and labels are 1, 0, -1 or blank; take the "
            "table of its release"
        )
    return VALUES[value]
