"""`--reports PATH`: a table, or a file, folder or archive of reports as hospital systems send them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from voxtile.engine.failure import Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile.errors import InputError
from voxtile_datasets.deidentification.scrub import clean_control_characters
from voxtile_datasets.intake.reports_file import MAX_TEXT, Report, ReportNote, ReportSource, read_reports
from voxtile_medical.archives.entries import is_archive_name
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.headers import FileHeader, read_header
from voxtile_medical.dicom_header.scan import list_files, root_of
from voxtile_medical.dicom_header.tree import with_members
from voxtile_medical.report_files.cda_documents import cda_report, is_cda
from voxtile_medical.report_files.document import Document, NotReadError, is_document, is_hl7, is_uid
from voxtile_medical.report_files.versions import WHY, final_versions
from voxtile_medical.verdicts import Verdict

MAX_FILE_BYTES = 256 << 20
_HEAD_BYTES = 4096
_TABLES = (".csv", ".tsv", ".xlsx", ".xlsm", ".xls", ".parquet")
_UNATTACHED = {
    **WHY,
    "no-study": "nothing of this study was found",
    "no-study-id": "the report names no study, so that it is nobody's",
    "other-patient": "its accession number is that of another patient's study",
    "ambiguous-study": "several patients have this study number, and the report names none of them",
}


def read_report_files(path: Path, reader: PlanReader) -> ReportSource:
    """Reports by their studies.

    Args:
        path: a table, a folder or archive, or one file: DICOM SR, encapsulated PDF, HL7 v2, CDA or FHIR.
        reader: reads the files, in supervised processes.

    Raises:
        InputError: there is no report, or the table cannot be used.
    """
    if not path.exists():
        raise InputError(f"the reports '{path}' do not exist; give a table, a file or a folder of reports")
    if not path.is_dir() and not is_archive_name(path.name) and not _is_document(path):
        return read_reports(path, reader)
    root = root_of(path)
    files, refused = with_members(root, list_files(path)[1], reader)
    notes = [ReportNote(f"report {file.path}", file.size, file.reason, file.detail) for file in refused]
    documents: list[tuple[str, Document]] = []
    results = reader.map(partial(read_documents, root), files, title="reading reports")
    for file, result in zip(files, results, strict=True):
        if isinstance(result, Failure):
            detail = f"reading the report {how_lost(result)}; check where it is from"
            notes.append(ReportNote(f"report {file}", 0, result.reason, detail))
            continue
        for number, found in enumerate(listed := list(result), start=1):
            name = f"report {file}" if len(listed) == 1 else f"report {file} number {number}"
            if isinstance(found, NotReadError):
                notes.append(ReportNote(name, number, found.reason, found.detail))
            else:
                documents.append((name, found))
    if not documents and not notes:
        raise InputError(
            f"'{path}' holds no report (DICOM SR, encapsulated PDF, HL7 v2, CDA, FHIR); give a table, or those"
        )
    return StudyDocuments(documents, notes)


def read_documents(root: Path, path: str) -> Iterator[Document | NotReadError]:
    """The reports of a file, none of an image: for a supervised process."""
    try:
        yield from _documents(root, path)
    except (NotReadError, Verdict) as fault:
        yield NotReadError(fault.reason, fault.detail)
    except OSError as error:
        yield NotReadError("unreadable-report", f"the file cannot be read ({error.strerror}); check its permissions")


def _documents(root: Path, path: str) -> Iterator[Document | NotReadError]:
    with open_stored(root / path) as file:
        head = file.read(_HEAD_BYTES)
        kind = _kind(head)
        if kind == "rtf":
            raise NotReadError(
                "unsupported-form", "a report in RTF, which is not read; put its text into a table, with its study"
            )
        if kind in ("hl7", "json", "cda"):
            if file.size > MAX_FILE_BYTES:
                raise NotReadError("too-large", f"a file of more than {MAX_FILE_BYTES >> 20} MiB; split it")
            yield from _messages(kind, file.read(file.size).removeprefix(b"\xef\xbb\xbf"))
            return
        if kind == "pdf":
            raise NotReadError(
                "no-study-id", "a PDF by itself names no study; give its text in a table, with its study"
            )
        header = read_header(root, path)
        if isinstance(header, FileHeader):
            if is_document(header.text("SOPClassUID")):
                from voxtile_medical.report_files.dicom_reports import dicom_report

                with file.stream() as stream:
                    found = dicom_report(stream)
                yield from [found] if found else ()
            return
        if path.lower().endswith(_TABLES):
            raise NotReadError("not-a-report", "a table among report files; give it by itself")
        if header.reason != "dicomdir":
            raise NotReadError(
                "not-a-report" if header.reason.startswith("not-dicom") else header.reason,
                "neither DICOM SR, PDF in DICOM, HL7 v2, CDA nor FHIR JSON",
            )


def _messages(kind: str, content: bytes) -> Iterator[Document | NotReadError]:
    if kind == "cda":
        return iter([cda_report(content)])
    if kind == "hl7":  # imported here, since most conversions have reports in a table, or none
        from voxtile_medical.report_files.hl7_messages import hl7_reports

        return hl7_reports(content)
    from voxtile_medical.report_files.fhir_resources import fhir_reports

    return fhir_reports(content)


def _is_document(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return _kind(head) is not None or head[128:132] == b"DICM"


def _kind(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if is_hl7(head):
        return "hl7"
    if start.startswith(b"%PDF"):
        return "pdf"
    if is_cda(head):
        return "cda"
    if start.startswith(b"{\\rtf"):
        return "rtf"
    return "json" if start[:1] in (b"{", b"[") else None


class StudyDocuments:
    """Reports of hospital systems by the numbers of their studies.

    Args:
        documents: with the names that the ledger gives them.
        notes: of files that are not read.
    """

    def __init__(self, documents: Iterable[tuple[str, Document]], notes: Iterable[ReportNote] = ()) -> None:
        self._notes = list(notes)
        self._documents: list[tuple[str, Document]] = []
        self._by_study: dict[str, list[int]] = defaultdict(list)
        self._shared: frozenset[str] = frozenset()
        self._reasons: dict[int, str] = {}
        for name, document in documents:
            number = len(self._documents)
            self._documents.append((name, document))
            self._reasons[number] = "no-study" if document.studies else "no-study-id"
            if len(document.text) > MAX_TEXT:
                self._reasons[number] = "text-too-long"
                continue
            for study in document.studies:
                self._by_study[study].append(number)

    def share(self, studies: frozenset[str], patients: frozenset[str] = frozenset()) -> None:
        """See `ReportSource.share`; a document that names no study is nobody's in any case."""
        self._shared = studies

    def of(self, studies: Iterable[str], subject: str) -> list[Report]:
        """Final reports of a study with their addenda, by any of its numbers.

        A report that names another patient is not attached by an accession number, which hospitals share.
        """
        numbers: dict[int, None] = {}
        for study in studies:
            for number in self._by_study.get(study, ()):
                patients = self._documents[number][1].patients
                if study in self._shared and subject not in patients:
                    self._not_used(number, "ambiguous-study")
                elif patients and subject and subject not in patients and not is_uid(study):
                    self._not_used(number, "other-patient")
                else:
                    numbers[number] = None
        versions = final_versions([(number, self._documents[number][1]) for number in sorted(numbers)])
        for number, reason in versions.reasons.items():
            self._not_used(number, reason)
        for used in versions.used:
            self._reasons |= dict.fromkeys(used, "")
        return [self._report(used) for used in versions.used]

    def notes(self) -> Iterator[ReportNote]:
        """Reports that were attached to nothing so far."""
        yield from self._notes
        for number, reason in self._reasons.items():
            if reason:
                detail = _UNATTACHED.get(reason, "the text is not attached; shorten it")
                yield ReportNote(self._documents[number][0], number, reason, detail)

    def _not_used(self, number: int, reason: str) -> None:
        if self._reasons[number]:
            self._reasons[number] = reason

    def _report(self, used: list[int]) -> Report:
        parts = [self._documents[number][1] for number in used]
        texts = [clean_control_characters(part.text).strip() for part in parts]
        return Report(
            row=used[0] + 1,
            text="\n\nAddendum:\n".join(texts),
            people=tuple(dict.fromkeys(name for part in parts for name in part.people)),
            numbers=tuple(dict.fromkeys(n for part in parts for n in (*part.numbers, *part.studies, *part.patients))),
            places=tuple(dict.fromkeys(place for part in parts for place in part.places)),
        )
