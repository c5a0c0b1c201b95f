"""Series from `extract --to dicom`: conformant by an outside validator, and plain about the patient's identity."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CorpusError
from voxtile.stages.extract import extract_sample
from voxtile_medical.convert.dicom import convert_dicom

AFFINE = np.diag([0.7, 0.9, 2.5, 1.0])
AFFINE[:3, 3] = -20.25, 11.5, 300.125
CODES = [{"code": "113100", "scheme": "DCM", "meaning": "Basic Application Confidentiality Profile"}]


def corpus_of(root, array, modality, units, *, scale=1.0, offset=0.0, deidentify=True, **row):
    new_corpus(root)
    writer = JobWriter(root, "job-1")
    channel = {"name": modality, "unit": units, "scale": scale, "offset": offset}
    row = {"subject": "5" * 32, "study": "s", "datetime": "2020-03-12", **row}
    row |= {"uid": "u", "kind": "volume", "modality": modality, "units": units, "axes": "ZYX", "channels": [channel]}
    writer.add(Sample(row | {"affine": AFFINE.ravel().tolist()}, array))
    writer.publish()
    manifest = {"files": {}, "counts": {"samples": 1}, "deidentify": deidentify, "deidentification": CODES}
    (root / "manifests").mkdir(exist_ok=True)
    (root / "manifests" / "0001.json").write_text(json.dumps(manifest))
    return root


def written(root, folder):
    extract_sample(root, "u", to="dicom", out=folder)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def noise(dtype="int16", high=3000):
    return np.random.default_rng(0).integers(0, high, (4, 20, 14)).astype(dtype)


@pytest.mark.parametrize(("modality", "units"), [("CT", "HU"), ("MR", "a.u."), ("PT", "SUVbw"), ("PT", "BQML")])
@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy of dicom3tools is not installed")
def test_an_outside_validator_finds_no_error(tmp_path, modality, units):
    root = corpus_of(tmp_path / "a", noise("float32", 12), modality, units)
    extract_sample(root, "u", to="dicom", out=tmp_path / "out")
    said = subprocess.run(["dciodvfy", "-new", tmp_path / "out" / "0001.dcm"], capture_output=True, text=True).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert {"CT": "CTImage", "MR": "MRImage", "PT": "PETImage"}[modality] in said


@pytest.mark.parametrize(("dtype", "offset"), [("int16", 0.0), ("float32", 0.0), ("int16", -7.5)])
def test_a_pet_out_and_in_again(tmp_path, dtype, offset):
    attributes = json.dumps({"corrections": ["DECY", "ATTN"], "suv": {"type": "BW", "decay_correction": "START"}})
    root = corpus_of(tmp_path / "a", noise(dtype), "PT", "SUVbw", scale=0.004, offset=offset, attributes=attributes)
    series = written(root, tmp_path / "series")
    assert {(float(s.RescaleIntercept), s.Units, s.SUVType, s.DecayCorrection) for s in series} == {
        (0.0, "GML", "BW", "START")
    }
    assert [s.ImageIndex for s in series] == [1, 2, 3, 4]
    convert_dicom(tmp_path / "series", tmp_path / "b", engine="inline")
    corpus = Corpus(tmp_path / "b")
    (again,) = corpus.table("samples").to_pylist()
    channel = again["channels"][0]
    values = corpus.source(again).array() * channel["scale"] + channel["offset"]
    step = 0.0 if (dtype, offset) == ("int16", 0.0) else float(series[0].RescaleSlope) / 2
    np.testing.assert_allclose(values, noise(dtype) * 0.004 + offset, atol=step + 1e-6)
    assert (again["units"], again["modality"]) == ("SUVbw", "PT")
    np.testing.assert_allclose(np.reshape(again["affine"], (4, 4)), AFFINE, atol=1e-4)


def test_a_pet_of_unknown_units_and_one_without_a_date(tmp_path):
    with pytest.raises(CorpusError, match=r"in 'a\.u\.', and a PET in DICOM must state its units"):
        written(corpus_of(tmp_path / "a", noise(), "PT", "a.u."), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    first = written(corpus_of(tmp_path / "b", noise(), "PT", "BQML", datetime=None), tmp_path / "y")[0]
    assert (first.SeriesDate, first.StudyDate, first.LongitudinalTemporalInformationModified) == (
        "19000101",
        "",
        "REMOVED",
    )
    assert "no date was kept" in first.DerivationDescription


def test_what_was_done_about_the_identity_is_in_every_file(tmp_path):
    root = corpus_of(tmp_path / "a", noise(), "CT", "HU")
    for dataset in written(root, tmp_path / "yes"):
        assert (dataset.PatientIdentityRemoved, dataset.PatientID) == ("YES", "5" * 32)
        assert dataset.DeidentificationMethod[0] == "voxtile: keyed hashes in place of identifiers"
        (code,) = dataset.DeidentificationMethodCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
        assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    root = corpus_of(tmp_path / "b", noise(), "CT", "HU", deidentify=False)
    (dataset, *_) = written(root, tmp_path / "no")
    assert dataset.PatientIdentityRemoved == "NO"
    assert "DeidentificationMethod" not in dataset
    root = corpus_of(tmp_path / "c", noise(), "CT", "HU", deidentify=None)
    assert "PatientIdentityRemoved" not in written(root, tmp_path / "unknown")[0]


def test_a_corpus_of_two_kinds_of_runs_says_what_the_samples_own_run_did(tmp_path):
    root = corpus_of(tmp_path / "a", noise(), "CT", "HU")
    other = {"files": {}, "counts": {"samples": 1}, "deidentify": False}
    (root / "manifests" / "0002.json").write_text(json.dumps(other))
    assert written(root, tmp_path / "x")[0].PatientIdentityRemoved == "NO"
    shard = Corpus(root).row("u")["shard"]
    manifest = {**other, "files": {shard: {"sha256": "0", "bytes": 1}}, "deidentify": True}
    (root / "manifests" / "0003.json").write_text(json.dumps(manifest))
    assert written(root, tmp_path / "y")[0].PatientIdentityRemoved == "YES"
