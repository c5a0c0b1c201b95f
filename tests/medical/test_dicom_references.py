"""Conversion against independent truth: dcm2niix, dicom2nifti's ground truth, the IBSI author's NIfTI, SimpleITK."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

GENERIC = "medical/dicom2nifti_geometry_cases/generic/anatomical"
IBSI = "medical/ibsi_sts_008"
SYNTAXES = "medical/mr_transfer_syntaxes"
ENHANCED = "medical/mr_enhanced_multiframe"
TOTALSEG = "medical/totalseg_ct_mr_labels/example_ct_dicom"

AFFINE_TOLERANCE = 1e-4


def canonical(path: Path, *, stored: bool = False):
    """A NIfTI reference with its axes nearest RAS+: [X, Y, Z(, T)] values and affine."""
    image = nib.as_closest_canonical(nib.load(path))
    if not stored:
        return np.asanyarray(image.dataobj), image.affine
    raw = nib.Nifti1Image(nib.load(path).dataobj.get_unscaled(), nib.load(path).affine)
    return np.asanyarray(nib.as_closest_canonical(raw).dataobj), image.affine


def xyz(sample):
    return sample.payload.transpose(2, 1, 0)


def physical(sample):
    channel = sample.row["channels"][0]
    return xyz(sample) * channel["scale"] + channel["offset"]


def affine_of(sample):
    return np.array(sample.row["affine"]).reshape(4, 4)


def one(samples):
    assert len(samples) == 1
    return samples[0]


@pytest.mark.parametrize("number", range(1, 10))
def test_each_transfer_syntax_of_a_mosaic_gives_the_reference(test_data, dicom, number):
    sample = one(dicom.convert(test_data / SYNTAXES / "In" / f"{number}.dcm").samples)
    expected, affine = canonical(test_data / SYNTAXES / "Ref" / f"{number}.nii")
    np.testing.assert_array_equal(physical(sample), expected)
    np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)


def test_enhanced_siemens_gives_each_time_point(test_data, dicom):
    samples = dicom.convert(test_data / ENHANCED / "In" / "Siemens").samples
    expected, affine = canonical(test_data / ENHANCED / "Ref" / "Siemens_REST1_w_SMS_PF7-8_6.nii")
    assert len(samples) == expected.shape[3] == 4
    for time, sample in enumerate(samples):
        np.testing.assert_array_equal(physical(sample), expected[..., time])
        np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)
        assert json.loads(sample.row["attributes"])["volume"] == time
    assert len({sample.row["uid"] for sample in samples}) == 4


def test_enhanced_philips_separates_images_of_different_scale(test_data, dicom):
    field_map, magnitude = dicom.convert(test_data / ENHANCED / "In" / "Philips").samples
    # dcm2niix takes Philips' private "precise" slope, so stored values are compared.
    references = {
        "e1": (magnitude, 1.27985347985347, 0.0),
        "e2_fieldmaphz": (field_map, 0.24420024420024, -500.0),
    }
    for name, (sample, slope, intercept) in references.items():
        expected, affine = canonical(test_data / ENHANCED / "Ref" / f"Philips_WIP_B0_NS_801_{name}.nii", stored=True)
        np.testing.assert_array_equal(xyz(sample), expected)
        np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)
        assert sample.row["channels"][0]["scale"] == pytest.approx(slope, rel=1e-12)
        assert sample.row["channels"][0]["offset"] == intercept


def test_generic_cases_give_their_ground_truth(test_data, dicom):
    sample = one(dicom.convert(test_data / GENERIC / "001").samples)
    expected, affine = canonical(test_data / GENERIC / "001_ground_truth.nii.gz")
    np.testing.assert_array_equal(xyz(sample), expected)
    np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)


def test_a_slope_for_each_slice_is_harmonised_to_the_nearest_float32(test_data, dicom):
    sample = one(dicom.convert(test_data / GENERIC / "002_non_isotropic").samples)
    expected, affine = canonical(test_data / GENERIC / "002_non_isotropic_ground_truth.nii.gz")
    assert sample.payload.dtype == np.float32
    np.testing.assert_array_equal(xyz(sample), expected.astype(np.float32))
    np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)


@pytest.mark.parametrize("name", ["CT", "MR_T1"])
def test_ibsi_images_are_equal(test_data, dicom, name):
    sample = one(dicom.convert(test_data / IBSI / "dicom" / name / "image").samples)
    expected, affine = canonical(test_data / IBSI / "nifti" / f"{name}_image.nii.gz")
    np.testing.assert_array_equal(physical(sample), expected)
    np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)


def test_ibsi_pet_is_equal_to_the_last_bit_of_float32(test_data, dicom):
    # The reference multiplied in float32; ours is the float64 product rounded once, so the last bit may differ.
    sample = one(dicom.convert(test_data / IBSI / "dicom" / "PET" / "image").samples)
    expected, affine = canonical(test_data / IBSI / "nifti" / "PET_image.nii.gz")
    np.testing.assert_array_max_ulp(xyz(sample), expected, maxulp=1)
    np.testing.assert_allclose(affine_of(sample), affine, atol=AFFINE_TOLERANCE)
    assert (sample.row["modality"], sample.row["units"]) == ("PT", "SUVbw")


def test_jpeg_2000_ct_matches_dcm2niix(test_data, dicom):
    sample = one(dicom.convert(test_data / TOTALSEG).samples)
    summary = json.loads((test_data / TOTALSEG).with_name("dcm2niix_reference_summary.json").read_text())
    (reference,) = summary["outputs"].values()
    values = nib.as_closest_canonical(nib.Nifti1Image(physical(sample).astype(np.float32), affine_of(sample)))
    turned = values.as_reoriented(nib.io_orientation(np.array(reference["affine"])))
    assert hashlib.sha256(np.ascontiguousarray(turned.dataobj)).hexdigest() == reference["sha256_of_float32_C_order"]
    np.testing.assert_allclose(turned.affine, reference["affine"], atol=AFFINE_TOLERANCE)
    assert (sample.row["units"], sample.payload.dtype) == ("HU", np.uint16)


@pytest.mark.parametrize(
    "folder", [f"{GENERIC}/001", f"{GENERIC}/002_non_isotropic", f"{IBSI}/dicom/CT/image", f"{IBSI}/dicom/PET/image"]
)
def test_simpleitk_sees_the_same_value_at_the_same_place(test_data, dicom, folder):
    sample = one(dicom.convert(test_data / folder).samples)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(test_data / folder)))
    image = reader.Execute()
    inverse = np.linalg.inv(affine_of(sample))
    values = physical(sample)
    rng = np.random.default_rng(0)
    for index in rng.integers(0, image.GetSize(), (200, 3)).tolist():
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        voxel = inverse @ (-left, -back, up, 1)
        at = tuple(np.round(voxel[:3]).astype(int))
        np.testing.assert_allclose(voxel[:3], at, atol=2e-3)
        assert values[at] == pytest.approx(image[index], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("gantrytilting", "tilted"),
        ("sliceincrement", "missing-slice"),
        ("sliceorientation", "mixed-orientations"),
        ("slicecount", "too-few-slices"),
    ],
)
def test_each_failing_case_has_its_own_verdict_and_no_sample(test_data, dicom, case, verdict):
    result = dicom.convert(test_data / "medical/dicom2nifti_geometry_cases/failing" / case / "001")
    assert result.verdicts == [verdict]
    assert not result.samples
