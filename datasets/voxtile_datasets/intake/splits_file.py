"""Which split a subject belongs to: by a file, or by a hash of its name."""

from __future__ import annotations

from collections.abc import Mapping
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
        self._given = _read(path) if path else {}

    def of(self, subject: str) -> str:
        """Split of a subject, by its identifier in the source."""
        return self._given.get(subject) or split_of(self._names.name("subject", subject), self._fractions)


def _read(path: Path) -> Mapping[str, str]:
    from voxtile_datasets.intake.reports_file import SUBJECT_COLUMNS, text_column
    from voxtile_datasets.intake.tables import read_table

    table = read_table(path)
    subjects, splits = text_column(table, SUBJECT_COLUMNS, path), text_column(table, ("split",), path)
    given: dict[str, str] = {}
    for row, (subject, split) in enumerate(zip(subjects, splits, strict=True), start=1):
        if split not in SPLITS:
            raise InputError(f"'{path}' row {row} names another split; use one of {', '.join(SPLITS)}")
        if given.setdefault(subject, split) != split:
            raise InputError(
                f"'{path}' puts the subject of row {row} in two splits ({given[subject]} and {split}); keep one"
            )
    return given
