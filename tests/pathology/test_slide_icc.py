"""ICC profiles: named always, applied on demand, as LittleCMS applies them."""

import io
import json
import struct

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms

from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import ConfigError, RunFailedError
from voxtile_pathology.convert.convert import convert_wsi
from voxtile_pathology.slides import SlideError, open_slide
from voxtile_pathology.slides.dicom_files import optical_profile
from voxtile_pathology.slides.icc import icc_profile, profile_name, to_srgb
from voxtile_pathology.slides.openslide_reader import OpenSlideReader

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped():
    """The profile of a scanner whose red is sRGB's green and whose green is sRGB's red; ICC.1 7.3: the tag table."""
    data = bytearray(SRGB)
    places = {}
    for index in range(struct.unpack_from(">I", data, 128)[0]):
        at = 132 + 12 * index
        places[bytes(data[at : at + 4])] = at
    data[places[b"rXYZ"] : places[b"rXYZ"] + 4], data[places[b"gXYZ"] : places[b"gXYZ"] + 4] = b"gXYZ", b"rXYZ"
    data[84:100] = bytes(16)  # the profile's checksum, which need not be stated
    return bytes(data)


def coloured():
    rng = np.random.default_rng(0)
    picture = rng.normal((200, 130, 190), 15, (512, 512, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def slides(tmp_path, slide_writer):
    slide_writer.folder = tmp_path / "slides"
    slide_writer.folder.mkdir()
    return slide_writer


def convert(slides, name, **options):
    corpus = slides.folder.parent / name
    convert_wsi(slides.folder, corpus, engine="inline", deidentify=False, codec="png", patch_px=128, **options)
    store = Corpus(corpus)
    rows = [row for row in store.table("samples").to_pylist() if row["kind"] == "patch"]
    return {tuple(row["level0_box"][:2]): decode_picture(store.source(row).encoded()) for row in rows}, rows


def test_a_profile_that_swaps_colours_is_undone():
    pixels = coloured()
    result = to_srgb(swapped())(pixels)
    assert np.abs(result.astype(int) - pixels[..., [1, 0, 2]].astype(int)).max() <= 2
    assert np.abs(to_srgb(SRGB)(pixels).astype(int) - pixels.astype(int)).max() <= 1


def test_patches_are_what_littlecms_makes_of_them(slides):
    picture = coloured()
    slides.pyramid("a.tif", [picture], photometric="rgb", iccprofile=swapped())
    slides.pyramid("b.tif", [picture[::-1]], photometric="rgb")
    source = ImageCms.getOpenProfile(io.BytesIO(swapped()))
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
    expected = ImageCms.profileToProfile(Image.fromarray(picture), source, ImageCms.createProfile("sRGB"), intent)
    for icc, truth in (("keep", picture), ("srgb", np.asarray(expected))):
        pixels, rows = convert(slides, icc, icc=icc, mpp="native")
        assert len(rows) == 32
        of_a = {row["uid"] for row in rows if row["source"] == "a.tif"}
        for row in rows:
            attributes = json.loads(row["attributes"])
            is_a = row["uid"] in of_a
            assert ("icc_profile" in attributes) == is_a
            assert attributes.get("icc") == ("srgb" if is_a and icc == "srgb" else None)
            if is_a:
                assert attributes["icc_profile"] == "sRGB built-in"
        store = Corpus(slides.folder.parent / icc)
        for row in rows:
            x, y = row["level0_box"][:2]
            whole = truth if row["uid"] in of_a else picture[::-1]
            np.testing.assert_array_equal(decode_picture(store.source(row).encoded()), whole[y : y + 128, x : x + 128])
        assert pixels


def test_openslide_dicom_and_tiff_give_the_same_profile(slides, tmp_path):
    path = slides.jpeg_pyramid("a.tif", [coloured()], tile=256)
    with open_slide(path) as slide:
        assert icc_profile(slide) is None
    path = slides.pyramid("b.tif", [coloured()], photometric="rgb", iccprofile=swapped())
    with open_slide(path) as slide, OpenSlideReader(path) as other:
        assert slide.reader == "tiff"
        assert icc_profile(slide) == swapped()
        assert profile_name(icc_profile(other)) == profile_name(swapped()) == "sRGB built-in"
        pixels = coloured()
        np.testing.assert_array_equal(to_srgb(icc_profile(other))(pixels), to_srgb(swapped())(pixels))
    optical = pydicom.Dataset()
    optical.ICCProfile = swapped()
    header = pydicom.Dataset()
    header.OpticalPathSequence = [optical]
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = pydicom.uid.generate_uid()
    header.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert optical_profile(tmp_path / "a.dcm").rstrip(b"\0") == swapped().rstrip(b"\0")


def test_a_damaged_profile_stops_nobody_who_does_not_need_it(slides, capsys):
    slides.pyramid("a.tif", [coloured()], photometric="rgb", iccprofile=b"no profile at all" * 20)
    _, rows = convert(slides, "kept", mpp="native")
    assert json.loads(rows[0]["attributes"])["warnings"] == ["icc-profile"]
    assert "ICC profile is damaged" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(RunFailedError, match="unreadable-icc-profile"):
        convert(slides, "applied", mpp="native", icc="srgb")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(SlideError, match="cannot be applied to RGB pixels"):
        to_srgb(lab)


@pytest.mark.parametrize("option", ["pass_through", "coords_only"])
def test_pixels_that_are_not_computed_cannot_be_converted(slides, option):
    slides.pyramid("a.tif", [coloured()], photometric="rgb")
    with pytest.raises(ConfigError, match="--icc srgb computes new pixels"):
        convert(slides, "refused", icc="srgb", **{option: True})
