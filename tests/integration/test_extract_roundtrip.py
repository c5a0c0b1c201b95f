"""An extracted DICOM series, converted again, is the same volume at the same place under the same kind of row."""

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.stages.extract import extract_sample
from voxtile_medical.convert.dicom import convert_dicom


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_dicom_out_and_in_again(tmp_path, angle):
    new_corpus(tmp_path / "a")
    writer = JobWriter(tmp_path / "a", "job-1")
    array = np.random.default_rng(0).integers(-1024, 3000, (6, 20, 14)).astype(np.int16)
    affine = np.eye(4)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn * np.array([0.7, 0.9, 2.5])
    affine[:3, 3] = -20.25, 11.5, 300.125
    channel = {"name": "CT", "unit": "HU", "scale": 1.0, "offset": -24.0}
    row = {"uid": "u", "subject": "p", "study": "s", "kind": "volume", "modality": "CT", "units": "HU", "axes": "ZYX"}
    writer.add(Sample(row | {"affine": affine.ravel().tolist(), "channels": [channel]}, array))
    writer.publish()
    extract_sample(tmp_path / "a", "u", to="dicom", out=tmp_path / "series")
    convert_dicom(tmp_path / "series", tmp_path / "b", workers=1)
    corpus = Corpus(tmp_path / "b")
    again = corpus.table("samples").to_pylist()[0]
    np.testing.assert_array_equal(corpus.source(again).array(), array)
    np.testing.assert_allclose(np.reshape(again["affine"], (4, 4)), affine, atol=1e-4)
    assert (again["units"], again["modality"], again["channels"][0]["offset"]) == ("HU", "CT", -24.0)
