"""`--replace-reports`: texts of a corrected table in the place of those stored, and nothing left of the old ones."""

import nibabel as nib
import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.stages.verify.corpus import verify

RIGHT, LEFT, CLEAR = "There is a nodule in the right lung.", "There is a nodule in the left lung.", "No effusion."
FIRST, CORRECTED = {"a": RIGHT, "b": CLEAR}, {"a": LEFT}


@pytest.fixture
def corpus(tmp_path):
    """Two scans with a report each, and one without."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abc"):
        values = np.random.default_rng(number).integers(-1000, 1000, (5, 4, 3)).astype(np.int16)
        nib.save(nib.Nifti1Image(values, np.diag([-2.0, 2.0, 3.0, 1.0])), tmp_path / f"in/{name}.nii.gz")
    assert convert(tmp_path / "corpus", FIRST) == 0
    return tmp_path / "corpus"


def convert(corpus, reports, *words):
    table = corpus.parent / "reports.csv"
    table.write_text("subject,text\n" + "".join(f"{subject},{text}\n" for subject, text in reports.items()))
    command = ["convert", "nifti", corpus.parent / "in", corpus, "--modality", "CT", "--reports", table]
    return main([str(word) for word in (*command, "--engine", "inline", *words)])


def texts(corpus):
    return sorted(row["text"] for row in Corpus(corpus).table("captions").to_pylist())


def test_texts_of_the_table_stand_in_the_place_of_the_old_ones(corpus, capsys):
    before = [row["uid"] for row in Corpus(corpus).table("samples").to_pylist()]
    assert convert(corpus, CORRECTED) == 0
    assert texts(corpus) == sorted([RIGHT, CLEAR])
    assert convert(corpus, CORRECTED, "--replace-reports", "--dry-run") == 0
    assert texts(corpus) == sorted([RIGHT, CLEAR])
    for table, found in ((CORRECTED, LEFT), (FIRST, RIGHT), (CORRECTED, LEFT)):  # and back, though that run was done
        capsys.readouterr()
        assert convert(corpus, table, "--replace-reports") == 0
        assert texts(corpus) == sorted([found, CLEAR])
        assert "report texts of 1 samples are replaced" in capsys.readouterr().err
    assert convert(corpus, CORRECTED, "--replace-reports") == 0
    assert "replaced" not in capsys.readouterr().err
    assert [row["uid"] for row in Corpus(corpus).table("samples").to_pylist()] == before
    assert not verify(corpus).problems


def test_of_a_packed_corpus_too(corpus):
    assert main(["compact", str(corpus)]) == 0
    assert convert(corpus, CORRECTED, "--replace-reports") == 0
    assert main(["compact", str(corpus)]) == 0
    assert texts(corpus) == sorted([LEFT, CLEAR])
    assert not verify(corpus).problems


def test_facts_of_an_old_text_are_taken_back_first(corpus, capsys):
    assert main(["facts", str(corpus), "--from", "reports", "--engine", "inline"]) == 0
    assert convert(corpus, CORRECTED, "--replace-reports") == 2
    assert f"voxtile retract {corpus} --stage reports" in " ".join(capsys.readouterr().err.split())
    assert texts(corpus) == sorted([RIGHT, CLEAR])
    assert main(["retract", str(corpus), "--stage", "reports"]) == 0
    assert convert(corpus, CORRECTED, "--replace-reports") == 0
    assert main(["facts", str(corpus), "--from", "reports", "--engine", "inline"]) == 0
    facts = [row for row in Corpus(corpus).table("facts").to_pylist() if row["concept"] == "pulmonary_nodule"]
    assert ["left" in row["attributes"] for row in facts] == [True]


def test_rows_about_an_old_text_are_taken_back_first(corpus, capsys):
    (old,) = [row for row in Corpus(corpus).table("captions").to_pylist() if row["text"] == RIGHT]
    rewrite = {
        "caption_id": "1" * 32,
        "uid": old["uid"],
        "text": "A nodule.",
        "kind": "rewrite",
        "parents": [old["caption_id"]],
    }
    append_rows(corpus, "captions", "rewrite-0000", [rewrite])
    assert convert(corpus, CORRECTED, "--replace-reports") == 2
    assert "have been read by rewrite;" in " ".join(capsys.readouterr().err.split())
    assert convert(corpus, {"b": "Large effusion."}, "--replace-reports") == 0
    assert texts(corpus) == sorted(["A nodule.", RIGHT, "Large effusion."])


def test_without_a_table_there_is_nothing_to_replace_by(corpus, capsys):
    command = ["convert", "nifti", str(corpus.parent / "in"), str(corpus), "--replace-reports"]
    assert main(command) == 2
    assert "give the corrected table" in capsys.readouterr().err
