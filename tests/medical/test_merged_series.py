"""What was filed under one series UID and is no volume: parted where each part is sound, refused where it is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, MRImageStorage, RawDataStorage

from voxtile_medical.convert.dicom import convert_dicom


def add(dicom, folder, volume, positions, start=1, **values):
    """More files of the same series."""
    folder.mkdir(exist_ok=True)
    for k, plane in enumerate(volume):
        dataset = dicom.make(plane, ImagePositionPatient=list(positions[k]), InstanceNumber=start + k, **values)
        dataset.save_as(folder / f"{start + k:03d}.dcm", enforce_file_format=True)


def sums(converted):
    return sorted(int(sample.payload.sum()) for sample in converted.samples)


@pytest.mark.parametrize("shift", [1.1, 1.5, 4.4])
def test_acquisitions_that_lie_between_each_other_are_two_volumes(tmp_path, dicom, noise, shift):
    one, other = noise(2, 6, 5, 4)
    add(dicom, tmp_path, one, [[0, 0, 3.0 * k] for k in range(6)], AcquisitionNumber=1)
    add(dicom, tmp_path, other, [[0, 0, 3.0 * k + shift] for k in range(6)], start=7, AcquisitionNumber=2)
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["used"]
    assert sums(converted) == sorted([int(one.sum()), int(other.sum())])
    keys = [json.loads(sample.row["attributes"])["volume_key"] for sample in converted.samples]
    assert keys == [{"AcquisitionNumber": 1.0}, {"AcquisitionNumber": 2.0}]


@pytest.mark.parametrize(
    "values",
    [{"ConvolutionKernel": ["B30f", "B70f"]}, {"KVP": [80, 140]}, {"ContrastBolusAgent": ["", "Iopromide 300"]}],
)
def test_planes_half_a_step_apart_that_were_made_otherwise_are_no_finer_volume(tmp_path, dicom, noise, values):
    volumes = noise(2, 6, 5, 4)
    for v, volume in enumerate(volumes):
        own = {name: choices[v] for name, choices in values.items() if choices[v]}
        add(dicom, tmp_path, volume, [[0, 0, 3.0 * k + 1.5 * v] for k in range(6)], start=1 + 6 * v, **own)
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["used"]
    assert sums(converted) == sorted(int(volume.sum()) for volume in volumes)


@pytest.mark.parametrize(("thickness", "number"), [(3.0, 1), (2.5, 1), (6.0, 2), (None, 2)])
def test_passes_over_every_other_plane_are_one_volume_unless_planes_lie_in_each_other(
    tmp_path, dicom, noise, thickness, number
):
    volume = noise(8, 5, 4)
    for k, plane in enumerate(volume):
        own = {"AcquisitionNumber": 1 + k % 2, "SliceThickness": thickness}
        add(dicom, tmp_path, plane[None], [[0, 0, 3.0 * k]], start=k + 1, **own)
    assert len(dicom.convert(tmp_path).samples) == number


def macro(name, **elements):
    inner, item = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(inner, keyword, value)
    setattr(item, name, [inner])
    return item


@pytest.mark.parametrize("thickness", [2, 4])
def test_an_enhanced_volume_whose_scale_alternates_from_plane_to_plane_is_one(tmp_path, dicom, noise, thickness):
    """Half of its planes would make a sound volume of twice the step."""
    volume, place = noise(8, 5, 4), {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    file = dicom.make(volume.reshape(40, 4), SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=8, Rows=5, **place)
    shared = macro("PixelMeasuresSequence", PixelSpacing=[1, 1], SliceThickness=thickness)
    shared.update(macro("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    file.SharedFunctionalGroupsSequence = [shared]
    file.PerFrameFunctionalGroupsSequence = []
    for k in range(8):
        frame = macro("PlanePositionSequence", ImagePositionPatient=[0, 0, 2 * k])
        frame.update(macro("PixelValueTransformationSequence", RescaleSlope=1 + k % 2, RescaleIntercept=-1024))
        file.PerFrameFunctionalGroupsSequence.append(frame)
    file.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.row["spacing"] == [2.0, 1.0, 1.0]
    meant = volume * (1.0 + np.arange(8) % 2)[:, None, None] - 1024
    (channel,) = sample.row["channels"]
    np.testing.assert_allclose(sample.payload * channel["scale"] + channel["offset"], meant[:, ::-1, ::-1], atol=1e-3)


def test_an_acquisition_for_each_plane_or_slab_is_one_volume(tmp_path, dicom, noise):
    volume = noise(12, 5, 4)
    for name, numbers in (("a", list(range(12))), ("b", [k // 4 for k in range(12)])):
        for k, number in enumerate(numbers):  # sequential CT, one rotation after the other
            add(dicom, tmp_path / name, volume[k : k + 1], [[0, 0, 3.0 * k]], start=k + 1, AcquisitionNumber=number)
        assert sums(dicom.convert(tmp_path / name)) == [int(volume.sum())]


def test_a_volume_that_was_cut_in_two_is_not_two_volumes(tmp_path, dicom, noise):
    add(dicom, tmp_path, noise(4, 5, 4), [[0, 0, 3.0 * k] for k in range(4)], AcquisitionNumber=1)
    add(dicom, tmp_path, noise(4, 5, 4), [[0, 0, 20 + 5.0 * k] for k in range(4)], start=5, AcquisitionNumber=2)
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["unequal-steps"]


def test_stacks_of_several_directions_are_volumes_of_their_own(tmp_path, dicom, noise):
    volumes = noise(3, 4, 5, 4)
    for v, angle in enumerate((0.0, 12.0, 25.0)):  # as of the discs of a spine
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        orientation = [1.0, 0.0, 0.0, 0.0, float(c), float(s)]
        places = [np.array([0, 0, 30.0 * v]) + 3.0 * k * np.array([0, -s, c]) for k in range(4)]
        add(dicom, tmp_path, volumes[v], places, start=1 + 4 * v, ImageOrientationPatient=orientation)
    (tmp_path / "012.dcm").unlink()  # the last disc has three planes, which lack nothing
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["used"]
    assert not converted.outcomes[0].parts
    assert sums(converted) == sorted([*(int(volume.sum()) for volume in volumes[:2]), int(volumes[2][:3].sum())])


def test_planes_that_each_have_a_direction_are_refused(tmp_path, dicom, noise):
    for k, plane in enumerate(noise(8, 1, 5, 4)):  # radial: no two alike
        c, s = float(np.cos(np.radians(22.5 * k))), float(np.sin(np.radians(22.5 * k)))
        add(dicom, tmp_path, plane, [[0, 0, 0]], start=1 + k, ImageOrientationPatient=[c, s, 0, 0, 0, 1])
    assert dicom.convert(tmp_path).verdicts == ["mixed-orientations"]
    assert dicom.convert(tmp_path, min_slices=1).verdicts == ["mixed-orientations"]


@pytest.mark.parametrize(
    ("storage", "verdict"),
    [
        (RawDataStorage, "not-an-image"),
        ("1.3.46.670589.11.0.0.12.2", "no-pixel-data"),  # Philips: series data, in every classic export
    ],
)
def test_raw_data_under_the_series_uid_do_not_cost_the_images(tmp_path, dicom, noise, storage, verdict):
    volume = noise(4, 5, 4)
    mr = {"Modality": "MR", "RescaleIntercept": 0}
    raw = dicom.make(noise(5, 4), SOPClassUID=storage, **mr)
    del raw.PixelData
    raw.save_as(tmp_path / "000.dcm", enforce_file_format=True)
    places = [[0, 0, 3.0 * k] for k in range(4)]
    add(dicom, tmp_path, volume, places, SOPClassUID=MRImageStorage, **mr)
    converted = dicom.convert(tmp_path)
    assert sorted(converted.verdicts) == sorted([verdict, "used"])
    assert sums(converted) == [int(volume.sum())]


def test_a_plane_without_pixels_costs_its_series(tmp_path, dicom, noise):
    add(dicom, tmp_path, noise(4, 5, 4), [[0, 0, 3.0 * k] for k in range(4)])
    last = dicom.make(noise(5, 4), ImagePositionPatient=[0, 0, 12], InstanceNumber=5)
    del last.PixelData
    last.save_as(tmp_path / "005.dcm", enforce_file_format=True)
    assert "used" not in dicom.convert(tmp_path).verdicts


def test_an_enhanced_file_beside_its_own_planes_is_a_series_of_its_own(tmp_path, dicom, noise):
    volume = noise(4, 5, 4)
    mr = {"Modality": "MR", "RescaleIntercept": 0}
    enhanced = dicom.make(noise(5, 4), SOPClassUID=EnhancedMRImageStorage, NumberOfFrames=1, **mr)
    enhanced.save_as(tmp_path / "000.dcm", enforce_file_format=True)
    add(dicom, tmp_path, volume, [[0, 0, 3.0 * k] for k in range(4)], SOPClassUID=MRImageStorage, **mr)
    converted = dicom.convert(tmp_path)
    assert sorted(converted.verdicts) == ["no-geometry", "used"]
    assert sums(converted) == [int(volume.sum())]


@pytest.mark.parametrize(
    "values",
    [
        {"ContrastBolusAgentPhase": ["ARTERIAL", "VENOUS", "DELAYED"]},
        {"ConvolutionKernel": ["B30f", "B50f", "B70f"]},
        {"NominalPercentageOfCardiacPhase": [0.0, 40.0, 75.0]},
        {"TriggerTime": [0.0, 120.5, 241.0]},
        {"AcquisitionTime": ["100000", "100030", "100100"]},
        {"AcquisitionDateTime": ["20200312100000", "20200312100030", "20200313000100"]},
        {"ContentTime": ["100000.1", "100000.2", "100000.3"]},
    ],
)
def test_phases_of_a_study_are_volumes_of_their_own(tmp_path, dicom, noise, values):
    volumes = noise(3, 4, 5, 4)
    for v, volume in enumerate(volumes):
        own = {name: choices[v] for name, choices in values.items()}
        dicom.write(tmp_path / str(2 - v), volume, **own)  # instance numbers are the same in all
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["used"]
    assert sums(converted) == sorted(int(volume.sum()) for volume in volumes)
    kernels = {json.loads(sample.row["attributes"]).get("kernel") for sample in converted.samples}
    assert kernels == set(values.get("ConvolutionKernel", [None]))


def test_images_that_were_saved_in_turns_are_not_told_apart_by_that(tmp_path, dicom, noise):
    for v, volume in enumerate(noise(2, 4, 5, 4)):
        times = [f"1000{10 + 2 * k + (v + k) % 2}.0" for k in range(4)]
        dicom.write(tmp_path / str(v), volume, ContentTime=dicom.each(times))
    assert dicom.convert(tmp_path).verdicts == ["duplicates"]


@pytest.mark.parametrize(
    ("start", "values", "named"),
    [
        (8, {}, True),
        (9, {}, False),  # half a step away
        (8, {"FrameOfReferenceUID": "1.6"}, False),
        (8, {"PixelSpacing": [2, 2]}, False),
        (8, {"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}, False),
        (6, {}, False),  # the last plane again
    ],
)
def test_a_volume_under_two_uids_is_named(tmp_path, dicom, noise, capsys, start, values, named):
    own = {"FrameOfReferenceUID": "1.5", "PixelSpacing": [1, 1]}
    dicom.write(tmp_path / "in" / "a", noise(4, 6, 6), SeriesInstanceUID="1.1", **own)
    positions = [[0, 0, start + 2 * k] for k in range(4)]
    dicom.write(tmp_path / "in" / "b", noise(4, 6, 6, seed=1), positions, SeriesInstanceUID="1.2", **(own | values))
    convert_dicom(tmp_path / "in", tmp_path / "corpus", engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert ("1 series begin one step behind the last plane of another" in said) == named


@pytest.mark.parametrize(("lost", "stored"), [([9], [0, 2]), ([6], [0, 2]), ([11], [0, 1, 2]), ([7, 8, 9], None)])
@pytest.mark.parametrize("way", [1, -1])
def test_a_phase_that_lacks_a_plane_costs_no_other_phase(tmp_path, dicom, noise, lost, stored, way):
    """Nothing but InstanceNumber tells the phases apart; 6 and 11 are the ends of the second."""
    volumes = noise(3, 6, 5, 4)
    for number, plane in enumerate(volumes.reshape(18, 5, 4)):
        if number not in lost:
            add(dicom, tmp_path, plane[None], [[0, 0, 2.0 * way * (number % 6)]], start=number + 1)
    converted = dicom.convert(tmp_path)
    if stored is None:
        assert converted.verdicts == ["duplicates"]
        return
    found = {sample.payload.shape[0]: 0 for sample in converted.samples}
    for sample in converted.samples:
        found[sample.payload.shape[0]] += 1
    whole = [int(volumes[k].sum()) for k in (0, 2)]
    assert {int(s.payload.sum()) for s in converted.samples if len(s.payload) == 6} == set(whole)
    reasons = [part.reason for outcome in converted.outcomes for part in outcome.parts]
    assert found == ({6: 2} if lost == [9] else {6: 2, 5: 1})
    assert reasons == (["missing-slice"] if lost == [9] else ["planes-short"])
