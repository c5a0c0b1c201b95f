"""Stored values: transfer syntaxes, bits that count, padding, photometric interpretation, scale."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)


def turned(volume):
    """Axial planes [Z, Y, X] as the corpus holds them: rows from back to front, columns from left to right."""
    return volume[:, ::-1, ::-1]


def facts(sample):
    return json.loads(sample.row["attributes"])


def save(dataset, path):
    dataset.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_lossless_syntaxes_give_the_same_integers(tmp_path, dicom, noise, syntax):
    volume = noise(3, 64, 72, dtype="int16") - 1000
    for k, plane in enumerate(volume):
        dataset = dicom.make(plane, ImagePositionPatient=[0, 0, 2 * k])
        if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = syntax
        save(dataset, tmp_path / str(k))
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.payload.dtype == np.int16
    np.testing.assert_array_equal(sample.payload, turned(volume))


def test_big_endian_and_files_without_preamble(tmp_path, dicom, noise):
    volume = noise(3, 4, 5)
    for k, plane in enumerate(volume):
        dataset = dicom.make(plane, ImagePositionPatient=[0, 0, 2 * k], SeriesInstanceUID="1.2.1")
        dataset.PixelData = plane.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        save(dataset, tmp_path / f"big-{k}")
        dataset = dicom.make(plane, ImagePositionPatient=[0, 0, 2 * k], SeriesInstanceUID="1.2.2")
        del dataset.file_meta
        dataset.save_as(tmp_path / f"bare-{k}", implicit_vr=True, little_endian=True)
    bare, big = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(big.payload, turned(volume))
    np.testing.assert_array_equal(bare.payload, turned(volume))


def write_overlays(folder, dicom, volume, bits, **values):
    """A series with old overlays in bits of its pixels."""
    for path in dicom.write(folder, volume, **values):
        dataset = pydicom.dcmread(path)
        for number, bit in enumerate(bits):
            dataset.add_new((0x6000 + 2 * number, 0x0102), "US", bit)
        dataset.save_as(path)


@pytest.mark.parametrize(
    ("dtype", "stored", "high", "raw", "expected"),
    [
        ("uint16", 12, 11, 0xF123, 0x123),  # an overlay in the upper bits
        ("uint16", 12, 15, 0x1230, 0x123),
        ("int16", 12, 11, 0x0FFF, -1),  # the sign is bit 11
        ("int16", 12, 11, 0x07FF, 2047),
        ("uint8", 6, 5, 0xC3, 0x03),
    ],
)
def test_only_bits_that_count_are_kept(tmp_path, dicom, dtype, stored, high, raw, expected):
    raw_type = "uint16" if dtype.endswith("16") else "uint8"
    volume = np.full((3, 4, 4), raw, dtype=raw_type).view(dtype)
    write_overlays(tmp_path, dicom, volume, range(high + 1, 8 * volume.itemsize), BitsStored=stored, HighBit=high)
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.payload.dtype == np.dtype(dtype)
    assert (sample.payload == expected).all()
    assert facts(sample)["bits_stored"] == stored


@pytest.mark.parametrize(("dtype", "raw"), [("uint16", 0x1123), ("int16", 0x1FFF), ("int16", 0x7FFF)])
def test_bits_beyond_those_stored_are_refused_where_nothing_explains_them(tmp_path, dicom, dtype, raw):
    volume = np.full((3, 4, 4), 100, dtype=dtype)
    volume[1, 2, 3] = raw
    dicom.write(tmp_path / "stray", volume, BitsStored=12, HighBit=11)
    assert dicom.convert(tmp_path / "stray").verdicts == ["stray-bits"]
    dicom.write(tmp_path / "padding", volume, BitsStored=12, HighBit=11, PixelPaddingValue=raw)
    assert len(dicom.convert(tmp_path / "padding").samples) == 1
    write_overlays(tmp_path / "overlay", dicom, volume, [12, 13, 14, 15], BitsStored=12, HighBit=11)
    assert len(dicom.convert(tmp_path / "overlay").samples) == 1


@pytest.mark.parametrize("raw", [0xFFFB, 0x0FFB])
def test_a_negative_value_may_be_written_with_its_sign_in_all_bits_or_without(tmp_path, dicom, raw):
    volume = np.full((3, 4, 4), raw, dtype="uint16").view("int16")
    dicom.write(tmp_path, volume, BitsStored=12, HighBit=11)
    (sample,) = dicom.convert(tmp_path).samples
    assert (sample.payload == -5).all()


@pytest.mark.parametrize("representation", [None, 2])
def test_values_of_unknown_sign_are_refused(tmp_path, dicom, noise, representation):
    dicom.write(tmp_path, noise(3, 4, 4), PixelRepresentation=representation)
    assert dicom.convert(tmp_path).verdicts == ["unsupported-pixels"]


@pytest.mark.parametrize(("columns", "verdict"), [(24, "pixel-data-too-long"), (48, "used")])
def test_more_pixels_than_rows_and_columns_make_are_refused(tmp_path, dicom, noise, columns, verdict):
    for path in dicom.write(tmp_path, noise(3, 20, 48)):
        dataset = pydicom.dcmread(path)
        dataset.Columns = columns
        dataset.PixelData += bytes(96)  # a row fills a block
        dataset.save_as(path)
    assert set(dicom.convert(tmp_path).verdicts) == {verdict}


def test_scale_is_kept_beside_the_integers(tmp_path, dicom, noise):
    dicom.write(tmp_path, noise(3, 4, 4), RescaleSlope="0.5", RescaleIntercept="-100.25")
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.payload.dtype == np.uint16
    (channel,) = sample.row["channels"]
    assert (channel["scale"], channel["offset"], channel["unit"], sample.row["units"]) == (0.5, -100.25, "HU", "HU")


def test_scales_that_differ_between_slices_become_physical_values(tmp_path, dicom, noise):
    volume = noise(3, 4, 4)
    slopes = ["0.1", "0.25", "1.5"]
    pet = {"Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage, "Units": "BQML"}
    dicom.write(tmp_path, volume, RescaleSlope=dicom.each(slopes), RescaleIntercept=0, **pet)
    (sample,) = dicom.convert(tmp_path).samples
    expected = (volume * np.array([0.1, 0.25, 1.5])[:, None, None]).astype(np.float32)
    np.testing.assert_array_equal(sample.payload, turned(expected))
    assert sample.row["units"] == "BQML"
    assert sample.row["channels"][0]["scale"] == 1.0
    assert facts(sample)["scale_harmonised"] is True


def test_planes_of_different_slope_and_intercept_become_one_scale(tmp_path, dicom, noise):
    """As Philips writes MR: stored · slope + intercept of each plane's own, by PS3.3 C.11.1."""
    volume, slopes, intercepts = noise(3, 4, 5), [1.0, 2.5, 0.5], [0.0, -40.0, 7.0]
    mr = {"Modality": "MR", "SOPClassUID": MRImageStorage}
    dicom.write(tmp_path, volume, RescaleSlope=dicom.each(slopes), RescaleIntercept=dicom.each(intercepts), **mr)
    (sample,) = dicom.convert(tmp_path).samples
    (channel,) = sample.row["channels"]
    assert (channel["scale"], channel["offset"]) == (1.0, 0.0)
    expected = volume * np.reshape(slopes, (3, 1, 1)) + np.reshape(intercepts, (3, 1, 1))
    np.testing.assert_allclose(np.sort(sample.payload, axis=None), np.sort(expected, axis=None), rtol=1e-6)
    affine = np.reshape(sample.row["affine"], (4, 4))
    places = np.linalg.inv(affine) @ np.array([[-1.0, -2.0, 2.0, 1.0]]).T  # LPS (1, 2, 2): column 1, row 2, plane 1
    x, y, z = np.round(places[:3, 0]).astype(int)
    assert sample.payload[z, y, x] == pytest.approx(expected[1, 2, 1], rel=1e-6)


@pytest.mark.parametrize(("dtype", "padding", "tag"), [("int16", -2000, -2000), ("uint16", 63536, 63536)])
def test_padding_is_recorded_and_not_changed(tmp_path, dicom, noise, dtype, padding, tag):
    volume = noise(4, 5, 5, dtype=dtype)
    volume[:, 0] = padding
    slices = [dicom.make(plane, ImagePositionPatient=[0, 0, 2 * k]) for k, plane in enumerate(volume)]
    for k, dataset in enumerate(slices):
        dataset.add_new("PixelPaddingValue", "SS" if dtype == "int16" else "US", tag)
        save(dataset, tmp_path / str(k))
    (sample,) = dicom.convert(tmp_path).samples
    assert sample.row["valid_fraction"] == pytest.approx(0.8)
    assert facts(sample)["padding"] == [padding, padding]
    np.testing.assert_array_equal(sample.payload, turned(volume))


X_RAY = {
    "Modality": "DX",
    "SOPClassUID": DigitalXRayImageStorageForPresentation,
    "RescaleIntercept": 0,
    "ImagerPixelSpacing": [0.15, 0.14],
}


def test_x_rays_are_pictures_and_monochrome1_is_inverted(tmp_path, dicom, noise):
    picture = noise(6, 7)
    plain = {**X_RAY, "BitsStored": 12, "HighBit": 11, "PixelSpacing": None, "WindowCenter": 1000, "WindowWidth": 400}
    save(dicom.make(picture, SeriesInstanceUID="1.2.1", **plain), tmp_path / "a")
    save(
        dicom.make(picture, SeriesInstanceUID="1.2.2", PhotometricInterpretation="MONOCHROME1", **plain), tmp_path / "b"
    )
    plain_sample, inverted = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(plain_sample.payload, picture)
    np.testing.assert_array_equal(inverted.payload, 4095 - picture)
    assert (plain_sample.row["kind"], plain_sample.row["axes"], plain_sample.row["units"]) == ("image", "YX", "a.u.")
    assert plain_sample.row["spacing"] == [0.15, 0.14]
    assert facts(plain_sample)["window"] == [1000, 400]
    assert facts(inverted)["window"] == [3095, 400]
    assert facts(inverted)["inverted_from"] == "MONOCHROME1"
    assert "inverted_from" not in facts(plain_sample)


def test_a_series_of_x_rays_gives_a_picture_each(tmp_path, dicom, noise):
    for k in range(3):
        save(dicom.make(noise(4 + k, 5, seed=k), **X_RAY), tmp_path / str(k))
    result = dicom.convert(tmp_path)
    assert result.verdicts == ["used"]
    assert sorted(sample.payload.shape for sample in result.samples) == [(4, 5), (5, 5), (6, 5)]
    assert len({sample.row["uid"] for sample in result.samples}) == 3


def test_colour_is_kept_as_rgb(tmp_path, dicom):
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    capture = {"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage}
    interleaved = dicom.make(picture, SeriesInstanceUID="1.2.1", **capture)
    planar = dicom.make(picture, SeriesInstanceUID="1.2.2", **capture)
    planar.PlanarConfiguration = 1
    planar.PixelData = picture.transpose(2, 0, 1).tobytes()
    save(interleaved, tmp_path / "a")
    save(planar, tmp_path / "b")
    for sample in dicom.convert(tmp_path).samples:
        np.testing.assert_array_equal(sample.payload, picture)
        assert sample.row["axes"] == "YXC"
        assert [channel["name"] for channel in sample.row["channels"]] == ["R", "G", "B"]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("bits", "entry"), [(16, 256), (8, 1), (8, 256)])
def test_a_palette_has_its_colours_in_either_byte_order(tmp_path, dicom, big_endian, bits, entry):
    """Entries of 16 bits; those of 8 bits stand in the low or in the high byte."""
    index = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 77)], axis=-1)
    made = dicom.make(index, Modality="DX", SOPClassUID=DigitalXRayImageStorageForPresentation)
    made.PhotometricInterpretation = "PALETTE COLOR"
    for name, table in zip(("Red", "Green", "Blue"), colours.T, strict=True):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        data = (table * entry).astype(">u2" if big_endian else "<u2").tobytes()
        made.add_new(f"{name}PaletteColorLookupTableData", "OW", data)
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    order = {"implicit_vr": False, "little_endian": not big_endian}
    pydicom.dcmwrite(tmp_path / "palette", made, **order, force_encoding=True)
    (sample,) = dicom.convert(tmp_path, allow_burned_in=True).samples
    np.testing.assert_array_equal(sample.payload, colours[index])
    if not big_endian:  # an old file without preamble and meta information
        del made.file_meta
        for implicit in (False, True):
            pydicom.dcmwrite(tmp_path / "palette", made, implicit_vr=implicit, little_endian=True)
            (sample,) = dicom.convert(tmp_path, allow_burned_in=True).samples
            np.testing.assert_array_equal(sample.payload, colours[index])


def test_a_conversion_type_alone_is_no_screenshot(tmp_path, dicom, noise):
    for number, kind in enumerate(("WSD", "SYN", "DI")):
        dicom.write(tmp_path / kind, noise(4, 8, 8), ConversionType=kind, SeriesInstanceUID=f"1.{number}")
    result = dicom.convert(tmp_path, deidentify=True)
    assert result.verdicts == ["used"] * 3
    assert {sample.row["kind"] for sample in result.samples} == {"volume"}
    film = dicom.make(noise(8, 8), Modality="CR", SOPClassUID=ComputedRadiographyImageStorage, ConversionType="DF")
    (tmp_path / "film").mkdir()
    film.save_as(tmp_path / "film" / "one", enforce_file_format=True)
    assert dicom.convert(tmp_path / "film", deidentify=True).verdicts == ["burned-in-risk"]


def enhanced(volume, positions, *, keys=None, shared=True, storage=EnhancedCTImageStorage, **values):
    """An enhanced multi-frame dataset of `volume` [frames, Y, X]; `keys` adds functional groups to each frame."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = storage, "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.1"
    dataset.Modality, dataset.PatientID = "CT" if storage == EnhancedCTImageStorage else "MR", "p"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.SharedFunctionalGroupsSequence = [Dataset()]
    dataset.PerFrameFunctionalGroupsSequence = []
    for k, position in enumerate(positions):
        frame = Dataset()
        common = dataset.SharedFunctionalGroupsSequence[0] if shared else frame
        common.PlaneOrientationSequence = [Dataset()]
        common.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        common.PixelMeasuresSequence = [Dataset()]
        common.PixelMeasuresSequence[0].PixelSpacing = [0.8, 0.7]
        common.PixelValueTransformationSequence = [Dataset()]
        common.PixelValueTransformationSequence[0].RescaleSlope = 1
        common.PixelValueTransformationSequence[0].RescaleIntercept = -1024
        common.CTXRayDetailsSequence = [Dataset()]
        common.CTXRayDetailsSequence[0].KVP = 120
        common.CTReconstructionSequence = [Dataset()]
        common.CTReconstructionSequence[0].ConvolutionKernel = ["Br38f", "3"]
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = list(position)
        for name, group in (keys(k) if keys else {}).items():
            frame[name] = _sequence(name, group)
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.file_meta = _meta(storage)
    set_pixel_data(dataset, volume, "MONOCHROME2", 16, generate_instance_uid=False)
    return dataset


def _sequence(name, elements):
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    holder = Dataset()
    setattr(holder, name, [item])
    return holder[name]


def _meta(storage):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, "1.2.3.4"
    return meta


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_enhanced_ct_gives_a_volume(tmp_path, dicom, noise, shared, compressed):
    volume = noise(4, 5, 6)
    order = [2, 0, 3, 1]
    dataset = enhanced(volume[order], [(1, 2, 3 + 1.5 * k) for k in order], shared=shared)
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    save(dataset, tmp_path / "one-file")
    (sample,) = dicom.convert(tmp_path).samples
    np.testing.assert_array_equal(sample.payload, turned(volume))
    np.testing.assert_allclose(sample.row["spacing"], [1.5, 0.8, 0.7])
    assert (sample.row["units"], sample.row["channels"][0]["offset"]) == ("HU", -1024)
    assert (facts(sample)["kvp"], facts(sample)["kernel"]) == (120, "Br38f")


def test_stacks_and_b_values_of_one_file_are_volumes(tmp_path, dicom, noise):
    volumes = noise(4, 3, 5, 5)

    def keys(k):
        stack, b_value = divmod(k // 3, 2)
        content = {"StackID": str(stack + 1), "InStackPositionNumber": k % 3 + 1}
        return {"FrameContentSequence": content, "MRDiffusionSequence": {"DiffusionBValue": 1000.0 * b_value}}

    positions = [(0, 0, 100 * (k // 6) + 2 * (k % 3)) for k in range(12)]
    save(enhanced(volumes.reshape(12, 5, 5), positions, keys=keys, storage=EnhancedMRImageStorage), tmp_path / "x")
    samples = dicom.convert(tmp_path).samples
    assert len(samples) == 4
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.payload, turned(volumes[number]))
        assert facts(sample)["b_value_s_mm2"] == 1000.0 * (number % 2)
        assert sample.row["affine"][11] == 100 * (number // 2)


def test_enhanced_frames_without_geometry_are_named(tmp_path, dicom, noise):
    dataset = enhanced(noise(4, 5, 6), [(0, 0, k) for k in range(4)])
    del dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    save(dataset, tmp_path / "x")
    assert dicom.convert(tmp_path).verdicts == ["no-geometry"]
