"""One report as its system wrote it, whatever the format: its text, the study that it is of, and what became of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["final", "addendum", "preliminary", "void"]
STORAGE = "1.2.840.10008.5.1.4.1.1."  # of storage classes (PS3.6 annex A)
# Basic Text, Enhanced, Comprehensive, Comprehensive 3D and Extensible SR; encapsulated PDF and CDA.
_REPORTS = {"88.11", "88.22", "88.33", "88.34", "88.35", "104.1", "104.2"}
_UID = re.compile(r"\d+(?:\.\d+){3,}")


@dataclass(frozen=True, slots=True)
class Document:
    """A report, with what its header says.

    Attributes:
        text: what it says; sections under their headings.
        studies: StudyInstanceUIDs and accession numbers of its study.
        patients: the patient's numbers; none where it names none.
        status: of the text. `void` is a cancelled report, or one that was entered in error.
        when: digits of its date and time, which put versions in order; empty where it has none.
        identity: what all versions of the report have in common; empty where it has nothing of the kind.
        replaces: identities of reports whose place it takes.
        amends: identities of reports that it adds to.
        people: names in its header, which its text is to lose.
        numbers: such numbers.
        places: such places.
    """

    text: str
    studies: tuple[str, ...]
    patients: tuple[str, ...] = ()
    status: Status = "final"
    when: str = ""
    identity: str = ""
    replaces: tuple[str, ...] = ()
    amends: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


class NotReadError(Exception):
    """A report that is not read.

    Args:
        reason: short machine-readable name.
        detail: one sentence for people; holds no word of the report.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_document(storage: str) -> bool:
    """Objects of this storage class of DICOM are documents, of whatever kind: SR, or encapsulated."""
    return storage.startswith((f"{STORAGE}88.", f"{STORAGE}104."))


def is_report(storage: str) -> bool:
    """Objects of this storage class are what somebody wrote of a study: no dose reports, CAD results or models."""
    return storage.removeprefix(STORAGE) in _REPORTS


def is_hl7(head: bytes) -> bool:
    """The first bytes of a file are those of a message of HL7 v2, or of a batch."""
    return re.match(rb"\x0b?(?:MSH|FHS|BHS)[^\w\s]", head.removeprefix(b"\xef\xbb\xbf").lstrip()) is not None


def is_uid(number: str) -> bool:
    """A study's number is a UID, which no two hospitals share; accession numbers they may."""
    return _UID.fullmatch(number) is not None


def said(*values: object) -> tuple[str, ...]:
    """Values as texts, each once, those that say nothing left out."""
    return tuple(dict.fromkeys(text for value in values if value is not None and (text := str(value).strip())))


def digits(moment: object) -> str:
    """Digits of a date and time, for the order of versions: of one system, whose forms do not vary."""
    return re.sub(r"\D", "", str(moment or "").partition("+")[0])
