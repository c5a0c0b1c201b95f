"""Kinds of images beside CT, MR, PET and radiographs: each is converted right, or refused for its true reason."""

from __future__ import annotations

import json

import gdcm
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from voxtile_medical.dicom import odd_planes

ROOT = "1.2.840.10008.5.1.4.1.1."
JPEG_XL = "1.2.840.10008.1.2.4.110"
AXIAL = [1, 0, 0, 0, 1, 0]


def save(dataset, path, syntax=None):
    """As pydicom writes it; a syntax that it does not know is written under another's UID of the same length."""
    known = "1.2.840.10008.1.2.4.201" if syntax == JPEG_XL else syntax
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = UID(known)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    if known != syntax:
        path.write_bytes(path.read_bytes().replace(known.encode(), syntax.encode()))


def packed_12(values):
    """12-bit values without gaps, from the lowest bit on."""
    octets = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(-1, 2)
    return np.packbits(np.unpackbits(octets, 1, bitorder="little")[:, :12].reshape(-1), bitorder="little").tobytes()


def turned(volume):
    """Axial planes [Z, Y, X] as the corpus holds them."""
    return volume[:, ::-1, ::-1]


def facts(sample):
    return json.loads(sample.row["attributes"])


def film(dicom, frames, **values):
    """A multi-frame file of [frame, Y, X] or [frame, Y, X, 3]."""
    dataset = dicom.make(frames[0], **{"NumberOfFrames": len(frames), "RescaleIntercept": None, **values})
    dataset.PixelData = frames.tobytes()
    return dataset


def groups(**sequences):
    """Functional groups of a frame: macro name to its elements."""
    item = Dataset()
    for name, elements in sequences.items():
        inner = Dataset()
        for keyword, value in elements.items():
            setattr(inner, keyword, value)
        setattr(item, name, [inner])
    return item


def tomosynthesis(dicom, frames, storage="13.1.3", **values):
    dataset = film(
        dicom,
        frames,
        SOPClassUID=ROOT + storage,
        **{"Modality": "MG", "ImageOrientationPatient": None, "ImagePositionPatient": None, **values},
    )
    dataset.SharedFunctionalGroupsSequence = [
        groups(
            PixelMeasuresSequence={"PixelSpacing": [0.1, 0.1], "SliceThickness": 1},
            PlaneOrientationSequence={"ImageOrientationPatient": AXIAL},
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        groups(PlanePositionSequence={"ImagePositionPatient": [3, 4, 1.5 * k]}) for k in range(len(frames))
    ]
    return dataset


@pytest.mark.parametrize(
    ("storage", "values"),
    [
        ("13.1.3", {"Modality": "MG"}),
        ("13.1.1", {"Modality": "XA"}),
        ("13.1.2", {"Modality": "DX"}),
        ("77.1.5.4", {"Modality": "OPT", "OphthalmicVolumetricPropertiesFlag": "YES", "BurnedInAnnotation": "NO"}),
    ],
)
def test_slices_of_tomosynthesis_rotational_angiography_and_oct_are_volumes(tmp_path, dicom, noise, storage, values):
    volume = noise(4, 6, 8)
    save(tomosynthesis(dicom, volume, storage, **values), tmp_path / "x")
    (sample,) = dicom.convert(tmp_path, deidentify=True).samples
    np.testing.assert_array_equal(sample.payload, turned(volume))
    assert (sample.row["kind"], sample.row["modality"], sample.row["units"]) == ("volume", values["Modality"], "a.u.")
    affine = np.reshape(sample.row["affine"], (4, 4))
    # The last voxel of the array is the first of the first row of the last plane.
    np.testing.assert_allclose(affine @ [7, 5, 3, 1], [-3, -4, 4.5, 1], atol=1e-6)
    np.testing.assert_allclose(sample.row["spacing"], [1.5, 0.1, 0.1], atol=1e-9)


def scintigraphy(dicom, frames, kind, step=-4.0, **values):
    dataset = film(
        dicom,
        frames,
        Modality="NM",
        SOPClassUID=ROOT + "20",
        ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"],
        SpacingBetweenSlices=step,
        **{"ImageOrientationPatient": None, "ImagePositionPatient": None, **values},
    )
    detector = Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = [-10.0, -20.0, 100.0], AXIAL
    dataset.DetectorInformationSequence = [detector]
    return dataset


@pytest.mark.parametrize("step", [-4.0, 4.0])
def test_a_spect_reconstruction_lies_where_its_first_slice_and_its_signed_step_say(tmp_path, dicom, noise, step):
    volume = noise(5, 6, 7)
    save(scintigraphy(dicom, volume, "RECON TOMO", step, SliceVector=[1, 2, 3, 4, 5]), tmp_path / "x")
    (sample,) = dicom.convert(tmp_path, deidentify=True).samples
    assert (sample.row["kind"], sample.row["modality"], sample.row["units"]) == ("volume", "NM", "a.u.")
    affine = np.reshape(sample.row["affine"], (4, 4))
    for k in range(5):
        x, y, z, _ = np.round(np.linalg.inv(affine) @ [10, 20, 100 + k * step, 1]).astype(int)
        assert sample.payload[z, y, x] == volume[k, 0, 0]


def test_a_gated_reconstruction_is_one_volume_a_phase(tmp_path, dicom, noise):
    volume = noise(6, 4, 5)
    vectors = {"SliceVector": [1, 2, 3, 1, 2, 3], "TimeSlotVector": [1, 1, 1, 2, 2, 2]}
    save(scintigraphy(dicom, volume, "RECON GATED TOMO", 4.0, **vectors), tmp_path / "x")
    samples = dicom.convert(tmp_path).samples
    assert [sample.payload.shape for sample in samples] == [(3, 4, 5)] * 2
    np.testing.assert_array_equal(samples[1].payload, turned(volume[3:]))


def test_projections_and_reconstructions_without_a_step_are_refused(tmp_path, dicom, noise):
    volume = noise(5, 6, 7)
    save(scintigraphy(dicom, volume, "TOMO", SeriesInstanceUID="1.2.1"), tmp_path / "projections")
    save(scintigraphy(dicom, volume, "RECON TOMO", None, SeriesInstanceUID="1.2.2"), tmp_path / "stepless")
    vector = {"SliceVector": [1, 2], "SeriesInstanceUID": "1.2.3"}
    save(scintigraphy(dicom, volume, "RECON TOMO", **vector), tmp_path / "vector")
    converted = dicom.convert(tmp_path)
    assert converted.verdict_of("projections") == "projections"
    assert converted.verdict_of("stepless") == converted.verdict_of("vector") == "no-geometry"


def test_planar_scintigraphies_are_pictures(tmp_path, dicom, noise):
    views = noise(2, 6, 7)
    save(scintigraphy(dicom, views, "WHOLE BODY", None), tmp_path / "x")
    samples = dicom.convert(tmp_path, deidentify=True, film_frames=2).samples
    for sample, view in zip(samples, views, strict=True):
        np.testing.assert_array_equal(sample.payload, view)
        assert sample.row["modality"] == "NM"


@pytest.mark.parametrize(
    ("modality", "storage"), [("US", "3.1"), ("XA", "12.1"), ("RF", "12.2"), ("OT", "7.2"), ("XA", "12.1.1")]
)
@pytest.mark.parametrize("shape", [(7, 4, 5), (7, 4, 5, 3)])
def test_frames_of_a_film_are_evenly_spaced_pictures_and_the_row_says_how_many(
    tmp_path, dicom, noise, modality, storage, shape
):
    frames = noise(*shape, dtype="uint8", high=256)
    save(film(dicom, frames, Modality=modality, SOPClassUID=ROOT + storage), tmp_path / "x")
    assert dicom.convert(tmp_path, deidentify=True).verdicts == ["burned-in-risk"]
    (one,) = dicom.convert(tmp_path, allow_burned_in=True).samples
    np.testing.assert_array_equal(one.payload, frames[3])
    converted = dicom.convert(tmp_path, allow_burned_in=True, film_frames=3)
    assert "film: 3 of the 7 frames" in converted.outcomes[0].detail
    assert [facts(s)["frame"] for s in converted.samples] == [2, 4, 6]
    for sample, frame in zip(converted.samples, frames[[1, 3, 5]], strict=True):
        np.testing.assert_array_equal(sample.payload, frame)
    assert len({s.row["uid"] for s in converted.samples} | {one.row["uid"]}) == 3  # the middle one is the same sample


def test_scans_of_the_eye_that_lie_in_no_space_and_fundus_photographs_are_pictures(tmp_path, dicom, noise):
    scans = noise(3, 4, 5, dtype="uint8", high=256)
    values = {"Modality": "OPT", "SOPClassUID": ROOT + "77.1.5.4", "BurnedInAnnotation": "NO"}
    save(film(dicom, scans, OphthalmicVolumetricPropertiesFlag="NO", **values), tmp_path / "oct")
    fundus = noise(6, 7, 3, dtype="uint8", high=256)
    values = {"Modality": "OP", "SOPClassUID": ROOT + "77.1.5.1", "SeriesInstanceUID": "1.2.9"}
    save(dicom.make(fundus, RescaleIntercept=None, **values), tmp_path / "fundus")
    converted = dicom.convert(tmp_path, allow_burned_in=True, film_frames=9)
    by_modality = {s.row["modality"]: s for s in converted.samples}
    np.testing.assert_array_equal(by_modality["OP"].payload, fundus)
    assert len(converted.samples) == 4
    assert by_modality["OPT"].row["kind"] == "image"


@pytest.mark.parametrize(
    ("values", "syntax", "reason", "words"),
    [
        ({"Modality": "SM", "SOPClassUID": ROOT + "77.1.6"}, None, "whole-slide", "voxtile convert wsi"),
        ({"Modality": "MG", "SOPClassUID": ROOT + "13.1.4"}, None, "projections", "Breast Tomosynthesis"),
        ({"Modality": "MR", "SOPClassUID": ROOT + "30"}, None, "parametric-map", "map of quantities"),
        ({"Modality": "RTIMAGE", "SOPClassUID": ROOT + "481.1"}, None, "unsupported-modality", "portal image"),
        ({"Modality": "LEN", "SOPClassUID": ROOT + "999"}, None, "unsupported-modality", "neither CT"),
        ({"Modality": "XA", "SOPClassUID": ROOT + "12.1"}, "1.2.840.10008.1.2.4.102", "unsupported-syntax", "a video"),
        ({}, "1.2.840.10008.1.2.4.92", "unsupported-syntax", "no decoder of JPEG 2000 Part 2"),
        ({}, "1.2.840.113619.5.2.99", "unsupported-syntax", "does not know"),
    ],
)
def test_what_is_not_converted_is_refused_for_its_true_reason(tmp_path, dicom, noise, values, syntax, reason, words):
    dataset = dicom.make(noise(4, 5), **values)
    if syntax:
        dataset.PixelData = encapsulate([b"\0\0\0\1"])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    save(dataset, tmp_path / "x", syntax)
    converted = dicom.convert(tmp_path, min_slices=1, allow_burned_in=True)
    assert converted.verdicts == [reason]
    assert words in converted.outcomes[0].detail
    assert "113619" not in converted.outcomes[0].detail


def test_pixels_on_a_server_are_named(tmp_path, dicom, noise):
    dataset = dicom.make(noise(4, 5))
    del dataset.PixelData
    dataset.PixelDataProviderURL = "https://example.org/jpip"
    save(dataset, tmp_path / "x", "1.2.840.10008.1.2.4.94")
    (outcome,) = dicom.convert(tmp_path, min_slices=1).outcomes
    assert outcome.reason == "no-pixel-data"
    assert "JPIP" in outcome.detail


def test_packed_12_bit_values_are_those_that_gdcm_reads(tmp_path, dicom, noise):
    plane = noise(5, 7)  # an odd number of values: the last byte is half used
    dataset = dicom.make(plane, Modality="CR", SOPClassUID=ROOT + "1", BitsStored=12, HighBit=11, RescaleIntercept=None)
    packed = packed_12(plane)
    dataset.BitsAllocated, dataset.PixelData = 12, packed + b"\0" * (len(packed) % 2)
    save(dataset, tmp_path / "x")
    (sample,) = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(sample.payload, plane)
    even = dicom.make(plane[:4, :6], Modality="CR", SOPClassUID=ROOT + "1", BitsStored=12, HighBit=11)
    even.BitsAllocated, even.PixelData = 12, packed_12(plane[:4, :6])
    save(even, tmp_path / "y")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "y"))
    assert reader.Read()
    buffer = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    np.testing.assert_array_equal(np.frombuffer(buffer, np.uint16).reshape(4, 6), plane[:4, :6])
    assert dicom.convert(tmp_path / "y").samples[0].payload.tolist() == plane[:4, :6].tolist()
    dataset.PixelData = packed[:-2]
    save(dataset, tmp_path / "x")
    assert dicom.convert(tmp_path / "x").verdicts == ["pixel-data-too-short"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "rgb"])
def test_jpeg_xl_gives_the_same_values(tmp_path, dicom, noise, dtype):
    shape = (9, 8, 3) if dtype == "rgb" else (9, 8)
    plane = noise(*shape, dtype="uint16" if dtype == "uint16" else "uint8", high=4096 if dtype == "uint16" else 256)
    dataset = dicom.make(plane, Modality="CR", SOPClassUID=ROOT + "1", RescaleIntercept=None)
    if dtype == "uint16":
        dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = encapsulate([imagecodecs.jpegxl_encode(plane, lossless=True)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    save(dataset, tmp_path / "x", JPEG_XL)
    (sample,) = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(sample.payload, plane)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (8, 8, 7) if dtype == "uint16" else (16, 16, 15)
    save(dataset, tmp_path / "x", JPEG_XL)
    assert dicom.convert(tmp_path).verdicts == ["decode-error"]


def test_overlays_are_never_burned_into_values(tmp_path, dicom, noise):
    volume = noise(3, 8, 8)
    for k, plane in enumerate(volume):
        dataset = dicom.make(plane | 0x1000, ImagePositionPatient=[0, 0, 2 * k], BitsStored=12, HighBit=11)
        for group, position in ((0x6000, 0), (0x6002, 12)):  # an overlay of its own, and one in the unused bits
            for element, vr, value in (
                (0x0010, "US", 8),
                (0x0011, "US", 8),
                (0x0040, "CS", "G"),
                (0x0050, "SS", [1, 1]),
                (0x0100, "US", 16 if position else 1),
                (0x0102, "US", position),
            ):
                dataset.add_new((group, element), vr, value)
        dataset.add_new((0x6000, 0x3000), "OW", b"\xff" * 8)
        save(dataset, tmp_path / str(k))
    (sample,) = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(sample.payload, turned(volume))


def test_a_palette_without_its_table_is_named(tmp_path, dicom, noise):
    values = {"Modality": "US", "SOPClassUID": ROOT + "6.1", "PhotometricInterpretation": "PALETTE COLOR"}
    save(dicom.make(noise(4, 5, dtype="uint8", high=256), **values), tmp_path / "x")
    assert dicom.convert(tmp_path).verdicts == ["unsupported-pixels"]


def test_a_series_with_a_thousand_localizers_is_a_row_that_counts_them_and_its_slices_are_used(tmp_path, dicom, noise):
    dicom.write(tmp_path / "ct", noise(4, 6, 6))
    dicom.write(tmp_path / "scouts", noise(1000, 2, 2), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    converted = dicom.convert(tmp_path)
    assert converted.verdicts == ["used", "localizer"]
    assert "1000 localizers" in converted.outcomes[1].detail


def test_planes_of_very_many_directions_are_not_compared_each_with_each(tmp_path, dicom, noise, monkeypatch):
    calls = []
    alike = odd_planes._are_alike
    monkeypatch.setattr(odd_planes, "_are_alike", lambda a, b: calls.append(1) or alike(a, b))
    turned = [[float(np.cos(k / 90)), float(np.sin(k / 90)), 0, 0, 0, -1] for k in range(150)]
    dicom.write(tmp_path, noise(150, 2, 2), ImageOrientationPatient=dicom.each(turned))
    assert dicom.convert(tmp_path).verdicts == ["mixed-orientations"]
    assert len(calls) < 40 * 40
