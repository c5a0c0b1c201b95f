"""HU are claimed where the file proves it: by its words, and by where air, fat and water lie."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage
from scipy.signal import find_peaks
from tests.medical.test_dicom_pixels import enhanced
from tests.medical.test_film_sign import RISING, table

from voxtile_medical.dicom_planes.ct_numbers import ct_numbers, prominences
from voxtile_medical.dicom_planes.stored import Scale

MODELS = "medical/totalseg_ct_mr_labels/example_ct_dicom"


def body(*, air=-1000.0, seed=0):
    """[12, 64, 64] HU of a round body of soft tissue in a ring of fat, with a bone and a lung, in air."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(x, y)
    plane = np.select(
        [radius > 0.85, radius > 0.6, np.hypot(x - 0.3, y) < 0.12, np.hypot(x + 0.25, y) < 0.2],
        [air, -100.0, 700.0, -850.0],
        45.0,
    )
    return np.rint(plane + rng.normal(0, 12, (12, 64, 64)))


def write_ct(dicom, folder, values, *, slope=1, intercept=-1024, stored_as=-1024, dtype="int16", **elements):
    """A CT whose pixels were made with one intercept, and whose header says another."""
    stored = ((values - stored_as) / slope).astype(dtype)
    dicom.write(folder, stored, RescaleSlope=slope, RescaleIntercept=intercept, **elements)


def converted(dicom, folder):
    (outcome,) = dicom.convert(folder).outcomes
    (sample,) = outcome.samples
    return sample.row["units"], json.loads(sample.row["attributes"]), [part.reason for part in outcome.parts]


@pytest.mark.parametrize("rescale_type", [None, "HU"])
@pytest.mark.parametrize("slope", [1, 2])
def test_a_ct_is_hu_and_says_where_air_fat_and_water_are(tmp_path, dicom, rescale_type, slope):
    write_ct(dicom, tmp_path, body(), slope=slope, RescaleType=rescale_type)
    units, attributes, parts = converted(dicom, tmp_path)
    assert (units, parts) == ("HU", [])
    found = attributes["ct_numbers"]
    assert sorted(found) == ["air", "fat", "water"]
    assert [found[name] for name in ("air", "fat", "water")] == pytest.approx([-1000, -100, 45], abs=6)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_values_behind_a_table_are_not_taken_for_measured_ones(tmp_path, dicom, noise, modality):
    elements = {"Modality": modality, "ModalityLUTSequence": table(RISING), "RescaleSlope": None}
    dicom.write(tmp_path, noise(4, 6, 7), RescaleIntercept=None, **elements)
    assert dicom.convert(tmp_path).verdicts == ["modality-lut"]


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleType": "US"},
        {"RescaleType": "HU_MOD"},
        {"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "CBF"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_VPCT PBV"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "SUBTRACTION"]},
    ],
)
def test_what_says_something_else_is_not_hu(tmp_path, dicom, elements):
    write_ct(dicom, tmp_path, body(), **elements)
    units, attributes, parts = converted(dicom, tmp_path)
    assert (units, parts) == ("a.u.", ["not-hu"])
    assert "ct_numbers" not in attributes
    assert attributes["not_hu"]


@pytest.mark.parametrize(
    ("dtype", "intercept", "damage"),
    [
        ("int16", 0, lambda stored: stored.view(np.uint16)),  # PixelRepresentation says unsigned
        ("int16", 0, lambda stored: stored.view(np.uint16).astype(np.float32)),
        ("uint16", -1024, lambda stored: stored.byteswap()),
        ("uint16", -1024, lambda stored: stored - np.uint16(100) * (stored < 80)),  # air below -1024 went round
    ],
)
def test_values_above_all_ct_numbers_are_not_hu(dtype, intercept, damage):
    stored = (np.maximum(body(), -1024) - intercept).astype(dtype)
    assert ct_numbers(stored, Scale(1, intercept)).fault is None
    assert "above 32767 HU" in ct_numbers(damage(stored), Scale(1, intercept)).fault
    stored.flat[0] = 32_000  # a speck of metal in an extended scale
    assert ct_numbers(stored, Scale(1, intercept)).fault is None


@pytest.mark.parametrize("scaled", [lambda hu: (hu + 1000) / 2000, lambda hu: (hu - hu.mean()) / hu.std(), np.tanh])
def test_values_that_were_scaled_to_a_range_are_not_hu(scaled):
    values = scaled(np.clip(body(), -1000, 1000)).astype(np.float32)
    assert "within" in ct_numbers(values, Scale(1, 0)).fault
    stored = np.rint(values * 1000).astype(np.int16)
    assert "within" in ct_numbers(stored, Scale(1e-3, 0)).fault
    assert ct_numbers(stored - stored, Scale(1, 0)).fault is None  # one value throughout says nothing


def test_fill_above_all_ct_numbers_that_the_header_names_is_no_value():
    stored = np.maximum(body() + 1024, 0).astype("uint16")
    stored[:, :3] = 65_535
    assert ct_numbers(stored, Scale(1, -1024)).fault
    assert ct_numbers(stored, Scale(1, -1024), stored == 65_535).fault is None


@pytest.mark.parametrize(
    "image_type", [["DERIVED", "SECONDARY", "MPR"], ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]]
)
def test_reformats_are_hu(tmp_path, dicom, image_type):
    write_ct(dicom, tmp_path, body(), ImageType=image_type)
    assert converted(dicom, tmp_path)[0] == "HU"


@pytest.mark.parametrize(
    ("intercept", "stored_as", "says"),
    [(-1024, 0, "before RescaleIntercept"), (0, -1024, "RescaleIntercept may be missing"), (-3072, -1024, "-1000")],
)
def test_values_that_are_shifted_are_not_hu(tmp_path, dicom, intercept, stored_as, says):
    write_ct(dicom, tmp_path, body(), intercept=intercept, stored_as=stored_as)
    units, attributes, parts = converted(dicom, tmp_path)
    assert (units, parts) == ("a.u.", ["not-hu"])
    assert says in attributes["not_hu"]


def test_air_that_is_cut_off_is_seen_and_its_shift_too(tmp_path, dicom):
    clipped = np.maximum(body(air=-1100), -1024)
    write_ct(dicom, tmp_path / "a", clipped, SeriesInstanceUID="1.1")
    write_ct(dicom, tmp_path / "b", clipped, stored_as=0, SeriesInstanceUID="1.2")
    units = [sample.row["units"] for sample in dicom.convert(tmp_path).samples]
    assert units == ["HU", "a.u."]


@pytest.mark.parametrize("declared", [True, False])
def test_fill_round_the_field_of_view_is_no_air(tmp_path, dicom, declared):
    values = body()
    values[:, :8] = -2000
    own = {"PixelPaddingValue": -976} if declared else {}
    write_ct(dicom, tmp_path, values, PixelRepresentation=1, **own)
    units, attributes, _ = converted(dicom, tmp_path)
    assert units == "HU"
    assert attributes["ct_numbers"]["air"] == pytest.approx(-1000, abs=6)


def test_without_peaks_a_volume_is_taken_at_its_word(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(12, 64, 64))
    assert converted(dicom, tmp_path)[0] == "HU"


def test_a_real_ct_and_its_shifts(test_data):
    slices = [pydicom.dcmread(path) for path in sorted((test_data / MODELS).iterdir())]
    planes = np.stack([each.pixel_array for each in slices])
    assert ct_numbers(planes, Scale(1, -1024)).fault is None
    assert ct_numbers(planes, Scale(1, -1024)).peaks["air"] == pytest.approx(-1000, abs=10)
    assert ct_numbers(planes, Scale(1, 0)).fault
    assert ct_numbers(planes, Scale(1, -2048)).fault


@pytest.mark.parametrize(("rescale_type", "unit"), [("HU", "HU"), ("US", "a.u."), (None, "HU")])
def test_enhanced_ct_by_the_type_of_its_frames(tmp_path, dicom, rescale_type, unit):
    stored = np.maximum(body() + 1024, 0).astype("uint16")
    made = enhanced(stored, [[0, 0, 2.0 * k] for k in range(len(stored))])
    if rescale_type:
        made.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = rescale_type
    made.save_as(tmp_path / "enhanced")
    assert converted(dicom, tmp_path)[0] == unit


def test_mr_is_in_arbitrary_units_whatever_its_rescale_type_says(tmp_path, dicom, noise):
    for number, stated in enumerate(("HU", "BQML", "US", "normalized", None)):
        dicom.write(
            tmp_path / str(number), noise(4, 8, 8), Modality="MR", SOPClassUID=MRImageStorage, RescaleType=stated,
            RescaleIntercept=0, SeriesInstanceUID=f"1.{number}",
        )  # fmt: skip
    assert {sample.row["units"] for sample in dicom.convert(tmp_path).samples} == {"a.u."}


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_peaks_and_their_prominences_are_those_of_scipy(values):
    curve = np.array(values, np.float64)
    places, about = find_peaks(curve, prominence=0)
    assert prominences(curve) == list(zip(places.tolist(), about["prominences"].tolist(), strict=True))
