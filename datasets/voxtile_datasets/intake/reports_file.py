"""Report files: texts by study or by patient, from CSV, XLSX or Parquet."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from voxtile.corpus.records import Row
from voxtile.engine.parallel import PlanReader
from voxtile.errors import InputError

MAX_TEXT = 100_000  # characters; the longest radiology reports are a tenth of this
_UID = re.compile(r"\d+(?:\.\d+){3,}")  # which no two hospitals share; accession numbers they may
STUDY_COLUMNS = (
    "study",
    "StudyInstanceUID",
    "study_uid",
    "study_id",
    "accession",
    "AccessionNumber",
    "accession_number",
    "slide",
    "slide_id",
)
SUBJECT_COLUMNS = ("subject", "PatientID", "patient_id", "patient", "subject_id", "case", "case_id")
TEXT_COLUMNS = ("text", "report", "report_text")
SECTION_COLUMNS = ("findings", "impression")
_KNOWN = (*STUDY_COLUMNS, *SUBJECT_COLUMNS, *TEXT_COLUMNS, *SECTION_COLUMNS, "split")


@dataclass(frozen=True)
class Report:
    """One text of a report file.

    Attributes:
        row: of the file, from 1.
        text: what it says.
        subject: empty where the row names a study alone.
        people: names that the report's own header holds, which its text is to lose.
        numbers: such numbers.
        places: such places.
    """

    row: int
    text: str
    subject: str = ""
    people: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportNote:
    """A report that is attached to nothing, as a row of the ledger.

    Attributes:
        name: what stands for it: `report row 7`, or its file.
        size: a number that tells it from others of the same name.
        reason: short machine-readable name.
        detail: one sentence for people; holds no word of the report.
    """

    name: str
    size: int
    reason: str
    detail: str


class ReportSource(Protocol):
    """Reports by the studies that they are of."""

    def share(self, studies: frozenset[str], patients: frozenset[str] = frozenset()) -> None:
        """Say which study numbers stand for several patients, and which patients for studies of several days.

        By these alone, a report is of no study. Study numbers are then a hospital's, and no names of files: one that is
        of another patient than its row names is no number of that report.
        """

    def of(self, studies: Iterable[str], subject: str) -> list[Report]:
        """Reports of a study, by its numbers and its patient's."""

    def notes(self) -> Iterable[ReportNote]:
        """What was attached to nothing, after all studies have asked."""


class Reports:
    """Texts by the identifier that their file gives.

    Args:
        by_study: StudyInstanceUID or accession number → reports.
        by_subject: patient id → reports.
        too_long: rows with texts above MAX_TEXT, which are not attached.
        torn: rows in which a column that stands twice holds two different values; nor are these.
        nameless: rows whose text is of no study and no patient; nor are these.
    """

    def __init__(
        self,
        by_study: dict[str, list[Report]],
        by_subject: dict[str, list[Report]],
        too_long: list[int],
        torn: Sequence[int] = (),
        nameless: Sequence[int] = (),
    ) -> None:
        self._by_study = by_study
        self._by_subject = by_subject
        self._used: set[int] = set()
        self._shared: frozenset[str] = frozenset()
        self._of_several_days: frozenset[str] = frozenset()
        self._are_numbers = False
        self._others: set[int] = set()
        self._too_long = too_long
        self._torn = torn
        self._nameless = nameless

    def share(self, studies: frozenset[str], patients: frozenset[str] = frozenset()) -> None:
        """See `ReportSource.share`."""
        self._shared, self._of_several_days, self._are_numbers = studies, patients, True

    def of(self, studies: Iterable[str], subject: str) -> list[Report]:
        """Reports of a study: by the first of its identifiers that the file knows, else by its patient."""
        own = (self._of_study(study, subject) for study in studies if study in self._by_study)
        of_patient = [] if subject in self._of_several_days else self._by_subject.get(subject, [])
        found = next(filter(None, own), None) or of_patient
        self._used.update(report.row for report in found)
        return found

    def notes(self) -> Iterator[ReportNote]:
        """Rows that were attached to nothing so far, with their reasons."""
        told = (
            (self._too_long, "text-too-long", "the text is not attached; shorten it"),
            (
                self._torn,
                "repeated-column",
                "a column stands twice and holds two different values in this row; keep one",
            ),
            (self._nameless, "no-study-id", "the row names no study and no patient, so that its text is nobody's"),
            (
                self._ambiguous(),
                "ambiguous-study",
                "several patients have this study number; name another number of the study, or the patient",
            ),
            (
                self._of_no_day(),
                "ambiguous-study",
                "the patient has studies of several days, and the row does not say which; name the study",
            ),
            (self._of_others(), "other-patient", "its study number is that of another patient than the row names"),
            (self._unused(), "no-study", "nothing of this study or subject was found"),
        )
        for rows, reason, detail in told:
            for row in rows:
                yield ReportNote(f"report row {row}", row, reason, detail)

    def _unused(self) -> list[int]:
        """Rows that no study asked for so far."""
        rows = {
            report.row for table in (self._by_study, self._by_subject) for found in table.values() for report in found
        }
        return sorted(rows - self._used - {*self._ambiguous(), *self._of_no_day(), *self._of_others()})

    def _of_no_day(self) -> list[int]:
        """Rows that name a patient alone who has studies of several days."""
        return sorted({r.row for patient in self._of_several_days for r in self._by_subject.get(patient, ())})

    def _of_others(self) -> list[int]:
        """Rows that name another patient than their study number is of, and were attached to nothing."""
        return sorted(self._others - self._used)

    def _ambiguous(self) -> list[int]:
        """Rows whose study number stands for several patients."""
        found = (self._by_study.get(study, ()) for study in self._shared)
        return sorted({report.row for reports in found for report in reports if not report.subject})

    def _of_study(self, study: str, subject: str) -> list[Report]:
        reports = self._by_study[study]
        if study in self._shared:
            return [r for r in reports if r.subject == subject]
        if not self._are_numbers or not subject or _UID.fullmatch(study):
            return reports
        self._others.update(r.row for r in reports if r.subject not in ("", subject))
        return [r for r in reports if r.subject in ("", subject)]


def read_reports(path: Path, reader: PlanReader | None = None) -> Reports:
    """Read a report file.

    Columns (case does not matter): one of `study`, `StudyInstanceUID`, `AccessionNumber`, … and/or one of `subject`,
    `PatientID`, …; and `text` or `report`, or `findings` and/or `impression`, which are joined.

    Raises:
        InputError: the file cannot be read, a column is missing, or no row has a text.
    """
    # Late: workers take no more of this module than `raw_captions`.
    from voxtile_datasets.deidentification.scrub import clean_control_characters
    from voxtile_datasets.intake.tables import check_cells, read_table
    from voxtile_datasets.plain_text import plain_text

    table = read_table(path, reader)
    by, whose = _column(table, STUDY_COLUMNS), _column(table, SUBJECT_COLUMNS)
    if by is None and whose is None:
        raise InputError(
            f"'{path}' has no column that names a study or a patient; add one called 'study' or 'subject' "
            f"({_told_columns(table, _KNOWN)})"
        )
    texts = _texts(table, path)
    check_cells(texts.values, path)
    study, subject = (None if found is None else found.values for found in (by, whose))
    torn = frozenset().union(*(found.torn for found in (by, whose, texts) if found is not None))
    by_study: dict[str, list[Report]] = defaultdict(list)
    by_subject: dict[str, list[Report]] = defaultdict(list)
    too_long: list[int] = []
    nameless: list[int] = []
    for index, text in enumerate(texts.values):
        if index in torn:
            continue
        cleaned = plain_text(clean_control_characters(text)).strip()
        if len(cleaned) > MAX_TEXT:
            too_long.append(index + 1)
            continue
        report = Report(index + 1, cleaned, subject[index] if subject is not None else "")
        if not cleaned:
            continue
        if study is not None and study[index]:
            by_study[study[index]].append(report)
        elif subject is not None and subject[index]:
            by_subject[subject[index]].append(report)
        else:
            nameless.append(index + 1)
    if not (by_study or by_subject or too_long or torn or nameless):
        raise InputError(f"'{path}' has no text in any of its {table.num_rows} rows; give the table of the reports")
    return Reports(dict(by_study), dict(by_subject), too_long, sorted(row + 1 for row in torn), nameless)


def raw_captions(uid: str, texts: Iterable[str]) -> list[Row]:
    """Caption rows of a sample's report texts; a text that occurs twice counts once."""
    return [
        {
            "caption_id": hashlib.sha256(f"{uid}\0raw\0{text}".encode()).hexdigest()[:32],
            "uid": uid,
            "text": text,
            "kind": "raw",
            "provider": "reports",
        }
        for text in dict.fromkeys(texts)
    ]


def _told_columns(table: pa.Table, known: Iterable[str]) -> str:
    from voxtile_datasets.intake.tables import told_columns

    return told_columns(table, known)


def text_column(table: pa.Table, names: Sequence[str], path: Path) -> list[str]:
    """A column by any of its names, as text.

    Raises:
        InputError: there is none; the message lists those of the table that are known.
    """
    found = _column(table, names)
    if found is None:
        raise InputError(f"'{path}' has no column '{names[0]}'; {_told_columns(table, _KNOWN)}")
    if found.torn:
        raise InputError(
            f"'{path}' has the column '{names[0]}' more than once, and row {min(found.torn) + 1} holds two different "
            "values; keep one"
        )
    return found.values


@dataclass(frozen=True)
class _Column:
    """Values of a column as text; `torn` are the rows (from 0) where a repeated column holds two of them."""

    values: list[str]
    torn: frozenset[int] = frozenset()


def _column(table: pa.Table, names: Sequence[str]) -> _Column | None:
    """A column by any of its names; one that stands twice counts once where its values agree or one is blank."""
    from voxtile.stages.ingest.table import is_missing  # late, as in `read_reports`

    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(table.column_names):
        places[name.strip().lower()].append(place)
    found = next((places[name.lower()] for name in names if name.lower() in places), None)
    if found is None:
        return None
    told = [[str(value).strip() for value in table.column(i).to_pylist()] for i in found]
    columns = [["" if is_missing(value) else value for value in column] for column in told]
    if len(columns) == 1:
        return _Column(columns[0])
    said = [list(dict.fromkeys(filter(None, row))) for row in zip(*columns, strict=True)]
    torn = frozenset(row for row, values in enumerate(said) if len(values) > 1)
    return _Column([values[0] if values else "" for values in said], torn)


def _texts(table: pa.Table, path: Path) -> _Column:
    from voxtile_datasets.plain_text import plain_text  # late, as in `read_reports`

    whole = _column(table, TEXT_COLUMNS)
    if whole is not None:
        return whole
    sections = [found for name in SECTION_COLUMNS if (found := _column(table, (name,))) is not None]
    if not sections:
        raise InputError(
            f"'{path}' has no column 'text' (nor 'findings' and 'impression'); {_told_columns(table, _KNOWN)}"
        )
    joined = [
        "\n".join(plain_text(part) for part in parts if part)
        for parts in zip(*(s.values for s in sections), strict=True)
    ]
    return _Column(joined, frozenset().union(*(section.torn for section in sections)))
