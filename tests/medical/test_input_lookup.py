"""Which file a row of a de-identified corpus is: `voxtile inspect CORPUS NAME`, by the key map."""

import json
import re

import pytest

from voxtile.cli.main import main


@pytest.fixture
def corpus(tmp_path, dicom, noise, capsys):
    """A series, and one whose second plane is cut off."""
    dicom.write(tmp_path / "export" / "Doe, Jane", noise(4, 8, 8), PatientID="1")
    dicom.write(tmp_path / "export" / "Roe, Ann", noise(4, 8, 8, seed=1), PatientID="2", SeriesInstanceUID="1.2.9")
    cut = sorted((tmp_path / "export" / "Roe, Ann").rglob("*.dcm"))[1]
    cut.write_bytes(cut.read_bytes()[:300])
    corpus = tmp_path / "the corpus"
    assert main(["convert", "dicom", str(tmp_path / "export"), str(corpus), "--engine", "inline"]) == 1
    return corpus, capsys.readouterr().out, cut.relative_to(tmp_path / "export").as_posix()


def test_a_failed_file_is_found_by_the_name_in_the_sentence(corpus, capsys):
    corpus, said, path = corpus
    name = re.search(r"^failed: ([0-9a-f]{32}): ", said, re.MULTILINE)[1]
    assert f"which file such a name stands for: voxtile inspect '{corpus}' {name}" in " ".join(said.split())
    assert path not in said
    assert main(["inspect", str(corpus), name]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{name} is '{path}'" in told
    assert "failed" in told
    assert "truncated" in told
    assert main(["inspect", str(corpus), name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["path"], shown["ledger"][0]["reason"]) == (path, "truncated")


def test_without_the_key_nobody_learns_the_path(corpus, capsys):
    corpus, said, path = corpus
    name = re.search(r"^failed: ([0-9a-f]{32}): ", said, re.MULTILINE)[1]
    keys = corpus.with_name("the corpus.sources.parquet")
    elsewhere = keys.rename(keys.with_name("vault.parquet"))
    assert main(["inspect", str(corpus), name]) == 0
    told = capsys.readouterr().out
    assert "its path stands in the key map, which is not here" in told
    assert path not in told
    assert not keys.exists()
    assert main(["inspect", str(corpus), name, "--key-file", str(elsewhere)]) == 0
    assert path in " ".join(capsys.readouterr().out.split())


def test_what_is_neither_a_sample_nor_an_input_is_said(corpus, capsys):
    corpus, _, _ = corpus
    assert main(["inspect", str(corpus), "0" * 32]) == 2
    assert "no sample has the uid" in capsys.readouterr().err
