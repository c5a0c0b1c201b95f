"""A de-identified corpus grows with its own key alone: another one would store all patients once more, as others."""

import shutil

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile_datasets.converters.image import convert_image
from voxtile_medical.convert.dicom import convert_dicom


@pytest.fixture
def converted(tmp_path, dicom, noise):
    dicom.write(tmp_path / "scans", noise(3, 8, 8))
    convert_dicom(tmp_path / "scans", tmp_path / "corpus", engine="inline")
    return tmp_path / "scans", tmp_path / "corpus", tmp_path / "corpus.sources.parquet"


def test_without_its_key_a_corpus_takes_nothing_in_and_no_new_key_is_made(converted, tmp_path):
    scans, corpus, key = converted
    vault = shutil.move(key, tmp_path / "vault.parquet")
    with pytest.raises(ConfigError, match=r"is not at .*; name it with --key-file, or convert into a new corpus"):
        convert_dicom(scans, corpus, engine="inline")
    assert not key.exists()
    convert_dicom(scans, corpus, engine="inline", key_file=vault)
    assert len(Corpus(corpus).table("samples")) == 1


def test_the_key_of_another_corpus_is_refused(converted, tmp_path):
    scans, corpus, _ = converted
    other = tmp_path / "other.parquet"
    KeyMap(other).save()
    with pytest.raises(ConfigError, match=r"other\.parquet' is not the key"):
        convert_dicom(scans, corpus, engine="inline", key_file=other)
    assert len(Corpus(corpus).table("samples")) == 1


def test_a_forgotten_patient_does_not_come_back_under_another_name(tmp_path, dicom, noise):
    for number in range(2):
        uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.3.{number}"}
        dicom.write(tmp_path / "scans" / str(number), noise(3, 8, 8, seed=number), PatientID=f"p{number}", **uids)
    corpus = tmp_path / "corpus"
    convert_dicom(tmp_path / "scans", corpus, engine="inline")
    assert main(["forget", str(corpus), "--subject", "p0"]) == 0
    (tmp_path / "corpus.sources.parquet").unlink()
    assert main(["convert", "dicom", str(tmp_path / "scans"), str(corpus), "--engine", "inline"]) == 2
    assert len(Corpus(corpus).table("samples")) == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_forgotten_patient_does_not_come_back_under_the_other_kind_of_name(tmp_path, dicom, noise, first):
    for number in range(2):
        uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.3.{number}"}
        dicom.write(tmp_path / "scans" / str(number), noise(3, 8, 8, seed=number), PatientID=f"p{number}", **uids)
    corpus = tmp_path / "corpus"
    convert_dicom(tmp_path / "scans", corpus, engine="inline", deidentify=first)
    assert main(["forget", str(corpus), "--subject", "p0"]) == 0
    with pytest.raises(ConfigError, match="a subject that the corpus has forgotten under another name"):
        convert_dicom(tmp_path / "scans" / "0", corpus, engine="inline", deidentify=not first)
    assert len(Corpus(corpus).table("samples")) == 1


def test_pictures_too(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "in" / "a.png")
    convert_image(tmp_path / "in", tmp_path / "corpus", deidentify=True, engine="inline")
    (tmp_path / "corpus.sources.parquet").unlink()
    with pytest.raises(ConfigError, match="is not at"):
        convert_image(tmp_path / "in", tmp_path / "corpus", deidentify=True, engine="inline")


@pytest.mark.parametrize("first", [True, False])
def test_the_same_files_are_not_stored_a_second_time_under_the_other_kind_of_name(tmp_path, dicom, noise, first):
    dicom.write(tmp_path / "scans", noise(3, 8, 8))
    dicom.write(tmp_path / "others" / "elsewhere", noise(3, 8, 8, seed=1), PatientID="p9", SeriesInstanceUID="1.2.9")
    corpus = tmp_path / "corpus"
    convert_dicom(tmp_path / "scans", corpus, engine="inline", deidentify=first)
    with pytest.raises(ConfigError, match=r"the corpus has 1 of these inputs already, .* have each patient twice"):
        convert_dicom(tmp_path / "scans", corpus, engine="inline", deidentify=not first)
    assert len(Corpus(corpus).table("samples")) == 1
    convert_dicom(tmp_path / "others", corpus, engine="inline", deidentify=not first)  # public scans beside own ones
    assert len(Corpus(corpus).table("samples")) == 2


def test_without_its_key_nothing_in_the_clear_comes_beside_hashed_names(converted):
    scans, corpus, key = converted
    key.unlink()
    with pytest.raises(ConfigError, match="is not at"):
        convert_dicom(scans, corpus, engine="inline", deidentify=False)
    assert len(Corpus(corpus).table("samples")) == 1


def test_names_of_all_parts_count_not_those_of_the_first_alone(tmp_path, dicom, noise):
    corpus = tmp_path / "corpus"
    for number in range(2):
        uids = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.3.{number}", "PatientID": f"p{number}"}
        folder = tmp_path / "scans" / str(number) / f"site{number}"
        dicom.write(folder, noise(3, 8, 8, seed=number), **uids)
        convert_dicom(folder.parent, corpus, engine="inline", deidentify=False)
    for number in range(2):
        with pytest.raises(ConfigError, match="in the clear"):
            convert_dicom(tmp_path / "scans" / str(number), corpus, engine="inline")


@pytest.mark.parametrize("first", [True, False])
def test_pictures_are_not_named_in_both_ways(tmp_path, first):
    (tmp_path / "in" / "mrs_doe").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "in" / "mrs_doe" / "a.png")
    corpus = tmp_path / "corpus"
    convert_image(tmp_path / "in", corpus, deidentify=first, engine="inline")
    with pytest.raises(ConfigError, match="has 1 of these inputs already"):
        convert_image(tmp_path / "in", corpus, deidentify=not first, engine="inline")
    assert Corpus(corpus).table("samples").num_rows == 1
    if first:
        assert not [path for path in corpus.rglob("*") if path.is_file() and b"mrs_doe" in path.read_bytes()]
