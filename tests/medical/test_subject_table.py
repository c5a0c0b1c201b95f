"""Who stands behind pseudonyms: a file apart from the key, for its owner alone, made and read by a command."""

from __future__ import annotations

import os
import stat

import pyarrow.parquet as pq
import pytest
from two_writers import overtake

from voxtile.cli.main import main
from voxtile.corpus.forgotten import FORGOTTEN_FILE, ForgottenSubjects
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, CorpusError, InputError
from voxtile_datasets.forgetting.command import forget_subject
from voxtile_datasets.intake import subject_table
from voxtile_datasets.intake.subject_table import SubjectTable
from voxtile_datasets.intake.subjects_command import find_subjects, make_subject_table
from voxtile_medical.convert.dicom import convert_dicom

PEOPLE = ("ZQ77 Quintero", "ZQ78 Xerxes")


@pytest.fixture
def source(tmp_path, dicom, noise):
    for k, person in enumerate(PEOPLE):
        uids = {"StudyInstanceUID": f"1.2.{k}", "SeriesInstanceUID": f"1.3.{k}"}
        dicom.write(tmp_path / "source" / str(k), noise(3, 8, 8, seed=k), PatientID=person, **uids)
    return tmp_path / "source"


def convert(source, name="corpus", **options):
    corpus = source.with_name(name)
    convert_dicom(source, corpus, engine="inline", **options)
    return corpus


def test_a_conversion_writes_it_apart_from_the_key(source, tmp_path, capsys):
    table = tmp_path / "people.parquet"
    corpus = convert(source, subject_table=table)
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    key = KeyMap.for_corpus(corpus)
    rows = pq.read_table(table)
    assert {row["identifier"]: row["subject"] for row in rows.to_pylist()} == {
        person: key.hash("subject", person) for person in PEOPLE
    }
    assert key.hasher.key.hex().encode() not in table.read_bytes() + repr(rows.schema.metadata).encode()
    assert b"Quintero" not in key.path.read_bytes() + repr(pq.read_table(key.path)).encode()
    subjects = set(Corpus(corpus).table("samples")["subject"].to_pylist())
    capsys.readouterr()
    assert main(["subjects", "find", str(table), *sorted(subjects), PEOPLE[0]]) == 0
    said = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert sorted(said) == sorted([[key.hash("subject", person), person] for person in (*PEOPLE, PEOPLE[0])])


@pytest.mark.parametrize("ends", ["save", "forget"])
def test_what_another_process_adds_while_a_table_is_written_is_not_lost(tmp_path, monkeypatch, ends):
    one, two = SubjectTable(tmp_path / "t"), SubjectTable(tmp_path / "t")
    one.add("a", "Abel")
    one.add("b", "Bea")
    one.save()
    two.add("c", "Cleo")
    wait = overtake(monkeypatch, subject_table, two.save)
    one.save() if ends == "save" else one.forget(["b"])
    wait()
    monkeypatch.undo()
    left = SubjectTable(tmp_path / "t")
    assert [left.identifier_of(name) for name in "abc"] == ["Abel", "Bea" if ends == "save" else None, "Cleo"]


def test_who_was_forgotten_meanwhile_does_not_come_back_from_a_table_that_was_read_before(tmp_path):
    corpus, path = tmp_path / "corpus", tmp_path / "t"
    corpus.mkdir()
    first = SubjectTable(path)
    first.add("a", "Abel")
    first.add("b", "Bea")
    first.save()
    saving, forgetting = SubjectTable.of_corpus(corpus, path), SubjectTable(path)
    assert SubjectTable(path).forget(["a"]) == 1
    late = SubjectTable(path)
    late.add("d", "Dora")
    late.save()
    assert forgetting.forget(["d"]) == 1, "who came after it was read goes too"
    assert [SubjectTable(path).identifier_of(name) for name in "abd"] == [None, "Bea", None]
    saving.add("c", "Cleo")
    saving.save()
    assert [SubjectTable(path).identifier_of(name) for name in "abcd"] == [None, "Bea", "Cleo", None]
    (corpus / FORGOTTEN_FILE).write_bytes(ForgottenSubjects().with_subjects(["e"]).to_bytes())
    saving.add("e", "Eva")
    with pytest.raises(CorpusError, match="has forgotten subjects since this command read it; run the same"):
        saving.save()
    assert SubjectTable(path).identifier_of("e") is None


def test_it_is_made_afterwards_from_a_list_and_grows(source, tmp_path, capsys):
    corpus, table = convert(source), tmp_path / "people.parquet"
    people = tmp_path / "list.csv"
    people.write_text(f"PatientID;ward\n{PEOPLE[0]};7\nsomebody else;8\n")
    make_subject_table(corpus, table, identifiers=people)
    assert "1 of 2 people" in capsys.readouterr().out
    people.write_text(f"subject\n{PEOPLE[1]}\n")
    make_subject_table(corpus, table, identifiers=people)
    assert "0 of the corpus's 2 are not in it" in capsys.readouterr().out.replace("\n", " ")
    assert len(SubjectTable(table)) == 2
    assert stat.S_IMODE(table.stat().st_mode) == 0o600


def test_without_being_asked_nothing_says_who_they_are(source):
    corpus = convert(source)
    found = [p for p in source.parent.rglob("*") if p.is_file() and source not in p.parents]
    assert not [p for p in found if b"Quintero" in p.read_bytes()]
    assert {p.name for p in source.parent.iterdir()} == {"source", "corpus", "corpus.sources.parquet"}
    assert corpus.exists()


def test_who_is_forgotten_goes_from_the_table_and_does_not_come_back(source, tmp_path, capsys):
    table = tmp_path / "people.parquet"
    corpus = convert(source, subject_table=table)
    forget_subject(corpus, subject=(PEOPLE[0],), subject_table=table, dry_run=True)
    assert len(SubjectTable(table)) == 2
    forget_subject(corpus, subject=(PEOPLE[0],), subject_table=table)
    assert "1 rows of" in capsys.readouterr().out
    convert(source, subject_table=table, min_slices=2)
    assert [identifier for _, identifier in SubjectTable(table).find(PEOPLE[1:])] == [PEOPLE[1]]
    assert len(SubjectTable(table)) == 1


@pytest.mark.parametrize("place", ["corpus/people.parquet", "corpus.sources.parquet"])
def test_it_lies_neither_in_the_corpus_nor_in_the_file_of_the_key(source, tmp_path, place):
    with pytest.raises(ConfigError, match="keep"):
        convert(source, subject_table=tmp_path / place)
    assert not (tmp_path / "corpus").exists()


def test_what_others_can_read_is_refused(source, tmp_path):
    table = tmp_path / "people.parquet"
    convert(source, subject_table=table)
    os.chmod(table, 0o640)
    for opened in (lambda: find_subjects(table, PEOPLE[0]), lambda: convert(source, "again", subject_table=table)):
        with pytest.raises(ConfigError, match="chmod 600"):
            opened()


def test_errors_name_nobody(source, tmp_path):
    table = tmp_path / "people.parquet"
    corpus = convert(source, subject_table=table)
    with pytest.raises(InputError, match="by name 2") as raised:
        find_subjects(table, PEOPLE[0], "Ypsilanti")
    assert not any(word in str(raised.value) for word in ("Ypsilanti", *PEOPLE))
    with pytest.raises(InputError, match="name whom"):
        find_subjects(table)
    (tmp_path / "list.csv").write_text("subject\nYpsilanti\n")
    with pytest.raises(InputError, match="nobody of") as raised:
        make_subject_table(corpus, table, identifiers=tmp_path / "list.csv")
    assert "Ypsilanti" not in str(raised.value)
    with pytest.raises(InputError, match="without which no pseudonym"):
        make_subject_table(corpus, table, identifiers=tmp_path / "list.csv", key_file=tmp_path / "none")
    with pytest.raises(ConfigError, match="--subject-table"):
        convert(source, "plain", deidentify=False, subject_table=table)
    with pytest.raises(CorpusError, match="no table of subjects"):
        (tmp_path / "other").write_bytes(b"x"), os.chmod(tmp_path / "other", 0o600), SubjectTable(tmp_path / "other")
    with pytest.raises(CorpusError, match="somebody else"):
        SubjectTable(table).add(SubjectTable(table).find(PEOPLE[:1])[0][0], "Ypsilanti")
