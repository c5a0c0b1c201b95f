"""From the files and tables of a data set to its volumes, and to what is left out and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from voxtile.corpus.splits import split_of
from voxtile.errors import InputError
from voxtile_datasets.recipes.download import some_of, tell, tell_incomplete
from voxtile_medical.dicom_header.scan import list_files
from voxtile_medical.nifti.files import stem_of
from voxtile_medical.recipes.tables import KeyedRow, KeyedRows, find_tables, read_keyed
from voxtile_medical.recipes.volumes.volume_set import ImageRule, TableRule, VolumeSet

_PRECEDENCE = ("test", "val", "train")  # a subject in two official splits keeps the one that is not trained on
_HIDDEN = {"__MACOSX"}


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
        texts: reports.
        labels: vocabulary → concept → present, absent or uncertain.
        geometry: field of the geometry table → cell.
    """

    path: str
    name: str
    subject: str
    study: str
    rule: ImageRule
    split: str | None = None
    texts: tuple[str, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    geometry: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """What becomes a row of the ledger alone."""

    name: str
    reason: str
    detail: str


@dataclass
class Listing:
    """What a download holds.

    Attributes:
        root: the set's folder.
        paths: all its files, relative.
        volumes: the images.
        left_out: what is named or there, and not read.
    """

    root: Path
    paths: list[str]
    volumes: list[Volume] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def list_volumes(source: Path, held: VolumeSet) -> Listing:
    """List the volumes of a download.

    Args:
        source: the folder that the set is unpacked to.
        held: the set.

    Raises:
        InputError: the folder is not there, or nothing in it is of the set; or a table is of another release.
    """
    if not source.is_dir():
        raise InputError(
            f"'{source}' is not a folder; give the folder that {held.title} is unpacked to ({held.source})"
        )
    root, found = list_files(source)
    listing = Listing(root, [path for path in found if not _is_hidden(path)])
    _find_images(listing, held)
    if not listing.volumes:
        raise InputError(
            f"'{source}' holds no volume of {held.title}; give the folder that the download is unpacked to "
            f"({held.source})"
        )
    for rule in held.tables:
        _read_table(listing, held, rule)
    _place(listing, held)
    missing = [left.name for left in listing.left_out if left.reason == "missing-file"]
    tell_incomplete(root, held.title, len(listing.volumes), missing)
    return listing


def _is_hidden(path: str) -> bool:
    return any(part in _HIDDEN or part.startswith(".") for part in PurePosixPath(path).parts)


def _find_images(listing: Listing, held: VolumeSet) -> None:
    taken: dict[str, str] = {}
    read: set[str] = set()
    for rule in held.images:
        for path in listing.paths:
            match = rule.pattern.fullmatch(path)
            if match is None or path in read:
                continue
            read.add(path)
            groups = {name: text or "" for name, text in match.groupdict().items()}
            subject = rule.subject.format(**groups)
            study = rule.study.format(**groups) or subject
            name = rule.volume.format(**groups) or stem_of(path)
            if name in held.exclude:
                listing.left_out.append(LeftOut(path, "excluded", held.exclude[name]))
            elif name in taken:
                detail = f"a copy or another release of '{taken[name]}', which is read"
                listing.left_out.append(LeftOut(path, "duplicate-volume", detail))
            else:
                taken[name] = path
                word = rule.split.format(**groups)
                listing.volumes.append(Volume(path, name, subject, study, rule, held.splits[word] if word else None))


def _read_table(listing: Listing, held: VolumeSet, rule: TableRule) -> None:
    files = find_tables(listing.paths, rule.files)
    if not files:
        tell(f"{held.title}: '{listing.root}' has no table of {rule.role} ({some_of(list(rule.files))})")
        return
    columns, needed = _columns(rule)
    rows = read_keyed(listing.root, files, rule.key, columns, needed=needed, title=held.title, key_of=_key_of(rule))
    known = {_owner(volume, rule) for volume in listing.volumes}
    lacking = [key for key in (*rows.rows, *rows.torn) if key not in known]
    told = {left.name for left in listing.left_out}
    if rule.is_list:
        listing.left_out += [
            LeftOut(key, "missing-file", f"a table of {rule.role} names this {rule.of}, and no file of it is there")
            for key in lacking
            if key not in told and key not in held.exclude
        ]
    for key, places in rows.torn.items():
        if key in known:
            detail = f"{' and '.join(places[:2])} say different things of one {rule.of}; none of it is used"
            listing.left_out.append(LeftOut(f"{places[0]} ({key})", "conflicting-rows", detail))
    listing.left_out += [LeftOut(p, "no-name", f"the row names no {rule.of}") for p in rows.nameless]
    listing.volumes = [_with_row(v, rule, rows.rows.get(_owner(v, rule)), held) for v in listing.volumes]
    if rule.role == "reports" and not any(volume.texts for volume in listing.volumes):
        raise InputError(
            f"none of the {len(rows.rows)} rows of '{files[0]}' is of one of the {len(listing.volumes)} volumes of "
            f"{held.title}; download the table and the volumes of the same release"
        )
    _tell_repeated(held, rule, rows)


def _tell_repeated(held: VolumeSet, rule: TableRule, rows: KeyedRows) -> None:
    if rows.repeated:
        tell(f"{held.title}: {rows.repeated} rows of {rule.role} say again what another row says; each counts once")


def _key_of(rule: TableRule) -> Callable[[str], str]:
    return stem_of if rule.of == "volume" else str


def _owner(volume: Volume, rule: TableRule) -> str:
    return {"volume": volume.name, "study": volume.study, "subject": volume.subject}[rule.of]


def _columns(rule: TableRule) -> tuple[dict[str, Sequence[str]], list[str]]:
    """Field → names of its column, and the fields without which a table is of another release."""
    if rule.role == "reports":
        columns: dict[str, Sequence[str]] = dict(rule.sections)
        return columns, list(columns)[:1]
    if rule.role == "labels":
        columns = {column: (column,) for column in rule.labels}
        return columns, list(columns)
    if rule.role == "splits":
        return {"split": rule.split}, ["split"]
    return dict(rule.columns), list(rule.columns)


def _with_row(volume: Volume, rule: TableRule, row: KeyedRow | None, held: VolumeSet) -> Volume:
    if row is None:
        return volume
    cells = {name: text for name, text in row.cells.items() if text and text not in rule.blank}
    if rule.role == "reports":
        text = "\n".join(f"{heading}: {cells[heading]}" for heading in rule.sections if heading in cells)
        return replace(volume, texts=(*volume.texts, text)) if text else volume
    if rule.role == "labels":
        told = {rule.labels[c]: rule.values[_number(t)] for c, t in cells.items() if _number(t) in rule.values}
        return replace(volume, labels={**volume.labels, rule.vocabulary: told}) if told else volume
    if rule.role == "splits":
        word = cells.get("split", "")
        if word not in held.splits:
            raise InputError(
                f"{row.place} has a split that {held.title} does not have ({', '.join(held.splits)}); the table is of "
                "another release"
            )
        return replace(volume, split=held.splits[word])
    return replace(volume, geometry=cells)


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


def _place(listing: Listing, held: VolumeSet) -> None:
    """One split for each subject; what of it an official list has in another one is left out."""
    stated: dict[str, set[str]] = defaultdict(set)
    for volume in listing.volumes:
        if volume.split:
            stated[volume.subject].add(volume.split)
    torn = {subject for subject, splits in stated.items() if len(splits) > 1}
    chosen = {subject: next(s for s in _PRECEDENCE if s in splits) for subject, splits in stated.items()}
    if torn:
        tell(
            f"{held.title}: the official lists have {len(torn)} subjects in two splits ({some_of(sorted(torn))}); each "
            "keeps the one that is not trained on"
        )
    kept: list[Volume] = []
    for volume in listing.volumes:
        split = chosen.get(volume.subject)
        if volume.subject in torn and volume.split != split:
            detail = f"its subject is in the official {split} split, too, and stays there"
            listing.left_out.append(LeftOut(volume.path, "subject-in-two-splits", detail))
            continue
        kept.append(replace(volume, split=_apart(volume.subject, split, held)))
    listing.volumes = kept


def _apart(subject: str, split: str | None, held: VolumeSet) -> str | None:
    if split != "train" or not held.validation:
        return split
    return split_of(subject, {"train": 1 - held.validation, "val": held.validation}, salt=held.name)


def mask_paths(listing: Listing, held: VolumeSet) -> Iterator[tuple[int, str, str]]:
    """Index of the rule, path of the label map and path of its image (empty for by name), for each label map."""
    for path in listing.paths:
        for index, rule in enumerate(held.masks):
            match = rule.pattern.fullmatch(path)
            if match is not None:
                groups = {name: text or "" for name, text in match.groupdict().items()}
                yield index, path, groups["before"] + rule.of.format(**groups) if rule.of else ""
                break
