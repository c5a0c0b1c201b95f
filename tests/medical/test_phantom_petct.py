"""The PET/CT phantom: files that SimpleITK and we read alike, SUV as painted, reports that name what is there."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from voxtile.errors import InputError
from voxtile_medical.phantom.petct.command import write_petct_phantom
from voxtile_medical.phantom.petct.dicom import PET_SERIES_NUMBER
from voxtile_medical.phantom.petct.lesions import CONCEPTS, PLACES, draw_states
from voxtile_medical.phantom.petct.study import CT_SERIES_NUMBER
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import LEXICON, load_lexicon
from voxtile_medical.suv.compute import suv_of
from voxtile_medical.suv.header import read_pet_header

N, SEED = 5, 31


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "petct"
    write_petct_phantom(out, n=N, seed=SEED, workers=1)
    return out


@pytest.fixture(scope="module")
def truth(phantom):
    return json.loads((phantom / "truth.json").read_text())["studies"]


def pet_of(phantom, number):
    """SUV [Z, Y, X] by SimpleITK's rescaling and ours of the header, and the image (LPS)."""
    folder = phantom / "dicom" / f"{number:05d}" / "pt"
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(list(files), sitk.sitkFloat64)
    headers = [read_pet_header(path) for path in sorted(folder.iterdir())]
    return sitk.GetArrayFromImage(image) * suv_of(headers, "BW").factors[0], image


def test_pet_is_in_bqml_on_a_grid_of_its_own(phantom, truth):
    for study in truth:
        folder = phantom / "dicom" / f"{study['number']:05d}"
        pet = pydicom.dcmread(next((folder / "pt").iterdir()))
        ct = pydicom.dcmread(next((folder / "ct").iterdir()))
        assert (pet.Units, pet.DecayCorrection, int(pet.SeriesNumber)) == ("BQML", "START", PET_SERIES_NUMBER)
        assert int(ct.SeriesNumber) == CT_SERIES_NUMBER
        assert pet.StudyInstanceUID == ct.StudyInstanceUID == study["study"]
        assert pet.FrameOfReferenceUID == ct.FrameOfReferenceUID
        assert [float(v) for v in pet.PixelSpacing] != study["ct"]["spacing_mm"][1:]


def test_the_suv_of_each_lesion_is_that_of_the_truth_on_the_image_that_it_names(phantom, truth):
    seen = 0
    for study in truth:
        suv, image = pet_of(phantom, study["number"])
        factor = study["bqml_per_suv"]
        assert factor == pytest.approx(
            study["dose_bq"] * 2 ** (-study["uptake_s"] / 6586.2) / (study["weight_kg"] * 1000), rel=1e-12
        )
        folder = phantom / "dicom" / f"{study['number']:05d}" / "pt"
        heights = {
            int(d.InstanceNumber): float(d.ImagePositionPatient[2]) for d in map(pydicom.dcmread, folder.iterdir())
        }
        for lesion in study["lesions"]:
            if lesion["suvmax"] is None:
                continue
            z = round((heights[lesion["pet_image"]] - image.GetOrigin()[2]) / image.GetSpacing()[2])
            x, y, _ = image.TransformPhysicalPointToIndex(lesion["centre_mm"])
            around = suv[z, max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
            assert np.abs(around - lesion["suvmax"]).min() < 0.01
            assert lesion["suvmax"] == pytest.approx(lesion["suv_painted"], rel=0.25)
            seen += 1
    assert seen >= 4


def test_labels_are_the_lesions_and_reports_say_nothing_else(phantom, truth):
    with (phantom / "labels.csv").open(newline="") as file:
        labels = {row["study"]: row for row in csv.DictReader(file)}
    with (phantom / "reports.csv").open(newline="") as file:
        reports = {row["study"]: row["text"] for row in csv.DictReader(file)}
    lexicon = load_lexicon(LEXICON.parent / "petct.yaml")
    assert set(lexicon.concepts) == set(CONCEPTS)
    for study in truth:
        row = labels[study["study"]]
        present = {lesion["concept"] for lesion in study["lesions"]} & set(CONCEPTS)
        assert {c for c in CONCEPTS if row[c] == "1"} == present
        said = {fact.concept: fact.polarity for fact in read_report(reports[study["study"]], lexicon).facts}
        assert {c for c, polarity in said.items() if polarity == "present"} == present
        assert not {c for c, polarity in said.items() if polarity == "absent"} & present


def test_what_ct_shows_says_nothing_of_uptake():
    # Each place is avid as often as cold, and PET-only as often: neither picture alone can tell them apart.
    draws = [draw_states(np.random.default_rng(seed)) for seed in range(3000)]
    for place in PLACES:
        counts = np.array([sum(states[place.name] == s for states in draws) for s in ("avid", "cold", "uptake")])
        assert np.abs(counts / 3000 - 0.23).max() < 0.03


def test_the_same_seed_gives_the_same_bytes_and_another_other_patients(phantom, tmp_path):
    def digests(folder):
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file() and "README" not in path.name
        }  # fmt: skip

    write_petct_phantom(tmp_path / "again", n=2, seed=SEED, workers=2)
    again, first = digests(tmp_path / "again"), digests(phantom)
    dicom = [name for name in again if name.startswith("dicom/")]
    assert len(dicom) > 80
    assert all(again[name] == first[name] for name in dicom)
    write_petct_phantom(tmp_path / "other", n=1, seed=SEED + 1, workers=1)
    assert not set(digests(tmp_path / "other").values()) & set(first.values())


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(InputError, match="--n between 1 and 99999"):
        write_petct_phantom(tmp_path / "x", n=0)
    with pytest.raises(InputError, match="negative"):
        write_petct_phantom(tmp_path / "x", seed=-1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        write_petct_phantom(tmp_path / "full", n=1)


def test_segmentations_outline_the_lesions_of_the_truth_by_name(phantom, truth):
    seen = 0
    for study in truth:
        path = phantom / "segmentations" / f"{study['number']:05d}.dcm"
        names = {int(s.SegmentNumber): s.SegmentLabel for s in pydicom.dcmread(path).SegmentSequence}
        [ct] = (phantom / "dicom" / f"{study['number']:05d}" / "ct").iterdir()
        labels, image = pydicom.dcmread(path).pixel_array, sitk.ReadImage(str(ct))
        # Frames lie as the CT's, whatever its order of slices, rows and columns.
        assert labels.shape == image.GetSize()[::-1]
        wanted = {f"{x['side']}_{x['concept']}" if x["side"] else x["concept"] for x in study["lesions"]}
        assert {names[number] for number in np.unique(labels) if number} == wanted
        for lesion in study["lesions"]:
            x, y, z = image.TransformPhysicalPointToIndex(lesion["centre_mm"])
            name = f"{lesion['side']}_{lesion['concept']}" if lesion["side"] else lesion["concept"]
            assert names[int(labels[z, y, x])] == name
            seen += 1
    assert seen >= 8
