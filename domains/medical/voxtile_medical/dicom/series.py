"""Grouping headers into series, and packing a series into the plan.

A packed series holds what the worker needs (positions, offsets, sizes), so that each header is parsed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from voxtile_medical.dicom.patients import by_patient
from voxtile_medical.dicom.series_kinds import VOLUME_MODALITIES, filed_as
from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.tags import DATES, DEVICE, IDENTIFYING, PEOPLE, PLACES
from voxtile_medical.verdicts import Verdict

# What the worker never needs to know: it writes hashes that the plan made.
_PLAN_ONLY = frozenset(
    {*IDENTIFYING, *DATES, *DEVICE, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"}
)
_FILE_FIELDS = ("path", "size", "transfer_syntax", "pixel_tag", "offset", "nbytes", "big_endian")


@dataclass(frozen=True)
class Series:
    """Files that belong to one series.

    Attributes:
        headers: in order of their paths, or of their instances; copies of an instance are left out.
        copies: files that repeat an image of the series, and what their rows say.
        aside: files that are not used, with their verdicts; the rest of the series is.
        refusal: why nothing of the series is used; None where it is.
        shared: files of another patient have the same UIDs.
    """

    headers: tuple[FileHeader, ...]
    copies: tuple[tuple[FileHeader, str], ...] = ()
    aside: tuple[tuple[FileHeader, Verdict], ...] = ()
    refusal: Verdict | None = None
    shared: bool = False

    @property
    def first(self) -> FileHeader:
        """The first file, which speaks for the series."""
        return self.headers[0]

    @property
    def study(self) -> str:
        """StudyInstanceUID, or the folder where there is none."""
        return self.first.text("StudyInstanceUID") or f"folder:{PurePosixPath(self.first.path).parent}"

    @property
    def subject(self) -> str:
        """PatientID; where it is missing the study stands for its own patient."""
        return self.first.text("PatientID") or self.study

    def studies(self) -> tuple[str, ...]:
        """Identifiers by which a report file can name the study."""
        return tuple(
            value for value in (self.first.text("StudyInstanceUID"), self.first.text("AccessionNumber")) if value
        )

    def identifiers(self) -> dict[str, tuple[str, ...]]:
        """People, numbers and places of all headers, and the dates in the headers' form (as numbers)."""
        found: dict[str, dict[str, None]] = {"people": {}, "numbers": {}, "places": {}}
        for values in {id(h.values): h.values for h in self.headers}.values():
            for keyword in (*IDENTIFYING, "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID"):
                kind = "people" if keyword in PEOPLE else "places" if keyword in PLACES else "numbers"
                found[kind].update(dict.fromkeys(str(v) for v in values.get(keyword, ()) if v))
        return {kind: tuple(values) for kind, values in found.items()}

    def date(self) -> str:
        """The first of the acquisition, content, series and study dates that is there."""
        names = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")
        return next((text for name in names if (text := self.first.text(name))), "")

    def content(self) -> str:
        """Identity of what the series is made of, for uids."""
        instances = [header.text("SOPInstanceUID") or header.path for header in self.headers]
        patient = (self.subject,) if self.shared else ()
        return "\0".join((self.study, self.uid, *patient, *instances))

    @property
    def uid(self) -> str:
        """SeriesInstanceUID; empty where there is none."""
        return self.first.text("SeriesInstanceUID")

    def mark(self) -> str:
        """What stands for the series among those of the corpus: its UID, with the patient where two share it."""
        return shared_mark(self.uid, self.subject) if self.shared else self.uid


def shared_mark(series: str, patient: str) -> str:
    """The mark of a series whose UID stands for several patients."""
    return f"{series}\0{patient}"


def group_series(headers: Iterable[FileHeader]) -> list[Series]:
    """Group headers by series and patient, in order of their first paths.

    Localizers, screens, raw data and objects of another modality that were filed under the same series are series of
    their own, and so are planes in another frame of reference. A series without SeriesInstanceUID is what shares a
    folder, modality, series number and study.
    """
    groups: dict[tuple[str, ...], list[FileHeader]] = defaultdict(list)
    for header in sorted(headers, key=lambda h: h.path):
        groups[_key(header)].append(header)
    found = [
        Series(frame, refusal=part.refusal or refusal, shared=part.shared)
        for group in groups.values()
        for part in by_patient(group)
        for frame, refusal in _by_frame(part.headers)
    ]
    return sorted(found, key=lambda series: series.first.path)


def _key(header: FileHeader) -> tuple[str, ...]:
    uid = header.text("SeriesInstanceUID")
    kind = (header.text("Modality"), filed_as(header))
    if uid:
        return (header.text("StudyInstanceUID"), uid, *kind)
    folder = str(PurePosixPath(header.path).parent)
    return ("", folder, *kind, *(header.text(k) for k in ("StudyInstanceUID", "SeriesNumber", "PatientID")))


def _by_frame(headers: tuple[FileHeader, ...]) -> list[tuple[tuple[FileHeader, ...], Verdict | None]]:
    """Files by frame of reference: positions of one mean nothing in another (PS3.3 C.7.4.1.1.1)."""
    frames: dict[str, list[FileHeader]] = defaultdict(list)
    for header in headers:
        frames[header.text("FrameOfReferenceUID")].append(header)
    if len(frames.keys() - {""}) < 2 or headers[0].text("Modality") not in VOLUME_MODALITIES:
        return [(headers, None)]
    if "" in frames or (any(len(frame) == 1 for frame in frames.values()) and not _are_whole(headers)):
        why = f"its planes have {len(frames)} frames of reference, so that they do not lie in one space"
        return [(headers, Verdict("mixed-frames-of-reference", why))]
    return [(tuple(frame), None) for frame in frames.values()]


def _are_whole(headers: Iterable[FileHeader]) -> bool:
    """Each file is a volume of its own."""
    return all(
        "NumberOfFrames" in header.values or {"MOSAIC", "VFRAME"} & set(header.values.get("ImageType", ()))
        for header in headers
    )


def pack(headers: Sequence[FileHeader]) -> dict[str, Any]:
    """JSON-able form: values that all files share once, the others as columns."""
    keywords = sorted({k for header in headers for k in header.values} - _PLAN_ONLY)
    shared: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for keyword in keywords:
        values = [header.values.get(keyword) for header in headers]
        if all(value == values[0] for value in values):
            shared[keyword] = values[0]
        else:
            columns[keyword] = values
    files = [[getattr(header, name) for name in _FILE_FIELDS] for header in headers]
    return {"files": files, "shared": shared, "columns": columns}


def unpack(packed: Mapping[str, Any]) -> list[FileHeader]:
    """Headers as `pack` was given them, without identifying elements."""
    shared: Values = {keyword: tuple(values) for keyword, values in packed["shared"].items()}
    headers = []
    for index, fields in enumerate(packed["files"]):
        own = {
            keyword: tuple(values[index]) for keyword, values in packed["columns"].items() if values[index] is not None
        }
        named = dict(zip(_FILE_FIELDS, fields, strict=True))
        headers.append(FileHeader(**named, values={**shared, **own}))
    return headers
