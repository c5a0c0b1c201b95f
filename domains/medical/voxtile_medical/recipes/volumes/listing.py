"""From the files and tables of a data set to its volumes, and to what is left out and why."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from voxtile.corpus.splits import split_of
from voxtile.errors import InputError
from voxtile_datasets.recipes.download import not_a_folder, some_of, still_packed, tell, tell_incomplete
from voxtile_medical.dicom_header.scan import list_files
from voxtile_medical.recipes.tables import Columns, find_tables, read_keyed
from voxtile_medical.recipes.volumes.volume import Volume, split_of_row, table_name, with_row
from voxtile_medical.recipes.volumes.volume_set import MaskRule, TableRule, VolumeSet
from voxtile_medical.segmentations.plan import ToldMask

_PRECEDENCE = ("test", "val", "train")  # a subject in two official splits keeps the one that is not trained on
_HIDDEN = {"__MACOSX"}
_VOLUMES = (".nii", ".nii.gz", ".npz", ".mha", ".mhd", ".nrrd")


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
        raise InputError(not_a_folder(source, held.title, held.source))
    root, found = list_files(source)
    listing = Listing(root, [path for path in found if not _is_hidden(path)])
    _find_images(listing, held)
    if not listing.volumes:
        raise InputError(
            f"'{source}' holds no volume of {held.title}{still_packed(source)}; give the folder that "
            f"the download is unpacked to ({held.source})"
        )
    _tell_unread(listing, held)
    for rule in held.tables:
        _read_table(listing, held, rule)
    _place(listing, held)
    missing = [left.name for left in listing.left_out if left.reason == "missing-file"]
    tell_incomplete(root, held.title, len(listing.volumes), missing)
    bare = [path for path, names in _masks(listing, held) if not names]
    if bare:
        tell(f"{held.title}: '{root}' has no image for {len(bare)} label maps ({some_of(bare)}); download the rest")
    return listing


def _is_hidden(path: str) -> bool:
    return any(part in _HIDDEN or part.startswith(".") for part in PurePosixPath(path).parts)


def _match(pattern: re.Pattern[str], listing: Listing, path: str) -> re.Match[str] | None:
    """A path by the layout of the set; what is given may be one of its folders (a task of MSD is an archive alone)."""
    return pattern.fullmatch(path) or pattern.fullmatch(f"{listing.root.resolve().name}/{path}")


def _find_images(listing: Listing, held: VolumeSet) -> None:
    taken: dict[str, str] = {}
    read: set[str] = set()
    for rule in held.images:
        for path in listing.paths:
            match = _match(rule.pattern, listing, path)
            if match is None or path in read:
                continue
            read.add(path)
            groups = {name: text or "" for name, text in match.groupdict().items()}
            subject = rule.subject.format(**groups)
            study = rule.study.format(**groups) or subject
            name = rule.volume.format(**groups) or table_name(path)
            if name in held.exclude:
                listing.left_out.append(LeftOut(path, "excluded", held.exclude[name]))
            elif name in taken:
                detail = f"a copy or another release of '{taken[name]}', which is read"
                listing.left_out.append(LeftOut(path, "duplicate-volume", detail))
            else:
                taken[name] = path
                word = rule.split.format(**groups)
                listing.volumes.append(Volume(path, name, subject, study, rule, held.splits[word] if word else None))


def _tell_unread(listing: Listing, held: VolumeSet) -> None:
    """Volumes whose names are those of no image and no label map that is read."""
    read = {volume.path for volume in listing.volumes} | {left.name for left in listing.left_out}
    read |= {path for path, _, _ in _matched(listing, held)}
    others = (path for path in listing.paths if path.endswith(_VOLUMES) and not held.is_unread(path))
    unread = [path for path in others if path not in read]
    if unread:
        tell(f"{held.title}: {len(unread)} files of '{listing.root}' are not read ({some_of(unread)}); see the ledger")
    detail = "no image or label map that is read of this set has such a name"
    listing.left_out += [LeftOut(path, "not-of-the-set", detail) for path in unread]


def _read_table(listing: Listing, held: VolumeSet, rule: TableRule) -> None:
    files = find_tables(listing.paths, rule.files)
    if not files:
        tell(f"{held.title}: '{listing.root}' has no table of {rule.role} ({some_of(list(rule.files))})")
        return
    rows = read_keyed(listing.root, files, _columns(rule), title=held.title, key_of=_key_of(rule))
    known = {_owner(volume, rule) for volume in listing.volumes}
    if rule.is_list:
        told = {left.name for left in listing.left_out} | set(held.exclude)
        listing.left_out += [
            LeftOut(key, "missing-file", f"a table of {rule.role} names this {rule.of}, and no file of it is there")
            for key in (*rows.rows, *rows.torn)
            if key not in known and key not in told
        ]
    for key, torn in rows.torn.items():
        if key in known and rule.role == "splits":
            kept = rows.rows[key] = min(torn, key=lambda row: _PRECEDENCE.index(split_of_row(row, held)))
            detail = (
                f"{torn[0].place} and {torn[1].place} say two splits of one {rule.of}; that of {kept.place} is kept"
            )
            listing.left_out.append(LeftOut(key, "in-two-splits", detail))
        elif key in known:
            detail = f"{torn[0].place} and {torn[1].place} say different things of one {rule.of}; none of it is used"
            listing.left_out.append(LeftOut(f"{torn[0].place} ({key})", "conflicting-rows", detail))
    listing.left_out += [LeftOut(place, "no-name", f"the row names no {rule.of}") for place in rows.nameless]
    if rows.repeated:
        tell(f"{held.title}: {rows.repeated} rows of {rule.role} say again what another row says; each counts once")
    matched = known & (rows.rows.keys() | rows.torn.keys())
    if rule.is_list and rows.rows and not matched:
        raise InputError(
            f"none of the {len(rows.rows)} rows of '{files[0]}' is of one of the {len(listing.volumes)} volumes of "
            f"{held.title}; download the table and the volumes of the same release"
        )
    listing.volumes = [
        volume if (row := rows.rows.get(_owner(volume, rule))) is None else with_row(volume, rule, row, held)
        for volume in listing.volumes
    ]


def _key_of(rule: TableRule) -> Callable[[str], str]:
    return table_name if rule.of == "volume" else str


def _owner(volume: Volume, rule: TableRule) -> str:
    return {"volume": volume.name, "study": volume.study, "subject": volume.subject}[rule.of]


def _columns(rule: TableRule) -> Columns:
    """What is read of a table, and without what it is of another release."""
    if rule.role == "reports":
        return Columns(rule.key, rule.sections, list(rule.sections)[:1])
    if rule.role == "labels" and rule.parted_by:
        return Columns(rule.key, parted_by=rule.parted_by)
    if rule.role == "labels":
        return Columns(rule.key, {column: (column,) for column in rule.labels}, list(rule.labels))
    if rule.role == "splits":
        if rule.split_of_file:
            return Columns(rule.key, of_file={"split": rule.split_of_file})
        return Columns(rule.key, {"split": rule.split}, ["split"])
    fields = rule.identity if rule.role == "identities" else rule.columns
    return Columns(rule.key, fields, list(fields))


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


def told_masks(listing: Listing, held: VolumeSet, uids: Mapping[str, Sequence[str]]) -> dict[str, ToldMask]:
    """Path of each label map → what the set says of it; those whose image is not there are of no sample.

    Args:
        listing: of the download.
        held: the set.
        uids: path of a volume → its samples.
    """
    rules = {path: (rule, groups) for path, rule, groups in _matched(listing, held)}
    found: dict[str, ToldMask] = {}
    for path, images in _masks(listing, held):
        rule, groups = rules[path]
        of = tuple(uid for image in images for uid in uids.get(image, ()))
        found[path] = ToldMask(of, rule.phrase.format(**groups).replace("_", " ") or None, rule.names)
    return found


def _masks(listing: Listing, held: VolumeSet) -> Iterator[tuple[str, list[str]]]:
    """Path of each label map, and those of its images that are there."""
    paths = {volume.name: volume.path for volume in listing.volumes}
    for path, rule, groups in _matched(listing, held):
        names = [name.format(**groups) for name in rule.of]
        yield path, [paths[name] for name in names if name in paths]


def _matched(listing: Listing, held: VolumeSet) -> Iterator[tuple[str, MaskRule, dict[str, str]]]:
    """Label maps with the first rule that each matches, and the groups of its pattern."""
    for path in listing.paths:
        for rule in held.masks:
            match = _match(rule.pattern, listing, path)
            if match is not None:
                yield path, rule, {name: text or "" for name, text in match.groupdict().items()}
                break
