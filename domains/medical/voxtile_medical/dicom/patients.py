"""Whose files a series holds: the files of two patients under one UID are two series, or a refusal by name.

A UID that stands for two patients is a writer's fault (PS3.5 9), and archives have it: test data sent twice, patients
merged or mistaken at the console, UIDs made from the clock. PatientID parts them. Where the other elements speak
against it, so that no one can say whose a plane is, nothing of the series is used.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.verdicts import Verdict

MIXED = "mixed-patients"
_NAME_PARTS = re.compile(r"[^\w]+")


@dataclass(frozen=True)
class OneName:
    """The files of one series that name one patient.

    Attributes:
        headers: in their order.
        shared: files of another patient have the same UIDs.
        refusal: why it cannot be said whose they are; None where it can.
    """

    headers: tuple[FileHeader, ...]
    shared: bool = False
    refusal: Verdict | None = None


def by_patient(headers: Sequence[FileHeader]) -> list[OneName]:
    """Part the files of a series by patient, in the order of their first files.

    Args:
        headers: files with the same study and series UID.
    """
    named: dict[tuple[str, str], list[FileHeader]] = defaultdict(list)
    for header in headers:
        named[header.text("PatientID"), header.text("IssuerOfPatientID")].append(header)
    known = [key for key in named if key[0]]
    if len({patient for patient, _ in known}) < 2 and len({issuer for _, issuer in known if issuer}) < 2:
        return [OneName(tuple(headers), refusal=_contradiction(headers))]
    if len(known) < len(named):
        return [OneName(tuple(headers), refusal=_mixed(len(known), "and other files name none"))]
    for keyword in ("FrameOfReferenceUID", "SOPInstanceUID"):
        if _is_shared([{h.text(keyword) for h in group} - {""} for group in named.values()]):
            return [OneName(tuple(headers), refusal=_mixed(len(known), f"under one {keyword}"))]
    return [OneName(tuple(group), shared=True, refusal=_contradiction(group)) for group in named.values()]


def studies_of_several(headers: Sequence[FileHeader]) -> frozenset[str]:
    """StudyInstanceUIDs and accession numbers that stand for more than one patient: a report by them is nobody's."""
    patients: Mapping[str, set[str]] = defaultdict(set)
    for header in headers:
        for keyword in ("StudyInstanceUID", "AccessionNumber"):
            if header.text(keyword) and header.text("PatientID"):
                patients[header.text(keyword)].add(header.text("PatientID"))
    return frozenset(number for number, found in patients.items() if len(found) > 1)


def patients_of_several_days(headers: Sequence[FileHeader]) -> frozenset[str]:
    """PatientIDs with studies of more than one day, or of days that are not stated.

    A report that names such a patient alone is of none of the studies. Two of one day are mostly one examination, such
    as PET/CT.
    """
    days: Mapping[str, dict[str, str]] = defaultdict(dict)
    for header in headers:
        if header.text("PatientID"):
            days[header.text("PatientID")][header.text("StudyInstanceUID")] = header.text("StudyDate")
    return frozenset(
        patient
        for patient, studies in days.items()
        if len(studies) > 1 and (len(set(studies.values())) > 1 or "" in studies.values())
    )


def several_people(headers: Iterable[FileHeader]) -> list[str]:
    """Of each PatientID that stands for several people, the path of a file that speaks against the first one.

    Another date of birth or sex, another issuer of the number, or a name without a word in common where no date of
    birth says that they are one: in the studies of years names are married, misspelt and spelt out.
    """
    first: dict[str, _Person] = {}
    found: dict[str, str] = {}
    for header in sorted(headers, key=lambda header: header.path):
        patient, person = header.text("PatientID"), _Person.of(header)
        if patient and patient not in found:
            known = first.setdefault(patient, person)
            if known.is_other(person):
                found[patient] = header.path
            else:
                first[patient] = known.joined(person)
    return list(found.values())


@dataclass(frozen=True)
class _Person:
    """What headers say of somebody; empty where they do not."""

    words: frozenset[str]
    birth: str
    sex: str
    issuer: str

    @classmethod
    def of(cls, header: FileHeader) -> _Person:
        sex = header.text("PatientSex")
        said = (header.text("PatientBirthDate"), sex if sex in ("F", "M") else "", header.text("IssuerOfPatientID"))
        return cls(_words(header), *said)

    def is_other(self, other: _Person) -> bool:
        pairs = ((self.birth, other.birth), (self.sex, other.sex), (self.issuer, other.issuer))
        if any(one and two and one != two for one, two in pairs):
            return True
        is_named_otherwise = bool(self.words and other.words) and self.words.isdisjoint(other.words)
        return is_named_otherwise and not (self.birth and self.birth == other.birth)

    def joined(self, other: _Person) -> _Person:
        said = (self.birth or other.birth, self.sex or other.sex, self.issuer or other.issuer)
        return _Person(self.words | other.words, *said)


def _words(header: FileHeader) -> frozenset[str]:
    """Words of a patient's name."""
    return frozenset(_NAME_PARTS.split(header.text("PatientName").partition("=")[0].casefold())) - {""}


def _contradiction(headers: Sequence[FileHeader]) -> Verdict | None:
    """One PatientID, and names, dates of birth or sexes of two people."""
    names = {_words(header) for header in headers} - {frozenset()}
    longest = max(names, key=len, default=frozenset())
    if any(not name <= longest for name in names):
        return _contradicts("PatientName")
    for keyword in ("PatientBirthDate", "PatientSex"):
        if len({h.text(keyword) for h in headers} - {"", "O"}) > 1:
            return _contradicts(keyword)
    return None


def _contradicts(keyword: str) -> Verdict:
    return Verdict(MIXED, f"one series and one PatientID, but {keyword} differs between its files; correct the files")


def _mixed(count: int, more: str) -> Verdict:
    return Verdict(
        MIXED, f"its files name {count} patients {more}, so that no one can say whose they are; correct them"
    )


def _is_shared(values: Sequence[set[str]]) -> bool:
    return sum(map(len, values)) > len(set().union(*values))
