"""Options of DICOM PS3.15 annex E: each keeps what it names, nothing else is kept, and their codes are recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.sr.codedict import codes as dictionary

from voxtile.corpus.confidentiality import told_codes
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.stages.extract import extract_sample
from voxtile.stages.inspect.summary import summarise
from voxtile_datasets.cards.provenance import deidentification, read_runs
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom.task import DicomTask
from voxtile_medical.dicom_header.confidentiality import CLEAN_PIXELS, DEFAULT, OPTIONS, Profile

STUDY, SERIES, FRAME = "1.2.826.5.1", "1.2.826.5.2", "1.2.826.5.3"
HEADER = {
    "PatientID": "ZQ77", "PatientName": "Quintero^Xerxes", "StudyDate": "20170923", "AcquisitionDate": "20170923",
    "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "FrameOfReferenceUID": FRAME, "PatientSex": "F",
    "PatientAge": "063Y", "SeriesDescription": "Thorax lung QUINTERO", "ManufacturerModelName": "Somatom Xerxes",
    "DeviceSerialNumber": "SN-4711", "SoftwareVersions": "VB20", "StationName": "CTSTATION3", "Manufacturer": "SIEMENS",
}  # fmt: skip
DEVICE = {"model": "Somatom ___", "serial_number": "SN-4711", "software": "VB20", "station": "CTSTATION3"}
UIDS = {"study": STUDY, "series": SERIES, "frame_of_reference": FRAME}


@pytest.fixture
def converted(tmp_path, dicom, noise):
    dicom.write(tmp_path / "source", noise(3, 8, 8), **HEADER)

    def convert(name, **options):
        convert_dicom(tmp_path / "source", tmp_path / name, key_file=tmp_path / "key", engine="inline", **options)
        (row,) = Corpus(tmp_path / name).table("samples").to_pylist()
        manifest = json.loads((tmp_path / name / "manifests" / "0001.json").read_text())
        return row, json.loads(row["attributes"]), manifest

    return convert


def test_the_default_is_what_it_was_with_its_codes(converted):
    row, attributes, manifest = converted("corpus")
    assert {code["code"] for code in manifest["deidentification"]} == {"113100", "113105", "113107", "113108"}
    assert "profile" not in manifest["config"]  # jobs of before keep their ids, so that a run goes on
    assert (attributes["sex"], attributes["age_band"], attributes["described_as"]) == ("F", "60-69", ["lung"])
    assert not {"uids", "device"} & attributes.keys()
    assert row["datetime"] not in (None, "2017-09-23")


def test_basic_keeps_none_of_it(converted, tmp_path):
    row, attributes, manifest = converted("corpus", profile="basic")
    assert [code["code"] for code in manifest["deidentification"]] == ["113100"]
    assert not {"sex", "age_band", "described_as", "uids", "device"} & attributes.keys()
    assert row["datetime"] is None
    assert attributes["vendor"] == "SIEMENS"
    assert "Full Dates" not in summarise(Corpus(tmp_path / "corpus")).deidentification
    assert "dates are left out" in deidentification(read_runs(tmp_path / "corpus"))


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_keeps_what_it_names_and_nothing_else(converted, option):
    row, attributes, manifest = converted("corpus", profile=f"basic, {option}")
    kept = {name: attributes[name] for name in ("sex", "described_as", "uids", "device") if name in attributes}
    expected = {
        "patient-characteristics": {"sex": "F"},
        "clean-descriptors": {"described_as": ["lung"]},
        "uids": {"uids": UIDS},
        "device-identity": {"device": DEVICE},
    }
    assert kept == expected.get(option, {})
    assert ("age_band" in attributes) == (option == "patient-characteristics")
    if option == "full-dates":
        assert row["datetime"] == "2017-09-23"
    else:
        assert (row["datetime"] is not None) == (option == "modified-dates")
        assert row["datetime"] != "2017-09-23"
    assert [code["code"] for code in manifest["deidentification"]] == ["113100", OPTIONS[option].value]


def test_what_is_kept_of_the_weight_behind_an_suv():
    suv = {"type": "BW", "units": "BQML", "weight_kg": 70.5, "dose_bq": 3e8, "factor": 0.1, "half_life_s": 6586.2}
    assert Profile.of("basic").kept({"suv": suv}) == {"suv": {"type": "BW", "units": "BQML", "half_life_s": 6586.2}}
    assert Profile.of("patient-characteristics").kept({"suv": suv}) == {"suv": suv}


def test_codes_reach_the_page_the_card_and_the_files(converted, tmp_path):
    converted("corpus", profile="full-dates,uids")
    told = told_codes(Profile.of("full-dates,uids").codes)
    assert "Retain UIDs Option (113110)" in told
    assert told in summarise(Corpus(tmp_path / "corpus")).deidentification
    card = deidentification(read_runs(tmp_path / "corpus"))
    assert told in card
    assert "dates are those of the headers" in card
    (uid,) = Corpus(tmp_path / "corpus").table("samples")["uid"].to_pylist()
    extract_sample(tmp_path / "corpus", uid, to="dicom", out=tmp_path / "series")
    dataset = pydicom.dcmread(tmp_path / "series" / "0001.dcm")
    codes = [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113106", "113110"]
    assert (dataset.LongitudinalTemporalInformationModified, dataset.StudyDate) == ("UNMODIFIED", "20170923")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profile": "basic,faces"}, "no option 'faces'"),
        ({"profile": ""}, "no option ''"),
        ({"profile": "full-dates,modified-dates"}, "exclude each other"),
        ({"profile": "basic", "deidentify": False}, "leave --no-deidentify out"),
        ({"profile": "full-dates", "surrogates": True}, "leave one out"),
    ],
)
def test_profiles_that_cannot_be_are_one_sentence(tmp_path, dicom, noise, options, says):
    dicom.write(tmp_path / "source", noise(3, 8, 8))
    with pytest.raises(ConfigError, match=says) as raised:
        convert_dicom(tmp_path / "source", tmp_path / "corpus", engine="inline", **options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "corpus").exists()


def test_the_names_of_options_are_those_of_the_standard():
    found = [getattr(dictionary.cid7050, name) for name in dictionary.cid7050.dir()]
    meanings = {code.value: code.meaning for code in found}
    for code in Profile.of(",".join(OPTIONS.keys() - {"full-dates"})).codes:
        assert meanings[code.value] == code.meaning
    assert meanings[CLEAN_PIXELS.value] == CLEAN_PIXELS.meaning
    assert Profile.of(DEFAULT).is_default
    task = DicomTask(Path(), find_text="blank")
    assert CLEAN_PIXELS in task.confidentiality_codes
    assert CLEAN_PIXELS not in replace(task, find_text="no").confidentiality_codes
    assert replace(task, deidentify=False).confidentiality_codes == ()
