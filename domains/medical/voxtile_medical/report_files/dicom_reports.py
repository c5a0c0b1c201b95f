"""Reports in DICOM: structured reports of text (PS3.3 A.35) and encapsulated PDF (A.45.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.tags import NUMBERS, PEOPLE, PLACES
from voxtile_medical.report_files.document import STORAGE, Document, NotReadError, Status, digits, is_document, said
from voxtile_medical.report_files.pdf import text_of_pdf

# Basic Text, Enhanced, Comprehensive, Comprehensive 3D and Extensible SR.
TEXT_CLASSES = frozenset(f"{STORAGE}88.{number}" for number in (11, 22, 33, 34, 35))
PDF_CLASS = f"{STORAGE}104.1"
_ADDENDUM_CODES = frozenset({("LN", "55107-7")})  # Addendum Document
_MAX_DEPTH = 16
_MAX_ITEMS = 20_000
# Who observed, in which language and of what: not what was found.
_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT", "SELECTED FROM"})


def dicom_report(stream: BinaryIO) -> Document | None:
    """The report of a DICOM object; None where it is no document, but an image, say.

    Raises:
        NotReadError: a document that is no report, or cannot be read.
    """
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
            storage = str(dataset.get("SOPClassUID") or "")
            if not is_document(storage):
                return None
            return _document(dataset, storage)
    except (NotReadError, MemoryError):
        raise
    except Exception as error:  # a parser on hostile bytes; what it says may quote the report
        raise NotReadError(
            "unreadable-report", f"the object cannot be parsed ({type(error).__name__}); export it again"
        ) from error


def _document(dataset: Dataset, storage: str) -> Document:
    if storage == PDF_CLASS:
        text = text_of_pdf(_bytes(dataset.get("EncapsulatedDocument")))
    elif storage in TEXT_CLASSES:
        text = _text(dataset)
    else:
        detail = "a document of another kind than text reports and PDF (measurements of a device, dose, CDA)"
        raise NotReadError("not-a-report", detail)
    requests = list(dataset.get("ReferencedRequestSequence") or ())
    evidence = list(dataset.get("CurrentRequestedProcedureEvidenceSequence") or ())
    sources = (dataset, *requests, *evidence)
    studies = said(
        *(item.get("StudyInstanceUID") for item in sources), *(item.get("AccessionNumber") for item in sources)
    )
    earlier = [
        instance.get("ReferencedSOPInstanceUID")
        for study in dataset.get("PredecessorDocumentsSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    ]
    status = _status(dataset)
    return Document(
        text=text,
        studies=studies,
        patients=said(dataset.get("PatientID")),
        status=status,
        when=digits(f"{dataset.get('ContentDate') or ''}{dataset.get('ContentTime') or ''}".partition(".")[0]),
        identity=str(dataset.get("SOPInstanceUID") or ""),
        replaces=() if status == "addendum" else said(*earlier),
        amends=said(*earlier) if status == "addendum" else (),
        people=said(*_named(dataset, PEOPLE), *_of_kind(dataset)),
        numbers=said(*_named(dataset, (*NUMBERS, "PatientBirthDate"))),
        places=said(*_named(dataset, PLACES)),
    )


def _status(dataset: Dataset) -> Status:
    if dataset.get("PreliminaryFlag") == "PRELIMINARY" or dataset.get("CompletionFlag") == "PARTIAL":
        return "preliminary"
    titles = dataset.get("ConceptNameCodeSequence") or ()
    if any((code.get("CodingSchemeDesignator"), code.get("CodeValue")) in _ADDENDUM_CODES for code in titles):
        return "addendum"
    return "final"


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes) or not value:
        raise NotReadError("no-text", "the object holds no document")
    return value


def _named(dataset: Dataset, keywords: tuple[str, ...]) -> Iterator[str]:
    for keyword in keywords:
        value = dataset.get(keyword)
        yield from (
            str(one) for one in (value if isinstance(value, list | pydicom.multival.MultiValue) else [value]) if one
        )


def _of_kind(dataset: Dataset) -> Iterator[str]:
    """Names of people at any depth: who observed, verified, or is told of."""
    return (str(element.value) for element in dataset.iterall() if element.VR == "PN" and element.value)


def _text(dataset: Dataset) -> str:
    """Sentences of a content tree: the containers' names as headings, in the order of the tree.

    Raises:
        NotReadError: `no-text`.
    """
    writer = _Writer()
    writer.write(dataset, "", 0)
    if not writer.sentences:
        raise NotReadError("no-text", "the structured report holds measurements or codes and no sentence")
    return writer.text()


class _Writer:
    """The lines of a content tree."""

    def __init__(self) -> None:
        self.sentences = 0
        self._sections: list[tuple[str, list[str]]] = []
        self._items = 0

    def text(self) -> str:
        """Sections with their headings, one blank line apart."""
        told = ("\n".join(([f"{heading}:"] if heading else []) + lines) for heading, lines in self._sections if lines)
        return "\n\n".join(told)

    def write(self, parent: Dataset, heading: str, depth: int) -> None:
        """What stands below an item, under its heading."""
        for item in parent.get("ContentSequence") or ():
            self._items += 1
            if depth > _MAX_DEPTH or self._items > _MAX_ITEMS:
                raise NotReadError("text-too-long", "the content tree is too deep or too long; export the report alone")
            if str(item.get("RelationshipType") or "") in _CONTEXT:
                continue
            kind, name = str(item.get("ValueType") or ""), _meaning(item.get("ConceptNameCodeSequence"))
            if kind == "CONTAINER":
                self.write(item, name or heading, depth + 1)
                continue
            line = self._line(item, kind)
            if line:
                self._add(heading, name, line, is_text=kind == "TEXT")
            self.write(item, heading or (name if kind == "TEXT" else ""), depth + 1)

    def _line(self, item: Dataset, kind: str) -> str:
        if kind == "TEXT":
            line = str(item.get("TextValue") or "").strip()
            self.sentences += bool(line)
            return line
        if kind == "CODE":
            return _meaning(item.get("ConceptCodeSequence"))
        if kind == "NUM":
            for measured in item.get("MeasuredValueSequence") or ():
                unit = next(iter(measured.get("MeasurementUnitsCodeSequence") or ()), Dataset())
                return f"{measured.get('NumericValue')} {unit.get('CodeValue') or ''}".strip()
        return ""

    def _add(self, heading: str, name: str, line: str, *, is_text: bool) -> None:
        if not heading and is_text:
            heading, name = name, ""
        elif is_text and name.casefold()[:4] == heading.casefold()[:4]:
            name = ""  # a "Finding" among "Findings"
        if not self._sections or self._sections[-1][0] != heading:
            self._sections.append((heading, []))
        self._sections[-1][1].append(f"{name}: {line}" if name else line)


def _meaning(codes: Any) -> str:  # noqa: ANN401 - a pydicom sequence
    return str(next(iter(codes), Dataset()).get("CodeMeaning") or "").strip() if codes else ""
