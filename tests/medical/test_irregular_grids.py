"""Tilted planes and unequal steps: refused by name, stored sheared, or interpolated as a linear field has them."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.stages.extract import extract_sample
from voxtile_medical.dicom_planes.geometry import GridChoice

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SLOPES = np.array([31.0, -17.0, 23.0])  # stored values a mm, LPS
SHAPE = (9, 14, 12)  # planes, rows, columns
SPACING = (1.5, 0.75)  # between rows, between columns, mm
TURNED = Rotation.from_euler("zyx", [20, -10, 15], degrees=True).as_matrix()  # columns, rows, normal


def field_at(places):
    """A field that linear interpolation meets exactly."""
    return 5000 + places @ SLOPES


def places_of(tilt_degrees, heights, axes=TURNED):
    """Positions of planes whose stack leans along their rows, mm, LPS."""
    lean = np.tan(np.radians(tilt_degrees))
    return [np.array([-4.0, 7.0, 11.0]) + axes[2] * h + axes[1] * lean * h for h in heights]


def write(dicom, folder, positions, axes=TURNED, **values):
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    planes = []
    for position in positions:
        points = position + x[..., None] * axes[0] * SPACING[1] + y[..., None] * axes[1] * SPACING[0]
        planes.append(np.rint(field_at(points)).astype("uint16"))
    orientation = [*np.round(axes[0], 9), *np.round(axes[1], 9)]
    dicom.write(
        folder,
        np.stack(planes),
        [list(np.round(p, 7)) for p in positions],
        **{"ImageOrientationPatient": orientation, "PixelSpacing": list(SPACING), "RescaleIntercept": 0, **values},
    )
    return np.stack(planes)


def check_field(sample, least_share, most_error=1.01):
    """Voxels that are no fill lie where the field has their value; rounding twice costs one at most."""
    affine = np.array(sample.row["affine"]).reshape(4, 4)
    z, y, x = np.indices(sample.payload.shape)
    places = (LPS_TO_RAS @ affine @ np.stack([x.ravel(), y.ravel(), z.ravel(), np.ones(x.size)]))[:3].T
    stored = sample.payload.ravel().astype(float)
    filled = stored == stored.min()
    assert (~filled).mean() >= least_share
    assert np.abs(stored - field_at(places))[~filled].max() <= most_error
    np.testing.assert_allclose(
        affine[:3, :3].T @ affine[:3, :3], np.diag(np.array(sample.row["spacing"])[::-1] ** 2), atol=1e-4
    )


@pytest.mark.parametrize("tilt", [-18.5, 12.0])
def test_a_tilted_stack_is_refused_sheared_or_made_upright(tmp_path, dicom, same_places, tilt):
    heights = np.arange(SHAPE[0]) * 3.0
    positions = places_of(tilt, heights)
    volume = write(dicom, tmp_path, positions)  # no tag says that it is tilted
    (refused,) = dicom.convert(tmp_path).outcomes
    assert refused.reason == "tilted"
    assert f"{abs(tilt):.1f} degrees" in refused.detail

    (sheared,) = dicom.convert(tmp_path, grid=GridChoice(tilted="shear")).samples
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = TURNED[0] * SPACING[1], TURNED[1] * SPACING[0]
    lps[:3, 2], lps[:3, 3] = positions[1] - positions[0], positions[0]
    same_places(sheared.payload, np.array(sheared.row["affine"]).reshape(4, 4), volume, LPS_TO_RAS @ lps)
    attributes = json.loads(sheared.row["attributes"])
    assert attributes["stack_tilt_deg"] == pytest.approx(abs(tilt), abs=1e-3)
    assert attributes["instances"]["count"] == SHAPE[0]

    (upright,) = dicom.convert(tmp_path, grid=GridChoice(tilted="resample")).samples
    check_field(upright, least_share=0.6)
    assert upright.payload.size > volume.size  # no plane is cut
    attributes = json.loads(upright.row["attributes"])
    assert attributes["resampled"] == "linear"
    assert "instances" not in attributes
    assert 0.6 < upright.row["valid_fraction"] < 0.95
    assert upright.row["uid"] != sheared.row["uid"]


def test_unequal_steps_are_resampled_on_request_alone(tmp_path, dicom):
    heights = np.array([0, 3.0, 5.5, 8.5, 12.9, 15.4, 20.0, 23.0, 27.7])
    write(dicom, tmp_path, places_of(0, heights))
    assert dicom.convert(tmp_path).verdicts == ["unequal-steps"]
    (outcome,) = dicom.convert(tmp_path, grid=GridChoice(unequal="resample")).outcomes
    (sample,) = outcome.samples
    assert "varies from 2.5 to 4.7 mm" in outcome.detail
    assert sorted(sample.row["spacing"])[2] == pytest.approx(2.5)
    assert sample.payload.shape == (12, 14, 12)  # 27.7 mm at the smallest step
    check_field(sample, least_share=0.99)


def test_steps_that_vary_a_little_are_made_equal_too(tmp_path, dicom):
    write(dicom, tmp_path, places_of(0, np.cumsum([0, 3, 3.5, 3, 3.5, 3, 3, 3, 3])))
    (sample,) = dicom.convert(tmp_path, grid=GridChoice(unequal="resample")).samples
    check_field(sample, least_share=0.99)


def test_both_at_once_need_both_options(tmp_path, dicom):
    write(dicom, tmp_path, places_of(15, np.array([0, 3.0, 5.5, 8.5, 12.9, 15.4, 20.0, 23.0, 27.7])))
    assert dicom.convert(tmp_path, grid=GridChoice(unequal="resample")).verdicts == ["tilted"]
    assert dicom.convert(tmp_path, grid=GridChoice(tilted="resample")).verdicts == ["unequal-steps"]
    (sample,) = dicom.convert(tmp_path, grid=GridChoice("shear", "resample")).samples
    check_field(sample, least_share=0.6)


def test_a_missing_plane_is_never_made_up(tmp_path, dicom):
    write(dicom, tmp_path, places_of(0, np.array([0, 3.0, 6, 9, 15, 18, 21, 24, 27])))
    assert dicom.convert(tmp_path, grid=GridChoice("resample", "resample")).verdicts == ["missing-slice"]


def test_the_narrow_step_between_two_parts_of_a_scan_does_not_decide(tmp_path, dicom):
    heights = np.cumsum([0, 4.0, 4, 4, 4, 1.1, 7, 7, 7])
    write(dicom, tmp_path, places_of(0, heights), SliceThickness=dicom.each([4] * 5 + [7] * 4))
    assert dicom.convert(tmp_path).verdicts == ["unequal-steps"]
    (sample,) = dicom.convert(tmp_path, grid=GridChoice(unequal="resample")).samples
    assert sorted(sample.row["spacing"])[2] == pytest.approx(4.0)
    check_field(sample, least_share=0.99)


def test_a_narrow_step_of_which_the_others_are_multiples_is_no_sign_of_missing_planes(tmp_path, dicom):
    heights = [0, 2.5, 5, 7.5, 8, 10.5, 13, 15.5]
    write(dicom, tmp_path / "parts", places_of(0, heights), SliceThickness=2.5)
    assert dicom.convert(tmp_path / "parts").verdicts == ["unequal-steps"]
    (sample,) = dicom.convert(tmp_path / "parts", grid=GridChoice(unequal="resample")).samples
    check_field(sample, 0.99)
    write(dicom, tmp_path / "gaps", places_of(0, heights), SliceThickness=0.5)  # here slices would lie apart
    write(dicom, tmp_path / "gap", places_of(0, [0, 2.5, 5, 5.5, 8, 10.5, 15.5, 18]), SliceThickness=2.5)
    for name in ("gaps", "gap"):
        assert dicom.convert(tmp_path / name, grid=GridChoice(unequal="resample")).verdicts == ["missing-slice"]


def test_a_stack_that_jumps_aside_is_not_tilted(tmp_path, dicom):
    places = places_of(0, 2.5 * np.arange(10))
    write(dicom, tmp_path, [place + TURNED[0] * 10 * (k > 4) for k, place in enumerate(places)])
    assert dicom.convert(tmp_path).verdicts == ["unequal-steps"]


def test_a_gap_is_not_filled_with_many_planes(tmp_path, dicom):
    write(dicom, tmp_path, places_of(0, np.array([0, 3.0, 6.5, 9.5, 100.3, 103.3, 106.3, 109.8, 112.8])))
    (outcome,) = dicom.convert(tmp_path, grid=GridChoice(unequal="resample")).outcomes
    assert outcome.reason == "unequal-steps"
    assert "would make 38 planes of 9" in outcome.detail


def test_padding_is_not_blended(tmp_path, dicom):
    positions = places_of(10, np.arange(SHAPE[0]) * 3.0)
    volume = write(dicom, tmp_path / "a", positions)
    volume[:, 5] = 65000
    dicom.write(
        tmp_path / "b",
        volume,
        [list(np.round(p, 7)) for p in positions],
        ImageOrientationPatient=[*np.round(TURNED[0], 9), *np.round(TURNED[1], 9)],
        PixelSpacing=list(SPACING),
        RescaleIntercept=0,
        PixelPaddingValue=65000,
    )
    (sample,) = dicom.convert(tmp_path / "b", grid=GridChoice(tilted="resample")).samples
    values = np.unique(sample.payload)
    assert not ((values > volume[volume < 65000].max()) & (values < 65000)).any()


def test_the_command_takes_both_options_and_writes_a_sheared_nifti(tmp_path, dicom, monkeypatch):
    write(dicom, tmp_path / "in", places_of(18.5, np.arange(SHAPE[0]) * 3.0))
    corpus = tmp_path / "corpus"
    main(["convert", "dicom", str(tmp_path / "in"), str(corpus), "--tilted", "shear", "--workers", "1"])
    (row,) = Corpus(corpus).table("samples").to_pylist()
    extract_sample(corpus, row["uid"], to="nifti", out=tmp_path / "out.nii.gz")
    image = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(image.affine, np.array(row["affine"]).reshape(4, 4), atol=1e-4)
    assert int(image.header["qform_code"]) == 0  # a quaternion cannot say the shear
