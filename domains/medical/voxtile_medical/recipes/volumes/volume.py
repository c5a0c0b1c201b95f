"""One volume of a data set, and what a row of a table adds to what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from voxtile.errors import InputError
from voxtile_medical.recipes.tables import KeyedRow
from voxtile_medical.recipes.volumes.volume_set import ImageRule, TableRule, VolumeSet

_SUFFIX = re.compile(r"\.(?:nii(?:\.gz)?|npz)$", re.IGNORECASE)


@dataclass(frozen=True)
class Volume:
    """One image file, before it is opened.

    Attributes:
        path: relative to the set's folder.
        name: what the set's tables call it.
        subject: whose it is.
        study: the examination.
        rule: which made it an image.
        split: train, val or test; None for a keyed choice by subject.
        texts: reports, with the kind of each.
        labels: vocabulary → concept → present, absent or uncertain.
        locations: concept → where a label table says it is.
        geometry: field of the geometry table → cell.
    """

    path: str
    name: str
    subject: str
    study: str
    rule: ImageRule
    split: str | None = None
    texts: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    locations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    geometry: Mapping[str, str] = field(default_factory=dict)


def table_name(path: str) -> str:
    """What a table calls a file: its name without folder and suffix."""
    return _SUFFIX.sub("", PurePosixPath(path).name)


def with_row(volume: Volume, rule: TableRule, row: KeyedRow, held: VolumeSet) -> Volume:
    """A volume with what a row says of it.

    Args:
        volume: any that the row is of.
        rule: of the row's table.
        row: of the table.
        held: the set.

    Raises:
        InputError: the row has a split that the set does not have.
    """
    cells = {name: text for name, text in row.cells.items() if text and text not in rule.blank}
    if rule.role == "identities":
        return replace(volume, subject=cells.get("subject", volume.subject), study=cells.get("study", volume.study))
    if rule.role == "reports":
        text = "\n".join(
            f"{heading}: {cells[heading]}" if heading else cells[heading]
            for heading in rule.sections
            if heading in cells
        )
        return replace(volume, texts=(*volume.texts, (rule.kind, text))) if text else volume
    if rule.role == "labels" and rule.parted_by:
        return _with_located_labels(volume, rule, cells)
    if rule.role == "labels":
        told = {rule.labels[c]: rule.values[_number(t)] for c, t in cells.items() if _number(t) in rule.values}
        return replace(volume, labels={**volume.labels, rule.vocabulary: told}) if told else volume
    if rule.role == "splits":
        return replace(volume, split=split_of_row(row, held))
    return replace(volume, geometry=cells)


def _with_located_labels(volume: Volume, rule: TableRule, cells: Mapping[str, str]) -> Volume:
    """Labels of columns such as `nodule*right_lung`: a concept is present where it is anywhere."""
    told: dict[str, str] = {}
    locations: dict[str, tuple[str, ...]] = {}
    for column, text in cells.items():
        before, _, location = column.partition(rule.parted_by)
        concept, polarity = rule.labels.get(before), rule.values.get(_number(text))
        if concept is None or polarity is None:
            continue
        if polarity == "present":
            told[concept] = polarity
            locations[concept] = (*locations.get(concept, ()), location.replace("_", " "))
        else:
            told.setdefault(concept, polarity)
    return replace(volume, labels={**volume.labels, rule.vocabulary: told}, locations=locations)


def split_of_row(row: KeyedRow, held: VolumeSet) -> str:
    """The split that a row says.

    Raises:
        InputError: the set has none of this name.
    """
    word = (row.cells.get("split") or "").lower()
    if word not in held.splits:
        raise InputError(
            f"{row.place} has a split that {held.title} does not have ({', '.join(held.splits)}); the table is of "
            "another release"
        )
    return held.splits[word]


def _number(text: str) -> str:
    """`1.0` is 1, and so is `True`."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return str(int(lowered == "true"))
    try:
        number = float(lowered)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text
