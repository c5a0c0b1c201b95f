"""Official splits, by patient: a list that has one in two of them is told, and never trains on its test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from voxtile.corpus.splits import split_of
from voxtile.errors import InputError
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_medical.recipes.pictures.picture_set import PictureSet, TableFiles
from voxtile_medical.recipes.pictures.rows import PictureRow, subject_of
from voxtile_medical.recipes.pictures.tables import find_tables

Placed: TypeAlias = "tuple[str | None, tuple[str, str] | None]"
"""The split of a picture, and why it is not used; both None for a keyed choice."""

_STRENGTH = ("train", "val", "test")  # a patient who is in two of them belongs to the last


def official_splits(root: Path, data: PictureSet, rows: Sequence[PictureRow]) -> dict[str, Placed]:
    """Key → official split, or why the picture has none that could be kept.

    Raises:
        InputError: a value is no split of the set.
    """
    rule = data.splits
    if rule is None:
        return {}
    usable = [row for row in rows if row.refusal is None]
    stated = _listed_splits(root, data, usable) if rule.lists else {r.key: _stated(r, data) for r in usable}
    of_subject: dict[str, set[str]] = {}
    for row in usable:
        if split := stated.get(row.key):
            of_subject.setdefault(subject_of(row.fields, data) or row.key, set()).add(split)
    torn = sorted(subject for subject, splits in of_subject.items() if len(splits) > 1)
    if torn:
        tell(
            f"{data.title}: the official list has {len(torn)} patients in two splits: {some_of(torn)}; their "
            "pictures of the split that is trained on are dropped"
        )
    placed: dict[str, Placed] = {}
    for row in usable:
        subject, split = subject_of(row.fields, data) or row.key, stated.get(row.key)
        kept = max(of_subject.get(subject, {""}), key=lambda name: _STRENGTH.index(name) if name else -1)
        if split is None and rule.lists:
            placed[row.key] = None, ("not-listed", "no official list of splits has it")
        elif split != kept and split is not None:
            why = f"the official list has it in {split} and other pictures of the patient in {kept}"
            placed[row.key] = None, ("subject-in-two-splits", why)
        elif split == "train" and rule.validation:
            shares = {"train": 1 - rule.validation, "val": rule.validation}
            placed[row.key] = split_of(subject, shares, salt=data.name), None
        else:
            placed[row.key] = split, None
    return placed


def _stated(row: PictureRow, data: PictureSet) -> str | None:
    rule = data.splits
    value = row.fields.get(rule.source) if rule else None
    if rule is None or value is None:
        return None
    if value not in rule.values:
        known = ", ".join(rule.values)
        raise InputError(f"{data.title}: '{row.key}' is in the split '{value[:40]}'; its splits are {known}")
    return rule.values[value]


def _listed_splits(root: Path, data: PictureSet, rows: Sequence[PictureRow]) -> dict[str, str]:
    """Key → split, by the lists of the set.

    Raises:
        InputError: a list is missing.
    """
    found: dict[str, str] = {}
    strays: list[str] = []
    twice: list[str] = []
    known = {row.key for row in rows}
    for split, name in (data.splits.lists if data.splits else {}).items():
        paths = find_tables(root, TableFiles(files=(name,)))
        if not paths:
            raise InputError(
                f"'{root}' has no list of the official split '{name}'; download it from {data.source}, or the pictures "
                "of one patient come to lie in training and test"
            )
        keys = [line.strip() for line in paths[0].read_text("utf-8-sig", errors="replace").splitlines() if line.strip()]
        strays += [key for key in keys if key not in known]
        for key in keys:
            if found.setdefault(key, split) != split:
                found[key] = max(split, found[key], key=_STRENGTH.index)
                twice.append(key)
    if twice:
        tell(f"{data.title}: its lists have {len(twice)} pictures in two splits: {some_of(twice)}; they are test ones")
    if strays:
        tell(
            f"{data.title}: its lists of splits name {len(strays)} pictures that its table does not have: "
            f"{some_of(strays)}"
        )
    return found
