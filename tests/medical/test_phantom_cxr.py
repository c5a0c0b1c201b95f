"""The chest X-ray phantom: valid DICOM, rays by Beer and Lambert, findings where the truth says, true reports."""

import csv
import json

import numpy as np
import pydicom
import pytest
from highdicom._standard_utils import check_required_attributes, get_iod_module_map, get_sop_class_iod_map

from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.phantom.cxr.command import write_cxr_phantom
from voxtile_medical.phantom.cxr.film import BITS, COLUMNS, CONCEPTS, ROWS, expose, line_integrals
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

N, SEED = 16, 12


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "cxr"
    write_cxr_phantom(out, n=N, seed=SEED, workers=1)
    return out


@pytest.fixture(scope="module")
def truth(phantom):
    return json.loads((phantom / "truth.json").read_text())["studies"]


@pytest.fixture(scope="module")
def films(phantom):
    return [pydicom.dcmread(phantom / "dicom" / f"{number:05d}.dcm") for number in range(N)]


def shown(film):
    """[Y, X] with dense bodies bright, however it is stored."""
    values = film.pixel_array.astype(float)
    return 2**BITS - 1 - values if film.PhotometricInterpretation == "MONOCHROME1" else values


def test_rays_are_weakened_by_what_they_cross():
    volume = np.full((48, 64, 88), -1000.0, np.float32)
    volume[20:, 10:30] = 0  # water, 20 voxels of 5 mm thick
    volume[20:, 40:42, 50:] = 1000  # twice as dense, 10 mm
    seen = line_integrals(volume, (7.5, 5.0, 5.0))
    assert seen.shape == (ROWS, COLUMNS)
    # NIST XCOM, water at 60 keV: 0.2059 cm²/g. The top 28 slices of 7.5 mm are 42 rows of 5 mm.
    np.testing.assert_allclose(seen[:40, :50], 0.2059 * 10, rtol=1e-5)
    np.testing.assert_allclose(seen[:40, 50:], 0.2059 * (10 + 2), rtol=1e-5)
    np.testing.assert_allclose(seen[44:], 0, atol=1e-6)
    assert 0 < seen[41, 0] < 0.2059 * 10  # between two slices


def test_every_file_has_what_its_iod_requires(films):
    for film in films[:4]:
        for module in get_iod_module_map()[get_sop_class_iod_map()[film.SOPClassUID]]:
            if module["usage"] == "M":
                check_required_attributes(film, module["key"])
    uids = {(film.StudyInstanceUID, film.PatientID, film.SOPInstanceUID) for film in films}
    assert len({uid for triple in uids for uid in triple}) == 3 * N


def test_findings_lie_where_the_truth_says_with_the_left_of_the_patient_on_the_right(films, truth):
    assert {film.PhotometricInterpretation for film in films} == {"MONOCHROME1", "MONOCHROME2"}
    brighter, sides = [], []
    for film, case in zip(films, truth, strict=True):
        picture = shown(film)
        assert picture[:20, :2].mean() < picture[-10:, 30:60].mean()  # air beside the neck is dark, the belly bright
        for finding in case["findings"]:
            row, column = finding["centre_px"]
            if finding["side"]:
                sides.append((finding["side"] == "left") == (column > COLUMNS / 2))
            if finding["concept"] == "pulmonary_nodule":
                y, x = np.ogrid[:ROWS, :COLUMNS]
                away = np.hypot(y - row, x - column) * case["spacing_mm"] / finding["size_mm"]  # in diameters
                brighter.append(picture[away < 0.3].mean() > picture[(away > 0.55) & (away < 0.8)].mean())
    assert len(brighter) > 4
    assert np.mean(brighter) > 0.7  # behind the heart some are hidden
    assert np.mean(sides) > 0.9


def test_reports_state_nothing_that_is_not_there_and_deny_nothing_that_is(phantom, truth):
    lexicon = load_lexicon()
    rows = list(csv.DictReader((phantom / "reports.csv").open()))
    labels = list(csv.DictReader((phantom / "labels.csv").open()))
    assert [row["study"] for row in rows] == [case["study"] for case in truth]
    said = 0
    for row, label, case in zip(rows, labels, truth, strict=True):
        there = {concept for concept in CONCEPTS if label[concept] == "1"}
        assert there == {finding["concept"] for finding in case["findings"]}
        facts = [fact for fact in read_report(row["text"], lexicon).facts if fact.concept in CONCEPTS]
        assert {fact.concept for fact in facts if fact.polarity == "present"} <= there
        assert not {fact.concept for fact in facts if fact.polarity == "absent"} & there
        said += len({fact.concept for fact in facts if fact.polarity == "present"})
    assert said > 0.8 * sum(len({f["concept"] for f in case["findings"]}) for case in truth)


def test_one_seed_is_one_set_and_another_is_not(phantom, tmp_path):
    write_cxr_phantom(tmp_path / "again", n=3, seed=SEED, workers=2)
    write_cxr_phantom(tmp_path / "other", n=3, seed=SEED + 1, workers=1)
    for number in range(3):
        name = f"dicom/{number:05d}.dcm"
        assert (tmp_path / "again" / name).read_bytes() == (phantom / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (phantom / name).read_bytes()
    assert expose(SEED, 0, dict.fromkeys(CONCEPTS, False)).findings == ()


def test_it_is_converted_the_right_way_round(phantom, tmp_path):
    convert_dicom(phantom / "dicom", tmp_path / "corpus", reports=phantom / "reports.csv", engine="inline")
    corpus = Corpus(tmp_path / "corpus")
    rows = corpus.table("samples", with_root=True).to_pylist()
    assert [(row["modality"], row["axes"], row["shape"]) for row in rows] == [("DX", "YX", [ROWS, COLUMNS])] * N
    assert len(corpus.table("captions")) == N
    for row in rows:
        picture = corpus.source(row).array()
        assert picture[:20, :2].mean() < picture[-10:, 30:60].mean()
