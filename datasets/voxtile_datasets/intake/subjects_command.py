"""`voxtile subjects`: who stands behind the pseudonyms of a corpus."""

from __future__ import annotations

from pathlib import Path

from voxtile.console import output
from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError
from voxtile.folders import OutputFile
from voxtile_datasets.intake.reports_file import SUBJECT_COLUMNS, text_column
from voxtile_datasets.intake.subject_table import SubjectTable
from voxtile_datasets.intake.tables import read_table


def make_subject_table(corpus: Path, table: OutputFile, *, identifiers: Path, key_file: Path | None = None) -> None:
    """Make or extend the table of a corpus's subjects, from a list of those who may be among them.

    A conversion writes the same table with --subject-table.

    Args:
        corpus: whose subjects are keyed hashes.
        table: the file to write (mode 0600), outside the corpus and apart from the key.
        identifiers: CSV, XLSX or Parquet with a column subject or PatientID, written as the sources do; people who are
            not in the corpus are left out.
        key_file: the key of the corpus, if it is not beside it.

    Raises:
        InputError: the key is not there, the list has no such column, or nobody of it is in the corpus.
        ConfigError: the table would lie in the corpus, be the key's file, or be readable by others.
    """
    key = key_map_path(corpus, key_file)
    if not key.exists():
        raise InputError(f"the key '{key}' is not there, without which no pseudonym is known; name it with --key-file")
    known = set(Corpus(corpus).table("samples", ["subject"])["subject"].to_pylist())
    subjects = SubjectTable.of_corpus(corpus, table, key_file)
    hasher = KeyMap(key).hasher
    given = [name for name in text_column(read_table(identifiers), SUBJECT_COLUMNS, identifiers) if name]
    found = {subject: name for name in given if (subject := hasher.hash("subject", name)) in known}
    if not found:
        raise InputError(f"nobody of '{identifiers}' is in '{corpus}'; write identifiers as the sources do")
    for subject, name in found.items():
        subjects.add(subject, name)
    subjects.save()
    unknown = sum(subjects.identifier_of(subject) is None for subject in known)
    output().print(
        f"{len(found)} of {len(set(given))} people are in the corpus; '{table}' has {len(subjects)} subjects, "
        f"and {unknown} of the corpus's {len(known)} are not in it",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def find_subjects(table: Path, *names: str) -> None:
    """Say who pseudonyms stand for, or what stands for people: one line each, pseudonym and identifier.

    Args:
        table: as a conversion's --subject-table or `voxtile subjects make` wrote it.
        names: pseudonyms of the column `subject`, or identifiers as the sources write them.

    Raises:
        InputError: the table is not there, or somebody is not in it.
        ConfigError: others than its owner can read the table.
        CorpusError: the file is no such table.
    """
    if not table.exists():
        raise InputError(f"the table of subjects '{table}' does not exist; make it with: voxtile subjects make")
    if not names:
        raise InputError("name whom to look up: pseudonyms of the corpus's column 'subject', or identifiers")
    for subject, identifier in SubjectTable(table).find(names):
        output().print(f"{subject}  {identifier}", markup=False, highlight=False, soft_wrap=True)
