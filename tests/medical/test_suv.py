"""SUV against the IBSI objects, closed forms of decay, and headers that must be refused by the tag's name."""

from __future__ import annotations

import json
import math

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from voxtile_medical.suv.body import norm
from voxtile_medical.suv.compute import suv_of
from voxtile_medical.suv.dose import nuclide_half_life
from voxtile_medical.suv.header import GE_SCAN, PHILIPS_ACTIVITY, PHILIPS_SUV, pet_header
from voxtile_medical.suv.refused import SuvRefusedError
from voxtile_medical.suv.times import mean_count_time

F18 = 6586.2
RATE = math.log(2) / F18
DRO = "medical/ibsi_suv_dro"
EXPECTED = np.array([0.20, 1.00, 4.00])


def dose_item(**values):
    item = Dataset()
    elements = {
        "RadiopharmaceuticalStartTime": "100000",
        "RadiopharmaceuticalStartDateTime": "20250101100000",
        "RadionuclideTotalDose": "368080000",
        "RadionuclideHalfLife": str(F18),
    } | values
    for keyword, value in elements.items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def pet(dose=None, **values):
    """A PET header of the IBSI default object, an hour from injection to scan; None leaves an element out."""
    dataset = Dataset()
    elements = {
        "Units": "BQML", "DecayCorrection": "START", "CorrectedImage": ["NORM", "ATTN", "SCAT", "DECY"],
        "RescaleSlope": "1", "RescaleIntercept": "0", "PatientWeight": "70", "PatientSize": "1.75", "PatientSex": "M",
        "SeriesDate": "20250101", "SeriesTime": "110000", "AcquisitionDate": "20250101", "AcquisitionTime": "110000",
        "FrameReferenceTime": "150000", "ActualFrameDuration": "300000",
        "RadiopharmaceuticalInformationSequence": [dose_item(**(dose or {}))],
    } | values  # fmt: skip
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def refusal(*datasets, kind="BW"):
    with pytest.raises(SuvRefusedError) as caught:
        suv_of([pet_header(d) for d in datasets], kind)
    return caught.value


def factor(*datasets, kind="BW"):
    return suv_of([pet_header(d) for d in datasets], kind).factors[0]


HOUR_FACTOR = 70_000 / 368_080_000 * math.exp(RATE * 3600)


def in_mask(sample, folder):
    image = nib.as_closest_canonical(nib.load(folder / "mask" / "DRO_mask.nii.gz"))
    inside = np.asanyarray(image.dataobj).transpose(2, 1, 0) > 0
    channel = sample.row["channels"][0]
    values = sample.payload[inside] * channel["scale"] + channel["offset"]
    return np.array([values.min(), np.median(values), values.max()])


def test_the_ibsi_object_by_body_surface_is_right_to_its_own_stored_step(test_data, dicom):
    # It stores SUVbsa cut to hundredths (0.05, 0.26, 1.05), which no factor can make 0.20, 1.00 and 4.00 to 0.005.
    (stored,) = dicom.convert(test_data / DRO / "DRO_2_3" / "PT", suv="bsa").samples
    assert stored.row["units"] == "SUVbsa"
    values = in_mask(stored, test_data / DRO / "DRO_2_3")
    np.testing.assert_allclose(values, [0.05, 0.26, 1.05], atol=1e-9)
    low, high = (EXPECTED - 0.005) / values, (EXPECTED + 0.005) / values
    assert low.max() > high.min()


def test_stored_integers_stay_and_the_row_says_how_the_suv_was_found(test_data, dicom):
    folder = test_data / DRO / "DRO_3_0" / "PT"
    (sample,) = dicom.convert(folder).samples
    assert sample.payload.dtype == np.int16
    suv = json.loads(sample.row["attributes"])["suv"]
    assert (suv["type"], suv["decay_correction"], suv["reference"]) == ("BW", "START", "SeriesTime")
    assert suv["dose_read_as"] == "MBq"
    assert (suv["dose_bq"], suv["weight_kg"], suv["uptake_s"]) == (368_080_000, 70, 3600)
    assert sample.row["channels"][0] == {
        "name": "PT", "wavelength_nm": None, "unit": "SUVbw", "scale": suv["factor"], "offset": 0.0,
    }  # fmt: skip
    (plain,) = dicom.convert(folder, suv="none").samples
    assert plain.row["units"] == "BQML"
    assert "suv" not in json.loads(plain.row["attributes"])
    np.testing.assert_array_equal(plain.payload, sample.payload)


def test_a_refusal_keeps_the_sample_in_its_units_and_says_why(tmp_path, dicom, noise):
    dicom.write(
        tmp_path, noise(4, 8, 8), Modality="PT", SOPClassUID=PositronEmissionTomographyImageStorage,
        RescaleSlope=2, RescaleIntercept=0, Units="BQML", DecayCorrection="START", SeriesNumber=7,
    )  # fmt: skip
    (outcome,) = dicom.convert(tmp_path).outcomes
    (sample,) = outcome.samples
    assert (sample.row["units"], sample.row["channels"][0]["scale"]) == ("BQML", 2)
    attributes = json.loads(sample.row["attributes"])
    assert attributes["suv"]["refused"] == "missing-tag"
    assert "CorrectedImage (0028,0051)" in attributes["suv"]["why"]
    (part,) = outcome.parts
    assert (part.uid, part.status, part.reason) == (sample.row["uid"], "dropped", "suv-missing-tag")
    assert (attributes["series_number"], attributes["instances"]) == (
        7,
        {"axis": 0, "count": 4, "first": 1, "step": 1},
    )


def test_decay_corrected_to_the_start_of_the_scan():
    assert factor(pet()) == pytest.approx(HOUR_FACTOR, rel=1e-12)


def test_decay_corrected_to_the_injection():
    assert factor(pet(DecayCorrection="ADMIN")) == pytest.approx(70_000 / 368_080_000, rel=1e-12)


def test_values_without_decay_correction_are_brought_to_the_injection_slice_by_slice():
    slices = [
        pet(DecayCorrection="NONE", CorrectedImage="ATTN", AcquisitionTime=t, ActualFrameDuration="603000")
        for t in ("110230", "110500")
    ]
    factors = suv_of([pet_header(d) for d in slices], "BW").factors
    # A dose that decays as it should, averaged over the frame by quadrature, gives an SUV of 1.
    for seconds, own in zip((3750, 3900), factors, strict=True):
        times = seconds + (np.arange(100_000) + 0.5) / 100_000 * 603
        mean = 368_080_000 / 70_000 * np.exp(-RATE * times).mean()
        assert mean * own == pytest.approx(1.0, rel=1e-6)


def test_the_mean_of_a_frame_is_reached_where_quadrature_says():
    times = (np.arange(100_000) + 0.5) / 100_000 * 1800
    expected = -math.log(np.exp(-RATE * times).mean()) / RATE
    assert mean_count_time(1800, F18) == pytest.approx(expected, abs=1e-3)


def test_a_series_time_of_later_processing_is_not_the_start_of_the_scan():
    late = {"SeriesTime": "130000", "AcquisitionTime": "110500", "ActualFrameDuration": "603000"}
    expected = math.exp(RATE * (300 + mean_count_time(603, F18) - 600 + 3600)) * 70_000 / 368_080_000
    assert factor(pet(**late, FrameReferenceTime="600000")) == pytest.approx(expected, rel=1e-9)


def test_the_scan_time_of_ge_is_taken_before_the_series_time():
    dataset = pet(SeriesTime="130000", AcquisitionTime="113000")
    dataset.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
    dataset.add_new((0x0009, 0x100D), "DT", "20250101110000.00")
    suv = suv_of([pet_header(dataset)], "BW")
    assert suv.factors[0] == pytest.approx(HOUR_FACTOR, rel=1e-12)
    assert suv.evidence["reference"] == GE_SCAN


def test_private_elements_of_another_vendor_are_not_taken():
    dataset = pet()
    dataset.add_new((0x0009, 0x0010), "LO", "SOMEBODY ELSE")
    dataset.add_new((0x0009, 0x100D), "DT", "20250101093000.00")
    assert factor(dataset) == pytest.approx(HOUR_FACTOR, rel=1e-12)


def philips(**factors):
    dataset = pet(Units="CNTS", RadiopharmaceuticalInformationSequence=None if "suv" in factors else [dose_item()])
    dataset.add_new((0x7053, 0x0011), "LO", "Philips PET Private Group")
    for name, element in (("suv", 0x1100), ("activity", 0x1109)):
        if name in factors:
            dataset.add_new((0x7053, element), "DS", factors[name])
    return dataset


def test_counts_of_philips_by_either_factor_whatever_the_block():
    assert factor(philips(suv="0.0005")) == 0.0005
    assert factor(philips(activity="1.5")) == pytest.approx(1.5 * HOUR_FACTOR, rel=1e-12)
    found = refusal(philips())
    assert PHILIPS_SUV in found.tag
    assert PHILIPS_ACTIVITY in found.tag


def test_an_injection_before_midnight():
    dataset = pet(
        dose={"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "233000"},
        SeriesDate="20250102", SeriesTime="003000", AcquisitionDate="20250102", AcquisitionTime="003000",
    )  # fmt: skip
    assert factor(dataset) == pytest.approx(HOUR_FACTOR, rel=1e-12)


def test_offsets_from_utc_are_brought_together():
    zone = {"RadiopharmaceuticalStartDateTime": "20250101090000+0000", "RadiopharmaceuticalStartTime": "100000"}
    assert factor(pet(dose=zone, TimezoneOffsetFromUTC="+0100")) == pytest.approx(HOUR_FACTOR, rel=1e-12)
    assert "TimezoneOffsetFromUTC (0008,0201)" in refusal(pet(dose=zone)).tag


def test_norms_are_those_of_their_authors():
    # Reference persons computed by hand from the papers' formulas.
    man = pet_header(pet(PatientWeight="80", PatientSize="1.80", PatientSex="M"))
    woman = pet_header(pet(PatientWeight="60", PatientSize="1.65", PatientSex="F"))
    assert norm(man, "LBMJAMES128") == pytest.approx(1000 * (88 - 128 * (80 / 180) ** 2))
    assert norm(woman, "LBMJAMES128") == pytest.approx(1000 * (64.2 - 148 * (60 / 165) ** 2))
    assert norm(man, "LBMJANMA") == pytest.approx(9.27e6 * 80 / (6680 + 216 * 80 / 3.24))
    assert norm(woman, "LBMJANMA") == pytest.approx(9.27e6 * 60 / (8780 + 244 * 60 / 2.7225))
    assert norm(man, "BSA") == pytest.approx(19_964, rel=1e-3)  # 1.996 m² in published tables of Du Bois
    assert norm(woman, "IBW") == pytest.approx(1000 * (45.5 + 0.91 * 13))


@pytest.mark.parametrize("kind", ["LBMJANMA", "LBMJAMES128", "BSA"])
def test_other_norms_scale_the_suv_by_body_weight(kind):
    header = pet_header(pet())
    assert suv_of([header], kind).factors[0] * 70_000 == pytest.approx(HOUR_FACTOR * norm(header, kind), rel=1e-12)
    stated = pet(Units="GML", SUVType="LBMJAMES128")
    expected = norm(header, kind) / norm(header, "LBMJAMES128")
    assert factor(stated, kind=kind) == pytest.approx(expected, rel=1e-12)


def test_suv_by_body_weight_needs_nothing_else():
    only = {name: None for name in ("PatientWeight", "DecayCorrection", "CorrectedImage", "SeriesTime")}
    assert factor(pet(Units="GML", **only)) == 1.0


REMOVED = [
    "Units", "DecayCorrection", "CorrectedImage", "PatientWeight", "RescaleSlope",
    "RadiopharmaceuticalInformationSequence", "AcquisitionDate", "AcquisitionTime",
]  # fmt: skip


@pytest.mark.parametrize("keyword", REMOVED)
def test_each_tag_removed_is_named(keyword):
    for value in (None, ""):
        found = refusal(pet(**{keyword: value if keyword != "RadiopharmaceuticalInformationSequence" else None}))
        assert (found.reason, found.tag.split(" ")[0]) == ("missing-tag", keyword)
        assert keyword in found.detail
        tag = pydicom.tag.Tag(keyword)
        assert f"({tag.group:04x},{tag.element:04x})" in found.detail


@pytest.mark.parametrize("keyword", ["RadionuclideTotalDose", "RadionuclideHalfLife"])
@pytest.mark.parametrize("value", [None, "", "0"])
def test_each_element_of_the_dose_removed_is_named(keyword, value):
    assert refusal(pet(dose={keyword: value})).tag.startswith(keyword)


def test_the_time_of_injection_removed_is_named_and_either_form_does():
    times = ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime")
    for name in times:
        assert factor(pet(dose={name: None})) == pytest.approx(HOUR_FACTOR, rel=1e-12)
    assert "RadiopharmaceuticalStartDateTime (0018,1078)" in refusal(pet(dose=dict.fromkeys(times))).detail


@pytest.mark.parametrize("keyword", ["FrameReferenceTime", "ActualFrameDuration"])
def test_without_a_series_time_the_elements_that_stand_in_are_named(keyword):
    for series in ({"SeriesTime": None}, {"SeriesDate": None}, {"SeriesTime": "120000"}):
        assert refusal(pet(**series, **{keyword: None})).tag.startswith(keyword)


@pytest.mark.parametrize(
    ("keyword", "kind"), [("PatientSize", "BSA"), ("PatientSize", "LBMJANMA"), ("PatientSex", "LBMJANMA")]
)
def test_lean_mass_and_surface_name_what_they_lack(keyword, kind):
    assert refusal(pet(**{keyword: None}), kind=kind).tag.startswith(keyword)
    assert factor(pet(**{keyword: None})) == pytest.approx(HOUR_FACTOR)


def test_lean_mass_of_another_sex_is_not_guessed():
    assert refusal(pet(PatientSex="O"), kind="LBMJANMA").tag.startswith("PatientSex")


@pytest.mark.parametrize(
    ("changed", "dose", "tag", "says"),
    [
        ({}, {"RadionuclideTotalDose": "3.6808e14"}, "RadionuclideTotalDose", "10⁶ times too high"),
        ({}, {"RadionuclideTotalDose": "36808"}, "RadionuclideTotalDose", "no dose of a person"),
        ({"PatientWeight": "700"}, {}, "PatientWeight", "no body weight"),
        ({"PatientWeight": "-70"}, {}, "PatientWeight", "negative"),
        ({"PatientWeight": "7e7"}, {}, "PatientWeight", "no body weight"),
        ({}, {"RadionuclideHalfLife": "109.77"}, "RadionuclideHalfLife", "no nuclide"),
        ({}, {"RadionuclideHalfLife": "1e9"}, "RadionuclideHalfLife", "no nuclide"),
        ({"RescaleIntercept": "-1024"}, {}, "RescaleIntercept", "not 0"),
        ({"CorrectedImage": "DECY"}, {}, "CorrectedImage", "lacks ATTN"),
        ({"CorrectedImage": "ATTN"}, {}, "CorrectedImage", "disagree"),
        ({"DecayCorrection": "NONE"}, {}, "CorrectedImage", "disagree"),
        ({"Units": "PROPCNTS"}, {}, "Units", "PROPCNTS"),
        ({"Units": "GML", "SUVType": "BSA"}, {}, "Units", "do not go together"),
        ({"SeriesTime": "991234"}, {}, "SeriesTime", "no readable"),
        (
            {}, {"RadiopharmaceuticalStartDateTime": "20250101113800", "RadiopharmaceuticalStartTime": None},
            "RadiopharmaceuticalStartDateTime", "38 min after the scan",
        ),
        (
            {}, {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "113800"},
            "RadiopharmaceuticalStartTime", "a time zone or a date is off",
        ),
        (
            {}, {"RadiopharmaceuticalStartDateTime": "20241225100000"},
            "RadiopharmaceuticalStartDateTime", "more than 4 half-lives",
        ),
        ({}, {"RadiopharmaceuticalStartTime": "110000"}, "RadiopharmaceuticalStartDateTime", "differ by 3600 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(changed, dose, tag, says):
    found = refusal(pet(dose=dose, **changed))
    assert tag in found.tag
    assert says in found.detail


def test_a_number_that_has_one_reading_is_read_so_and_says_so():
    grams = suv_of([pet_header(pet(PatientWeight="70000"))], "BW")
    assert grams.factors[0] == pytest.approx(HOUR_FACTOR, rel=1e-12)
    assert grams.evidence["weight_read_as"] == "g"
    mega = suv_of([pet_header(pet(dose={"RadionuclideTotalDose": "368.08"}))], "BW")
    assert mega.factors[0] == pytest.approx(HOUR_FACTOR, rel=1e-12)
    assert mega.evidence["dose_read_as"] == "MBq"


def test_a_half_life_that_is_not_its_nuclides_is_refused():
    code = Dataset()
    code.CodeMeaning = "^68^Gallium"
    found = refusal(pet(dose={"RadionuclideCodeSequence": [code]}))
    assert "RadionuclideHalfLife" in found.tag
    assert "RadionuclideCodeSequence" in found.tag
    code.CodeMeaning = "^18^Fluorine"
    assert factor(pet(dose={"RadionuclideCodeSequence": [code]})) == pytest.approx(HOUR_FACTOR)


@pytest.mark.parametrize("meaning", ["^18^Fluorine", "Fluorine^18^", "F-18", "18F", "Fluorine-18", "^18^F"])
def test_nuclides_in_the_spellings_of_codes(meaning):
    assert nuclide_half_life(meaning) == F18


def test_slices_that_differ_are_refused():
    assert refusal(pet(), pet(PatientWeight="71")).tag.startswith("PatientWeight")
    apart = [pet(SeriesTime=None, AcquisitionTime=t) for t in ("110000", "111000")]
    assert refusal(*apart).reason == "contradictory-tags"


def test_two_doses_are_not_one():
    dataset = pet(RadiopharmaceuticalInformationSequence=[dose_item(), dose_item()])
    with pytest.raises(SuvRefusedError, match="holds 2 items"):
        pet_header(dataset)


@pytest.mark.parametrize("keyword", ["PatientWeight", "SeriesTime", "FrameReferenceTime"])
def test_elements_that_are_no_numbers_are_refused(keyword):
    header = pet_header(pet())
    without_series = {"SeriesDate": ""} if keyword == "FrameReferenceTime" else {}
    broken = type(header)({**header.values, keyword: "abc", **without_series})
    with pytest.raises(SuvRefusedError, match=keyword):
        suv_of([broken], "BW")


@pytest.mark.parametrize("vr", [b"XX", b"FD"])
def test_a_damaged_element_costs_the_suv_and_not_the_image(tmp_path, dicom, noise, vr):
    elements = {"Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage, "Units": "BQML"}
    for path in dicom.write(tmp_path, noise(3, 4, 4), PatientWeight="70.5", RescaleIntercept=0, **elements):
        path.write_bytes(path.read_bytes().replace(b"\x10\x00\x30\x10DS", b"\x10\x00\x30\x10" + vr))
    (outcome,) = dicom.convert(tmp_path).outcomes
    assert outcome.samples[0].row["units"] == "BQML"
    assert [part.reason for part in outcome.parts] == ["suv-implausible-value"]
