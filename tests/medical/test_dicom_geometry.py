"""Geometry from position and orientation only: any axis order, any file order, several volumes in one series."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage, SurfaceSegmentationStorage
from scipy.spatial.transform import Rotation

from voxtile_medical.dicom_planes.geometry import stack_frames
from voxtile_medical.orientation import to_nearest_ras
from voxtile_medical.verdicts import Verdict

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
POSITIONS = [[-10.0, -20.0, 30.0 + 2.5 * k] for k in range(5)]


def placed(frame_axes, spacing, origin, count):
    """Positions, orientation and RAS affine of planes whose column, row and plane directions are given (LPS)."""
    column, row, plane = frame_axes
    positions = [list(np.asarray(origin) + plane * spacing[2] * k) for k in range(count)]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = column * spacing[0], row * spacing[1], plane * spacing[2]
    lps[:3, 3] = origin
    return positions, [*column, *row], LPS_TO_RAS @ lps


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("way", [1, -1])
def test_every_axis_order_keeps_values_in_place(tmp_path, dicom, noise, same_places, order, signs, way):
    axes = np.eye(3)[list(order)]
    column, row = axes[0] * signs[0], axes[1] * signs[1]
    plane = np.cross(column, row) * way  # files may be numbered against the normal
    volume = noise(4, 3, 5)
    positions, orientation, affine = placed((column, row, plane), (1.5, 0.75, 2.0), (-7.0, 11.0, 3.0), 4)
    dicom.write(
        tmp_path, volume, positions, ImageOrientationPatient=orientation, PixelSpacing=[0.75, 1.5], SliceLocation=1.0
    )
    (sample,) = dicom.convert(tmp_path).samples
    stored = np.array(sample.row["affine"]).reshape(4, 4)
    same_places(sample.payload, stored, volume, affine)
    np.testing.assert_array_equal(np.argmax(np.abs(stored[:3, :3]), axis=0), [0, 1, 2])
    assert (np.diag(stored)[:3] > 0).all()
    assert sample.payload.flags.c_contiguous


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_oblique_planes_keep_values_in_place(tmp_path_factory, dicom, noise, same_places, seed):
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    volume = noise(4, 3, 5, seed=seed)
    positions, orientation, affine = placed(rotation.T, (1.25, 0.8, 3.0), (5.0, -4.0, 100.0), 4)
    folder = tmp_path_factory.mktemp("oblique")
    dicom.write(
        folder,
        volume,
        np.round(positions, 6),
        ImageOrientationPatient=list(np.round(orientation, 8)),
        PixelSpacing=[0.8, 1.25],
    )
    (sample,) = dicom.convert(folder).samples
    stored = np.array(sample.row["affine"]).reshape(4, 4)
    same_places(sample.payload, stored, volume, affine)
    np.testing.assert_allclose(sorted(sample.row["spacing"]), [0.8, 1.25, 3.0], atol=1e-5)


def test_file_names_and_instance_numbers_do_not_matter(tmp_path, dicom, noise):
    volume = noise(5, 4, 4)
    straight, shuffled = tmp_path / "a", tmp_path / "b"
    dicom.write(straight, volume, POSITIONS)
    order = [3, 0, 4, 2, 1]
    dicom.write(shuffled, volume[order], [POSITIONS[k] for k in order], SliceLocation=dicom.each([9, 7, 5, 3, 1]))
    first, second = (dicom.convert(folder).samples[0] for folder in (straight, shuffled))
    np.testing.assert_array_equal(first.payload, second.payload)
    assert first.row["affine"] == second.row["affine"]


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_one_volume(tmp_path, dicom, noise):
    heights = np.round(np.arange(40) * 0.625, 1)
    dicom.write(tmp_path, noise(40, 3, 3), [[0, 0, z] for z in heights])
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.row["spacing"][0] == pytest.approx(0.625, abs=1e-3)


@pytest.mark.parametrize(
    ("heights", "verdict"),
    [
        ([0, 2, 4, 8, 10], "missing-slice"),
        ([0, 2, 6, 12], "missing-slice"),
        ([0, 2, 4, 6, 9], "unequal-steps"),
        ([0, 2, 4.9, 6, 8], "unequal-steps"),
        ([0, 4, 10], "unequal-steps"),  # every other plane of a series, and then every third
        ([0, 3.27, 7.52], "unequal-steps"),
        ([0, 2, 2, 4, 6], "duplicates"),
        ([0, 2], "too-few-slices"),
    ],
)
def test_wrong_steps_are_named(tmp_path, dicom, noise, heights, verdict):
    dicom.write(tmp_path, noise(len(heights), 3, 3), [[0, 0, z] for z in heights])
    result = dicom.convert(tmp_path)
    assert result.verdicts == [verdict]
    assert not result.samples


@pytest.mark.parametrize(
    ("heights", "thick"), [([0, 2, 4, 8, 12], [2, 2, 2, 4, 4]), ([0, 5, 10, 20, 30], [5, 5, 5, 10, 10])]
)
def test_slices_that_get_thicker_are_no_missing_slices(tmp_path, dicom, noise, heights, thick):
    places = [[0, 0, z] for z in heights]
    dicom.write(tmp_path, noise(len(heights), 3, 3), places, SliceThickness=dicom.each(thick))
    (outcome,) = dicom.convert(tmp_path).outcomes
    assert outcome.reason == "unequal-steps"
    assert f"{thick[0]} to {thick[-1]} mm thick" in outcome.detail


@pytest.mark.parametrize(
    ("heights", "steps"),
    [
        (np.cumsum([0, 3, 3.5, 3, 3.5, 3]), [3.0, 3.5]),  # 17 %
        (np.cumsum([0, 3, 3, 3.25, 3, 3]), [3.0, 3.25]),
        (np.arange(6) * 3.0, None),
        (np.round(np.arange(12) * 0.625, 1), None),  # rounded by its writer
        (np.round(np.arange(12) * 0.5 + 0.04 * np.arange(12), 1), None),
        (np.arange(6) * 3.0 + [0, 0.01, 0, -0.01, 0.01, 0], None),
    ],
)
def test_steps_that_vary_are_named(tmp_path, dicom, noise, heights, steps):
    dicom.write(tmp_path, noise(len(heights), 3, 3), [[0, 0, z] for z in heights])
    (outcome,) = dicom.convert(tmp_path).outcomes
    assert outcome.status == "used"
    assert json.loads(outcome.samples[0].row["attributes"]).get("steps_mm") == steps
    assert ("uneven-steps" in (outcome.detail or "")) == (steps is not None)


def test_two_slices_are_a_volume_when_asked(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(2, 3, 3))
    assert dicom.convert(tmp_path, min_slices=2).verdicts == ["used"]


def test_a_single_plane_is_as_thick_as_it_says(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(1, 3, 3), SliceThickness=5)
    (sample,) = dicom.convert(tmp_path, min_slices=1).samples
    assert sample.row["spacing"] == [5.0, 1.0, 1.0]


def test_a_drifting_stack_is_tilted_and_a_tilt_tag_alone_is_not(tmp_path, dicom, noise):
    drifting = [[0, 0.5 * k, 2.0 * k] for k in range(5)]
    dicom.write(tmp_path / "a", noise(5, 3, 3), drifting, SeriesInstanceUID="1.2.1")
    dicom.write(tmp_path / "b", noise(5, 3, 3), GantryDetectorTilt=15, SeriesInstanceUID="1.2.2")
    assert dicom.convert(tmp_path).verdicts == ["tilted", "used"]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"ImagePositionPatient": None}, "no-geometry"),
        ({"ImageOrientationPatient": None}, "no-geometry"),
        ({"PixelSpacing": None}, "no-geometry"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "invalid-orientation"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "invalid-orientation"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"Modality": "SEG"}, "not-an-image"),
        ({"Modality": "LS", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.200"}, "unsupported-modality"),
    ],
)
def test_series_that_are_no_volume_are_named(tmp_path, dicom, noise, values, verdict):
    position = "ImagePositionPatient" in values
    for k, plane in enumerate(noise(4, 3, 3)):
        place = {} if position else {"ImagePositionPatient": [0, 0, 2.0 * k]}
        dicom.make(plane, **place, **values).save_as(tmp_path / str(k), enforce_file_format=True)
    assert dicom.convert(tmp_path).verdicts == [verdict]


def test_a_surface_segmentation_is_refused_with_what_to_export(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(4, 3, 3))
    surfaces = dicom.make(noise(5, 5), Modality="SEG", SOPClassUID=SurfaceSegmentationStorage, SeriesInstanceUID="1.9")
    for element in ("PixelData", "Rows", "Columns"):
        del surfaces[element]
    surfaces.save_as(tmp_path / "surfaces", enforce_file_format=True)
    result = dicom.convert(tmp_path)
    assert sorted(result.verdicts) == ["not-an-image", "used"]
    refusal = next(outcome for outcome in result.outcomes if outcome.status != "used")
    assert "export the segmentation as voxels" in str(refusal.detail)


def test_a_localizer_and_a_foreign_object_in_the_series_do_not_harm_it(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(4, 3, 3))
    dicom.make(noise(5, 5), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]).save_as(
        tmp_path / "scout", enforce_file_format=True
    )
    dicom.make(noise(5, 5), Modality="PR").save_as(tmp_path / "state", enforce_file_format=True)
    assert sorted(dicom.convert(tmp_path).verdicts) == ["localizer", "not-an-image", "used"]


def test_planes_of_different_size_or_spacing_are_named(tmp_path, dicom, noise):
    dicom.write(tmp_path / "a", noise(3, 4, 4), SeriesInstanceUID="1.2.1")
    dicom.make(noise(4, 5), ImagePositionPatient=[0, 0, 6], SeriesInstanceUID="1.2.1").save_as(
        tmp_path / "a" / "x", enforce_file_format=True
    )
    spacings = dicom.each([[1, 1], [1, 1], [2, 2]])
    dicom.write(tmp_path / "b", noise(3, 4, 4), SeriesInstanceUID="1.2.2", PixelSpacing=spacings)
    assert dicom.convert(tmp_path).verdicts == ["inconsistent-size", "inconsistent-size"]


def test_planes_of_two_number_types_are_no_planes_of_two_sizes(tmp_path, dicom, noise):
    dicom.write(tmp_path / "a", noise(4, 4, 4), PixelRepresentation=dicom.each([0, 0, 1, 1]))
    dicom.write(tmp_path / "b", noise(4, 4, 4), SeriesInstanceUID="1.2.2", BitsStored=dicom.each([12, 12, 16, 16]),
                HighBit=dicom.each([11, 11, 15, 15]))  # fmt: skip
    assert dicom.convert(tmp_path).verdicts == ["inconsistent-type", "inconsistent-type"]


def test_a_copied_file_is_named_and_the_series_is_used(tmp_path, dicom, noise):
    paths = dicom.write(tmp_path, noise(4, 3, 3))
    (tmp_path / "copy").write_bytes(paths[1].read_bytes())
    assert sorted(dicom.convert(tmp_path).verdicts) == ["duplicate-file", "used"]


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"EchoTime": [2.5, 5.0]}, {"EchoTime": [2.5, 5.0]}),
        ({"TemporalPositionIdentifier": [2, 10]}, {"TemporalPositionIdentifier": [2, 10]}),
        ({"ImageType": [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]]}, {}),
        ({"AcquisitionNumber": [1, 2]}, {"AcquisitionNumber": [1, 2]}),
    ],
)
def test_volumes_at_the_same_place_are_told_apart(tmp_path, dicom, noise, values, label):
    volumes = noise(2, 4, 3, 3)
    for number, volume in enumerate(volumes):
        own = {name: choices[number] for name, choices in values.items()}
        dicom.write(tmp_path / str(number), volume, Modality="MR", SOPClassUID=MRImageStorage, **own)
    samples = dicom.convert(tmp_path).samples
    assert len(samples) == 2
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.payload, volumes[number][:, ::-1, ::-1])
        attributes = json.loads(sample.row["attributes"])
        for name, choices in label.items():
            assert attributes["volume_key"][name] == choices[number]


def test_time_tells_volumes_apart_where_each_slice_has_its_own(tmp_path, dicom, noise):
    volumes = noise(3, 4, 3, 3)
    for number, volume in enumerate(volumes):
        times = dicom.each([f"1000{10 * number + k:02d}.5" for k in range(4)])
        dicom.write(
            tmp_path / str(9 - number), volume, Modality="MR", SOPClassUID=MRImageStorage, AcquisitionTime=times
        )
    samples = dicom.convert(tmp_path).samples
    assert len(samples) == 3
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.payload, volumes[number][:, ::-1, ::-1])


def test_the_sound_volumes_of_a_series_are_kept(tmp_path, dicom, noise):
    dicom.write(tmp_path / "a", noise(4, 3, 3), EchoTime=1.0)
    dicom.write(tmp_path / "b", noise(3, 3, 3), [[0, 0, 0], [0, 0, 2], [0, 0, 6]], EchoTime=2.0)
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["used"]
    assert len(result.samples) == 1
    assert "missing-slice" in result.outcomes[0].detail
    assert [part.reason for part in result.outcomes[0].parts] == ["missing-slice"]
    assert result.outcomes[0].parts[0].uid != result.samples[0].row["uid"]


def test_the_same_images_stored_twice_are_one_volume_and_other_images_are_duplicates(tmp_path, dicom, noise):
    for name in "ab":
        dicom.write(tmp_path / name, noise(4, 3, 3), AcquisitionTime="100000")
        dicom.write(tmp_path / name / "c", noise(4, 3, 3, seed=ord(name)), SeriesInstanceUID="1.7")
    assert dicom.convert(tmp_path).verdicts == ["duplicates", "used", *["duplicate-file"] * 4]


def test_reorientation_is_lossless_and_its_own_inverse(noise):
    volume = noise(3, 4, 5)
    affine = np.array([[0, 0, -2.0, 5], [-1.5, 0, 0, 6], [0, 3.0, 0, 7], [0, 0, 0, 1]])
    turned, adjusted = to_nearest_ras(volume, affine)
    again, same = to_nearest_ras(turned, adjusted)
    np.testing.assert_array_equal(again, turned)
    np.testing.assert_array_equal(same, adjusted)
    np.testing.assert_array_equal(np.diag(adjusted), [2.0, 1.5, 3.0, 1.0])


def frames_at(positions, orientations=None):
    upright = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    orientations = orientations or [upright] * len(positions)
    return [
        SimpleNamespace(spacing=(1.0, 1.0), position=position, orientation=orientation, thickness=None)
        for position, orientation in zip(positions, orientations, strict=True)
    ]


def test_planes_that_swerve_to_the_side_are_no_regular_grid():
    """Equal steps along the normal, and first and last above one another, but one between is 2 mm aside."""
    straight = [[0.0, 0.0, 3.0 * k] for k in range(5)]
    assert len(stack_frames(frames_at(straight), 3).frames) == 5
    with pytest.raises(Verdict, match="regular grid"):
        stack_frames(frames_at([[2.0 * (k == 2), 0.0, 3.0 * k] for k in range(5)]), 3)


def test_planes_of_two_directions_are_no_stack():
    positions = [[0.0, 0.0, 3.0 * k] for k in range(4)]
    turned = [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]] * 3 + [[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    with pytest.raises(Verdict, match="different directions"):
        stack_frames(frames_at(positions, turned), 3)
