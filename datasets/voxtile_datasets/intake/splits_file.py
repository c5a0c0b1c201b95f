"""Which split a subject belongs to: by a file, or by a hash of its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.errors import InputError
from voxtile_datasets.intake.deidentify import Names

SPLITS = ("train", "val", "test")


class Splits:
    """Splits for the subjects of a conversion.

    Args:
        names: how subjects are written into the corpus.
        fractions: `0.8,0.1,0.1`, the shares of train, val and test for subjects that the file does not name.
        path: CSV or Parquet with the columns subject and split; None for none.

    Raises:
        InputError: the file is unusable, or puts a subject in two splits.
        ConfigError: the fractions are not three shares.
    """

    def __init__(self, names: Names, fractions: str, path: Path | None) -> None:
        self._names = names
        self._fractions = parse_fractions(fractions)
        self._given, self._rows = _read(path) if path else ({}, {})
        self._path = path
        self._asked: set[str] = set()

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
        """One sentence on the people that only the file or only the source names, by numbers alone; None for none."""
        rows = [row for subject, row in self._rows.items() if subject not in self._asked]
        lacking = len(self._asked - self._given.keys())
        if self._path is None or not (rows or lacking):
            return None
        said = []
        if rows:
            said.append(f"names {len(rows)} subjects of whom nothing is converted (row {rows[0]} is the first)")
        if lacking:
            said.append(
                f"does not name {lacking} of the {len(self._asked)} that are, whose splits come from --split-fractions"
            )
        return f"'{self._path}' {' and '.join(said)}"


def _read(path: Path) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """Subject → split, and subject → the row that names it first."""
    from voxtile_datasets.intake.reports_file import SUBJECT_COLUMNS, text_column
    from voxtile_datasets.intake.tables import read_table

    table = read_table(path)
    subjects, splits = text_column(table, SUBJECT_COLUMNS, path), text_column(table, ("split",), path)
    given: dict[str, str] = {}
    rows: dict[str, int] = {}
    for row, (subject, split) in enumerate(zip(subjects, splits, strict=True), start=1):
        if split not in SPLITS:
            raise InputError(f"'{path}' row {row} names another split; use one of {', '.join(SPLITS)}")
        rows.setdefault(subject, row)
        if given.setdefault(subject, split) != split:
            raise InputError(
                f"'{path}' puts the subject of row {row} in two splits ({given[subject]} and {split}); keep one"
            )
    return given, rows
