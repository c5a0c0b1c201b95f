"""Grouping headers into series, and packing a series into the plan.

A packed series holds what the worker needs (positions, offsets, sizes), so that each header is parsed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from voxtile_medical.dicom.series_kinds import is_localizer
from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.tags import DATES, IDENTIFYING, PEOPLE, PLACES

# What the worker never needs to know: it writes hashes that the plan made.
_PLAN_ONLY = frozenset(
    {*IDENTIFYING, *DATES, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"}
)
_FILE_FIELDS = ("path", "size", "transfer_syntax", "pixel_tag", "offset", "nbytes", "big_endian")


@dataclass(frozen=True)
class Series:
    """Files that belong to one series.

    Attributes:
        headers: in order of their paths; copies of an instance are left out.
        copies: files that repeat an instance of the series.
    """

    headers: tuple[FileHeader, ...]
    copies: tuple[FileHeader, ...] = ()

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
        return "\0".join((self.study, self.first.text("SeriesInstanceUID"), *instances))


def group_series(headers: Iterable[FileHeader]) -> list[Series]:
    """Group headers by series, in order of their first paths, and set repeated instances apart.

    Localizers and objects of another modality that were filed under the same series are series of their own. A series
    without SeriesInstanceUID is what shares a folder, modality, series number and study.
    """
    groups: dict[tuple[str, ...], list[FileHeader]] = defaultdict(list)
    for header in sorted(headers, key=lambda h: h.path):
        groups[_key(header)].append(header)
    return [_without_copies(group) for group in groups.values()]


def _key(header: FileHeader) -> tuple[str, ...]:
    uid = header.text("SeriesInstanceUID")
    kind = (header.text("Modality"), "localizer" if is_localizer(header) else "")
    if uid:
        return (header.text("StudyInstanceUID"), uid, *kind)
    folder = str(PurePosixPath(header.path).parent)
    return ("", folder, *kind, *(header.text(k) for k in ("StudyInstanceUID", "SeriesNumber", "PatientID")))


def _without_copies(group: Sequence[FileHeader]) -> Series:
    """An instance is repeated where SOPInstanceUID, place and number are the same."""
    seen: dict[tuple[Any, ...], FileHeader] = {}
    copies: list[FileHeader] = []
    for header in group:
        uid = header.text("SOPInstanceUID")
        place = (header.values.get("ImagePositionPatient"), header.values.get("InstanceNumber"))
        if uid and (uid, *place) in seen:
            copies.append(header)
        else:
            seen[(uid or header.path, *place)] = header
    return Series(tuple(seen.values()), tuple(copies))


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
