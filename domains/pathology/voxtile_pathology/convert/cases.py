"""Which patient, examination and split a slide belongs to: by a table, or by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from voxtile.errors import InputError
from voxtile.stages.ingest.table import composed, file_key
from voxtile_datasets.intake.reports_file import STUDY_COLUMNS, SUBJECT_COLUMNS, text_column
from voxtile_datasets.intake.tables import read_table
from voxtile_pathology.annotations.model import name_without_ending

StudyUnit: TypeAlias = Literal["slide", "case"]

SLIDE_COLUMNS = ("slide", "slide_id", "file", "filename", "file_name", "path", "source")
# TCGA barcode: project, tissue source site and participant. https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/
_TCGA_CASE = re.compile(r"^(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})\b", re.IGNORECASE)


@dataclass(frozen=True)
class SlideCase:
    """What a slide belongs to, by the identifiers of the source."""

    subject: str
    study: str


class Cases:
    """Cases of the slides of a folder.

    A slide is its own subject unless the table or a TCGA barcode says otherwise.

    Args:
        slides: their paths relative to the folder.
        unit: whether a study is a slide or all slides of a case.
        table: CSV or Parquet with the columns slide and subject, and perhaps study; None for none.

    Raises:
        InputError: the table cannot be used, or it contradicts itself.
    """

    def __init__(self, slides: Sequence[str], unit: StudyUnit, table: Path | None) -> None:
        self._unit = unit
        self._names, self._plain = _short_names(slides), _plain_names(slides)
        self._path, self._table = table, _read(table) if table else {}
        self._used = {slide: key for slide in slides if (key := self._key(slide)) is not None}
        if self._table and not self._used:
            raise InputError(f"no row of '{table}' names a slide; write the file names, with or without their suffix")

    def name_of(self, slide: str) -> str:
        """Short name of a slide: its file name without suffix, or its path where several share that."""
        return self._names[slide]

    def of(self, slide: str) -> SlideCase:
        """Case of a slide, by its path relative to the folder."""
        name = self._names[slide]
        if slide in self._used:
            row = self._table[self._used[slide]]
            return SlideCase(row.subject, row.study or self._study(row.subject, name))
        barcode = _TCGA_CASE.match(PurePosixPath(slide).name)
        subject = barcode[1].upper() if barcode else name
        return SlideCase(subject, self._study(subject, name))

    def what_does_not_match(self) -> str:
        """One sentence on rows that name no slide and slides that no row names; empty for none."""
        idle = len(self._table.keys() - set(self._used.values()))
        without = len(self._names) - len(self._used)
        if not self._table or not (idle or without):
            return ""
        return (
            f"{idle} of the {len(self._table)} slides that '{self._path}' names are not there, and {without} of "
            f"{len(self._names)} slides have no row, so that each is its own subject (or of its TCGA barcode)"
        )

    def names_of(self, slide: str) -> tuple[str, ...]:
        """What a table may call a slide: its path, its file name with and without suffix, its short names."""
        path = PurePosixPath(slide)
        return slide, path.name, path.stem, *self.short_names_of(slide)

    def short_names_of(self, slide: str) -> tuple[str, ...]:
        """Its short name, and for `case.ome.tif` also `case`, where no other slide is called so."""
        return self._names[slide], *self._plain[slide]

    def _key(self, slide: str) -> str | None:
        """By which of its names the table knows a slide; None for none."""
        return next((key for name in self.names_of(slide) if (key := composed(name)) in self._table), None)

    def _study(self, subject: str, name: str) -> str:
        return subject if self._unit == "case" else name


def _short_names(slides: Sequence[str]) -> Mapping[str, str]:
    stems = Counter(PurePosixPath(slide).stem for slide in slides)
    return {
        slide: path.stem if stems[path.stem] == 1 else path.with_suffix("").as_posix()
        for slide, path in ((slide, PurePosixPath(slide)) for slide in slides)
    }


def _plain_names(slides: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    names = {slide: (PurePosixPath(slide).stem, name_without_ending(slide)) for slide in slides}
    count = Counter(name for both in names.values() for name in set(both))
    return {slide: (plain,) if plain != stem and count[plain] == 1 else () for slide, (stem, plain) in names.items()}


def _read(path: Path) -> Mapping[str, SlideCase]:
    table = read_table(path)
    slides = text_column(table, SLIDE_COLUMNS, path)
    subjects = text_column(table, SUBJECT_COLUMNS, path)
    columns = {name.strip().lower() for name in table.column_names}
    has_study = any(name.lower() in columns for name in STUDY_COLUMNS[:4])
    studies = text_column(table, STUDY_COLUMNS[:4], path) if has_study else [""] * len(slides)
    found: dict[str, SlideCase] = {}
    for row, (slide, subject, study) in enumerate(zip(slides, subjects, studies, strict=True), start=1):
        if not slide or not subject:
            raise InputError(f"'{path}' row {row} lacks its slide or its subject; fill it in or remove the row")
        case = SlideCase(subject, study)
        if found.setdefault(file_key(slide), case) != case:
            raise InputError(f"'{path}' gives the slide of row {row} two cases; keep one of the rows")
    return found
