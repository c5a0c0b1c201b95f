"""`extract --to dicom-sr|dicom-seg --originals`: results never go into the study of another patient."""

import json
import shutil

import pydicom
import pytest

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.errors import InputError
from voxtile.stages.extract import extract_sample

INLINE = ("--engine", "inline")


@pytest.fixture
def archive(tmp_path, dicom, noise):
    """Three patients with series of one size, converted, and a finding of each."""
    for number in range(3):
        uids = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.3.3.{number}"}
        dicom.write(tmp_path / "scans" / str(number), noise(4, 8, 8, seed=number), PatientID=f"p{number}", **uids)
    corpus = tmp_path / "corpus"
    assert main(["convert", "dicom", str(tmp_path / "scans"), str(corpus), *INLINE]) == 0
    rows = Corpus(corpus).table("samples").to_pylist()
    finding = {"concept": "pleural effusion", "polarity": "present", "source": "reports@1"}
    append_rows(corpus, "facts", "found", [{"uid": row["uid"], **finding} for row in rows])
    keys = KeyMap.for_corpus(corpus)
    samples = {keys.path_of(row["source"]).split("/")[0]: row["uid"] for row in rows}
    return corpus, tmp_path / "scans", samples


@pytest.mark.parametrize("key", ["there", "away"])
def test_another_patients_series_of_the_same_size_is_refused_and_the_own_one_found(archive, tmp_path, key):
    corpus, scans, samples = archive
    if key == "away":
        shutil.move(corpus.with_name("corpus.sources.parquet"), tmp_path / "vault.parquet")
    out = tmp_path / "sr.dcm"
    with pytest.raises(InputError, match=r"1 series of 4 × 8 × 8 voxels, of which 0 have the pixels"):
        extract_sample(corpus, samples["0"], to="dicom-sr", out=out, originals=scans / "1")
    assert not out.exists()
    for folder in (scans / "0", scans):
        extract_sample(corpus, samples["0"], to="dicom-sr", out=out, originals=folder)
        report = pydicom.dcmread(out)
        assert (report.PatientID, report.StudyInstanceUID) == ("p0", "1.2.3.0")
        out.unlink()


def test_pixels_that_were_changed_are_known_by_the_key_alone(archive, tmp_path):
    corpus, scans, samples = archive
    for path in (scans / "0").rglob("*.dcm"):
        changed = pydicom.dcmread(path)
        changed.PixelData = bytes(len(changed.PixelData))
        changed.save_as(path)
    extract_sample(corpus, samples["0"], to="dicom-sr", out=tmp_path / "sr.dcm", originals=scans / "0")
    shutil.move(corpus.with_name("corpus.sources.parquet"), tmp_path / "vault.parquet")
    with pytest.raises(InputError, match="have the key map beside the corpus"):
        extract_sample(corpus, samples["0"], to="dicom-sr", out=tmp_path / "again.dcm", originals=scans / "0")


@pytest.fixture
def films(tmp_path):
    """Three radiographs of a size, of which two are of one series, converted, and a finding of each."""
    assert main(["phantom", "cxr", str(tmp_path / "phantom"), "--n", "3", "--seed", "8"]) == 0
    first, second, third = sorted((tmp_path / "phantom" / "dicom").glob("*.dcm"))
    lateral = pydicom.dcmread(first)
    lateral.SOPInstanceUID = lateral.file_meta.MediaStorageSOPInstanceUID = f"{lateral.SOPInstanceUID}.2"
    lateral.PhotometricInterpretation, lateral.PixelData = "MONOCHROME1", (lateral.pixel_array // 2).tobytes()
    lateral.save_as(second)
    corpus = tmp_path / "films"
    assert main(["convert", "dicom", str(first.parent), str(corpus), *INLINE]) == 0
    rows = Corpus(corpus).table("samples").to_pylist()
    finding = {"concept": "pneumothorax", "polarity": "present", "source": "reports@1"}
    append_rows(corpus, "facts", "found", [{"uid": row["uid"], **finding} for row in rows])
    keys = KeyMap.for_corpus(corpus)
    marks = {keys.hash("instance", pydicom.dcmread(path).SOPInstanceUID): path for path in (first, second, third)}
    return corpus, {marks[json.loads(row["attributes"])["instance"]]: row["uid"] for row in rows}


def test_a_report_of_a_radiograph_refers_to_that_picture_alone(films, tmp_path):
    corpus, samples = films
    assert len(samples) == 3
    for path, uid in samples.items():
        out = tmp_path / f"{uid}.dcm"
        extract_sample(corpus, uid, to="dicom-sr", out=out, originals=path.parent)
        report, film = pydicom.dcmread(out), pydicom.dcmread(path)
        [series] = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [film.SOPInstanceUID]
        assert (report.PatientID, report.StudyInstanceUID) == (film.PatientID, film.StudyInstanceUID)


def test_another_patients_radiograph_is_refused(films, tmp_path):
    corpus, samples = films
    (first, uid), *others = sorted(samples.items())
    first.unlink()
    with pytest.raises(InputError, match=r"2 pictures of 64 × 88 pixels, of which 0 .* of the one picture"):
        extract_sample(corpus, uid, to="dicom-sr", out=tmp_path / "sr.dcm", originals=others[0][0].parent)
