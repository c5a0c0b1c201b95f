"""Which split a subject belongs to: by a file, or by a hash of its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from voxtile.corpus.splits import SPLIT_NAMES, parse_fractions, split_of
from voxtile.errors import InputError
from voxtile_datasets.intake.deidentify import Names

SPLITS = ("train", "val", "test")
_FILES = ("slide", "slide_id", "file", "filename", "file_name", "path")
_NAMES = (*_FILES, "subject", "patient_id", "patient", "subject_id", "case", "case_id")
Form: TypeAlias = Literal["subject", "file", "splits"]
_TRUE, _FALSE = {"true", "1", "1.0"}, {"false", "0", "0.0"}


@dataclass(frozen=True)
class NamedSplit:
    """What a table says of one name, and in which row below its header."""

    row: int
    name: str
    split: str


class Splits:
    """Splits for the subjects of a conversion.

    Args:
        names: how subjects are written into the corpus.
        fractions: `0.8,0.1,0.1`, the shares of train, val and test for subjects that the file does not name.
        path: CSV or Parquet with the columns subject and split, or a column a split; None for none.

    Raises:
        InputError: the file is unusable, or puts a subject in two splits.
        ConfigError: the fractions are not three shares.
    """

    def __init__(self, names: Names, fractions: str, path: Path | None) -> None:
        self._names = names
        self._fractions = parse_fractions(fractions)
        rows, self._form = _read(path) if path else ([], "subject")
        self._given = {row.name: row.split for row in rows}
        self._rows = {row.name: row.row for row in rows}
        self._path = path
        self._asked: set[str] = set()
        self._files: set[str] = set()

    def add_files(self, subject: str, names: Iterable[str]) -> None:
        """Let the table call a subject by a file of it, such as a slide: the file's split is the subject's.

        Args:
            subject: its identifier in the source.
            names: of the file, any of which the table may have.

        Raises:
            InputError: the table puts files of the subject in two splits.
        """
        if self._form == "subject":
            return
        from voxtile.stages.ingest.table import file_key  # late: most conversions read no table

        for name in self._rows.keys() & {file_key(name) for name in names}:
            self._files.add(name)
            split = self._given[name]
            if self._given.setdefault(subject, split) != split:
                raise InputError(
                    f"'{self._path}' row {self._rows[name]} puts a file into {split}, and one of the same subject into "
                    f"{self._given[subject]}; give each subject one split, or, where the files are of two subjects, "
                    "say so with --cases or --subject-pattern"
                )

    def of(self, subject: str, among: Collection[str] = SPLITS) -> str:
        """Split of a subject.

        Args:
            subject: its identifier in the source.
            among: splits that it may be in where the file does not name it, such as those that its folder says.
        """
        self._asked.add(subject)
        shares = {name: share for name, share in self._fractions.items() if name in among}
        total = sum(shares.values())
        shares = {name: share / total if total else 1 / len(shares) for name, share in shares.items()}
        return self._given.get(subject) or split_of(self._names.name("subject", subject), shares)

    def what_does_not_match(self) -> str | None:
        """One sentence on the people that only the file or only the source names, by numbers alone; None for none.

        Raises:
            InputError: the table has a column for each split, and none of its cells names anybody.
        """
        rows = [row for name, row in self._rows.items() if name not in self._asked | self._files]
        lacking = len(self._asked - self._given.keys())
        if self._path is None or not (rows or lacking):
            return None
        if self._form == "splits" and len(rows) == len(self._rows):
            raise InputError(
                f"no cell of '{self._path}' under train, val and test names a subject or file; give a table of names, "
                "or with the columns subject and split"
            )
        said = []
        if rows:
            said.append(
                f"names {len(rows)} subjects or files of whom nothing is converted (row {rows[0]} is the first)"
            )
        if lacking:
            said.append(
                f"does not name {lacking} of the {len(self._asked)} that are, whose splits come from --split-fractions"
            )
        return f"'{self._path}' {' and '.join(said)}"


def splits_by_column(path: Path, columns: Sequence[tuple[str, Sequence[str | None]]]) -> list[NamedSplit] | None:
    """Rows of a table that has a column for each split, as CLAM writes them; None for a table of another form.

    In `splits_0.csv` cells are names of slides, in `splits_0_bool.csv` they say true or false beside a column of names.

    Args:
        path: of the table, for errors.
        columns: name and cells of each.

    Raises:
        InputError: a name is in two splits.
    """
    from voxtile.stages.ingest.table import file_key, is_missing  # late, as above

    known = [(name.strip().lower(), cells) for name, cells in columns]
    by_split = [(SPLIT_NAMES[name], cells) for name, cells in known if name in SPLIT_NAMES]
    if len({split for split, _ in by_split}) < 2 or "split" in dict(known):
        return None
    others = {name: cells for name, cells in reversed(known) if name not in SPLIT_NAMES}
    names = next((others[name] for name in _NAMES if name in others), next(reversed(others.values()), None))
    cells = {(cell or "").strip().lower() for _, column in by_split for cell in column}
    is_marked = names is not None and {cell for cell in cells if not is_missing(cell)} <= _TRUE | _FALSE
    found: dict[str, NamedSplit] = {}
    for split, column in by_split:
        for row, cell in enumerate(column, start=1):
            name = cell
            if names is not None and is_marked:
                name = names[row - 1] if (cell or "").strip().lower() in _TRUE else None
            if name is None or is_missing(name):
                continue
            key = file_key(name.strip())
            if found.setdefault(key, NamedSplit(row, key, split)).split != split:
                raise InputError(f"'{path}' puts what row {row} names under {split} into two splits; give it one")
    return list(found.values())


def _read(path: Path) -> tuple[list[NamedSplit], Form]:
    """What the table names, and whether it does so by subjects, by files, or by a column a split (either)."""
    from voxtile_datasets.intake.reports_file import SUBJECT_COLUMNS, text_column
    from voxtile_datasets.intake.tables import read_table

    table = read_table(path)
    texts = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in table.columns]
    listed = splits_by_column(path, list(zip(table.column_names, texts, strict=True)))
    if listed is not None:
        return listed, "splits"
    known = {name.strip().lower() for name in table.column_names}
    form: Form = "subject" if known & {name.lower() for name in SUBJECT_COLUMNS} or not known & set(_FILES) else "file"
    subjects = text_column(table, SUBJECT_COLUMNS if form == "subject" else _FILES, path)
    splits = text_column(table, ("split",), path)
    found: dict[str, NamedSplit] = {}
    for row, (subject, split) in enumerate(zip(subjects, splits, strict=True), start=1):
        if split not in SPLITS:
            raise InputError(f"'{path}' row {row} names another split; use one of {', '.join(SPLITS)}")
        first = found.setdefault(subject, NamedSplit(row, subject, split))
        if first.split != split:
            raise InputError(
                f"'{path}' puts the subject of row {row} in two splits ({first.split} and {split}); keep one"
            )
    return list(found.values()), form
