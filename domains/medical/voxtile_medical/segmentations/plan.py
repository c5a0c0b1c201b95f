"""The plan of attaching masks: one item a mask file, with the samples that it may be of."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.engine.failure import Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item
from voxtile.errors import InputError
from voxtile_medical.archives.stored import same_bytes, stored_size, stream_of
from voxtile_medical.dicom.series import Series, shared_mark
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.tree import SEGMENTATION_CLASSES
from voxtile_medical.segmentations.file_names import ImageFiles
from voxtile_medical.segmentations.placement import Grid
from voxtile_medical.segmentations.references import References, referenced
from voxtile_medical.segmentations.regions import region_prefix
from voxtile_medical.segmentations.samples import Images, MaskNames
from voxtile_medical.segmentations.sidecars import sidecars_of
from voxtile_medical.verdicts import Verdict

_DIGEST_DIGITS = 16  # of the bytes of a mask file, among the files of one name or UID
CORRECTED = "corrected-mask"
NO_SERIES = "the series that it marks is not in the corpus; convert the images first"
NO_IMAGE = "no image of the corpus goes by its name; say which with --pairs FILE (columns mask and uid)"


@dataclass(frozen=True)
class ToldMask:
    """What a data set says of one of its label maps.

    Attributes:
        uids: the samples that it is of.
        phrase: what it shows, where it has one value; by its name where this is not told.
        names: value → structure; by a table beside it where this is not told.
    """

    uids: tuple[str, ...]
    phrase: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)


class MaskPlan:
    """Makes the items of one run.

    Args:
        root: folder of the masks.
        names: how identifiers are written.
        images: the corpus's samples.
        headers: of the images beside the masks.
        reader: reads the references of objects.
    """

    def __init__(
        self,
        root: Path,
        names: MaskNames,
        images: Images,
        headers: Iterable[FileHeader] = (),
        reader: PlanReader | None = None,
    ) -> None:
        self._root = root
        self._reader = reader or PlanReader()
        self._names = names
        self._images = images
        self._seen: dict[str, str] = {}
        self._series: dict[str, list[FileHeader]] = defaultdict(list)
        for header in headers:
            self._series[header.text("SeriesInstanceUID")].append(header)

    def objects(self, headers: Iterable[FileHeader]) -> Iterator[Item]:
        """One item a SEG or RTSTRUCT object that is not attached yet."""
        listed = sorted(headers, key=lambda h: h.path)
        paths = [self._root / header.path for header in listed]
        found = self._reader.map(referenced, paths, title="reading references")
        for header, references in zip(listed, found, strict=True):
            uid = header.text("SOPInstanceUID") or header.path
            if uid in self._seen:
                yield self._repeated(header, self._seen[uid])
                continue
            self._seen[uid] = header.path
            if isinstance(references, Failure):
                detail = f"reading its references {how_lost(references)}; check where it is from"
                yield self._object_note(header, references.reason, detail)
            elif isinstance(references, Verdict):
                yield self._object_note(header, references.reason, references.detail)
            else:
                yield from self._object(header, uid, references)

    def _repeated(self, header: FileHeader, first: str) -> Item:
        """An object under the UID of one before it: a copy where the files are equal."""
        paths = self._root / first, self._root / header.path
        if self._reader.read(_same, paths, title="comparing copies") is True:
            return self._object_note(header, "duplicate-file", "a copy of an object that is used")
        why = "another object has its SOPInstanceUID and other content, and is used; give one of them its own UID"
        return self._object_note(header, "conflicting-copies", why)

    def label_maps(
        self, paths: Sequence[str], pairs: Mapping[str, str], told: Mapping[str, ToldMask] | None = None
    ) -> Iterator[Item]:
        """One item a NIfTI label map that is not attached yet."""
        told = told or {}
        files = ImageFiles(self._images.by_path)
        for path in paths:
            size = stored_size(self._root / path)
            candidates = files.of(path)
            said = told.get(path)
            longer: list[Grid] = []
            beside: list[Grid] = []
            if said is not None:
                named = [self._images.by_uid[uid] for uid in said.uids]
            elif path in pairs:
                named = [self._images.by_uid[pairs[path]]]
            else:
                named, longer, beside = (
                    [grid for image in found for grid in self._images.by_path[image]]
                    for found in (candidates.named, candidates.longer, candidates.beside)
                )
            if not named and not longer and not beside:
                yield self._note(path, size, "no-image", NO_IMAGE)
                continue
            own, inherited = sidecars_of(self._root, path)
            more: dict[str, Any] = {
                "longer": [grid.packed() for grid in longer],
                "beside": [grid.packed() for grid in beside],
                "phrase": (said.phrase if said else None) or candidates.phrase,
                "names": [self._table(table) for table in own],
                "inherited_names": [self._table(table) for table in inherited if not candidates.phrase],
            }
            if said is not None and said.names:
                more["told_names"] = [[value, said.names[value]] for value in sorted(said.names)]
            yield from self._label_map(path, size, named, more, [*longer, *beside])

    def _label_map(
        self, path: str, size: int, named: Sequence[Grid], more: Mapping[str, Any], others: Sequence[Grid]
    ) -> Iterator[Item]:
        """A label map by its name and, where a file of that name is attached already, by its bytes as well."""
        with stream_of(self._root / path) as stream:
            digest = self._digest(hashlib.file_digest(stream, "sha256").hexdigest())
        prefix = self._prefix(path)
        grids = [grid for grid in (*named, *others) if (prefix, grid.uid) in self._images.attached]
        more = {**more, "digest": digest, "taken": []}
        if not grids:
            yield from self._item("label-map", path, size, path, named, more, others)
        elif digest not in self._images.digests.get(prefix, ()):
            phrases = {phrase for grid in grids for phrase in self._images.attached[prefix, grid.uid]}
            more["taken"] = sorted(phrases, key=str)
            yield from self._item("label-map", path, size, f"{path} {digest}", named, more, others)

    def _digest(self, sha256: str) -> str:
        return self._names.names.name("content", sha256)[:_DIGEST_DIGITS]

    def _prefix(self, identity: str) -> str:
        return region_prefix(self._names.names.name("content", f"mask {identity}"))

    def _object(self, header: FileHeader, uid: str, references: References) -> Iterator[Item]:
        name = self._names.names.name
        kind = "dicom-seg" if header.text("SOPClassUID") in SEGMENTATION_CLASSES else "rtstruct"
        frame = name("frame_of_reference", header.text("FrameOfReferenceUID")) if kind == "dicom-seg" else ""
        patient = header.text("PatientID")
        found = {grid.uid: grid for series in references.series for grid in self._of_series(series, patient)}
        for instance in references.instances:
            grid = self._images.by_instance.get(name("instance", instance))
            found |= {grid.uid: grid} if grid else {}
        if not references.series and not found:
            found = {grid.uid: grid for grid in self._of_frame(header, references, frame)}
        if not found:
            yield self._object_note(header, "no-series", NO_SERIES)
            return
        frames = {number: name("frame_of_reference", value) for number, value in references.roi_frames if value}
        digest, earlier = self._digest(references.sha256), self._images.digests.get(self._prefix(uid))
        if earlier and digest not in earlier:
            why = "the corpus has an object of its SOPInstanceUID with other content, which stays as it was attached"
            yield self._object_note(header, CORRECTED, why)
            return
        more = {
            "digest": digest,
            "frame": frame if header.text("FrameOfReferenceUID") else "",
            "frames": frames,
            "identifiers": self._identifiers(references.series),
        }
        yield from self._item(kind, header.path, header.size, uid, list(found.values()), more)

    def _identifiers(self, series: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """People, numbers and places that the images' headers name, for the worker to remove; never stored."""
        headers = tuple(header for uid in series for header in self._series.get(uid, ()))
        return Series(headers).identifiers() if headers else {}

    def _of_series(self, uid: str, patient: str) -> list[Grid]:
        """Volumes of a series; where two patients share its UID, those of the object's own."""
        marks = [self._names.names.name("series", name) for name in (uid, shared_mark(uid, patient))]
        return [grid for mark in marks for grid in self._images.by_series.get(mark, [])]

    def _of_frame(self, header: FileHeader, references: References, frame: str) -> list[Grid]:
        """Volumes of the same study and frame of reference, for objects that name no series."""
        name = self._names.names.name
        study = name("study", header.text("StudyInstanceUID"))
        frames = {name("frame_of_reference", uid) for _, uid in references.roi_frames if uid} | {frame}
        return [grid for one in sorted(frames) for grid in self._images.by_frame.get((study, one), [])]

    def _item(
        self,
        kind: str,
        path: str,
        size: int,
        identity: str,
        grids: Sequence[Grid],
        more: Mapping[str, Any],
        others: Sequence[Grid] = (),
    ) -> Iterator[Item]:
        content, prefix = self._names.names.name("content", f"mask {identity}"), self._prefix(identity)
        if any((prefix, grid.uid) in self._images.attached for grid in (*grids, *others)):
            return
        inputs = {"kind": kind, "path": path, "size": size, "content": content, **more}
        yield Item(
            self._source(path, self._images.subject_of((*grids, *others))),
            inputs | {"targets": [grid.packed() for grid in grids]},
            cost=size,
        )

    def _object_note(self, header: FileHeader, reason: str, detail: str) -> Item:
        patient = header.text("PatientID") or header.text("StudyInstanceUID")
        subject = self._names.names.name("subject", patient) if patient else None
        return self._note(header.path, header.size, reason, detail, subject)

    def _note(self, path: str, size: int, reason: str, detail: str, subject: str | None = None) -> Item:
        return Item(self._source(path, subject), {"kind": "note", "size": size, "reason": reason, "detail": detail})

    def _source(self, path: str, subject: str | None) -> str:
        """What the corpus calls a file, by the subject that the corpus knows it by."""
        source = self._names.names.name("source", path)
        if self._names.key_map is not None and subject is None:
            self._names.key_map.remember_nobodys(source, path)
        elif self._names.key_map is not None:
            self._names.key_map.remember(source, path, subject)
        return source

    def _table(self, path: str) -> list[str]:
        """A table of label names by its path and what it holds."""
        with stream_of(self._root / path) as stream:
            return [path, hashlib.file_digest(stream, "sha256").hexdigest()]


def _same(paths: tuple[Path, Path]) -> bool:
    return same_bytes(*paths)


def read_pairs(path: Path, known: Iterable[str]) -> dict[str, str]:
    """Mask → uid, from a CSV with these columns.

    Raises:
        InputError: the file cannot be read, lacks a column, or names a sample that the corpus does not have.
    """
    uids = set(known)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if not {"mask", "uid"} <= set(rows.fieldnames or ()):
                raise InputError(
                    f"'{path}' must have the columns mask and uid; it has: {', '.join(rows.fieldnames or ())}"
                )
            pairs = {row["mask"]: row["uid"] for row in rows if row["mask"] and row["uid"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"the pairs '{path}' cannot be read ({error}); give a CSV with the columns mask and uid"
        ) from error
    unknown = next((uid for uid in pairs.values() if uid not in uids), None)
    if unknown is not None:
        raise InputError(
            f"'{path}' names the sample '{unknown}', which the corpus does not have; see 'voxtile inspect'"
        )
    return pairs
