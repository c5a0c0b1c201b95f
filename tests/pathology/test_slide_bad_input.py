"""Damaged, hostile and incomplete slides: one clear sentence, and what is sound stays readable."""

import resource
import shutil
import struct

import numpy as np
import pytest
import tifffile

from voxtile_pathology.slides import SlideError, find_slides, open_slide


def overwrite(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def tile_place(path, index, page=0):
    with tifffile.TiffFile(path) as file:
        return file.pages[page].dataoffsets[index], file.pages[page].databytecounts[index]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_truncated_svs_is_refused_in_one_sentence(test_data, tmp_path, share):
    source = test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"
    path = tmp_path / "cut.svs"
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideError, match=r"cut\.svs .*(cut short|copy it again)"):
        open_slide(path)


def test_a_slide_cut_within_its_pixels_is_refused(slide_writer, slide_texture):
    path = slide_writer.jpeg_pyramid("a.tif", slide_texture(640, 512)[:1])
    end = tile_place(path, 12)[0] + 10
    data = path.read_bytes()
    path.write_bytes(data[:end])
    with pytest.raises(SlideError, match=r"a\.tif .*cut short"):
        open_slide(path)


@pytest.mark.parametrize("damage", ["start", "scan", "size"])
def test_a_corrupt_tile_costs_only_the_patches_that_need_it(slide_writer, slide_texture, openslide_pixels, damage):
    path = slide_writer.jpeg_pyramid("a.tif", slide_texture(640, 512)[:1])
    sound = openslide_pixels(path, 0, (0, 0, 640, 512))
    offset, count = tile_place(path, 6)  # column 1, row 1 of 5 x 4
    stream = path.read_bytes()[offset : offset + count]
    if damage == "start":
        overwrite(path, offset, b"\0" * 64)
    elif damage == "scan":
        overwrite(path, offset + count // 2, b"\xff\xd9" + b"\0" * (count - count // 2 - 2))
    else:  # a frame that claims 65,500 x 65,500 pixels: 12 GB, refused before they are taken
        frame = stream.index(b"\xff\xc0")
        overwrite(path, offset + frame + 5, struct.pack(">HH", 65500, 65500))
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match=r"a\.tif: the tile \(1, 1\) of the 640 x 512 level"):
            slide.read(0, (128, 128, 256, 256))
        with pytest.raises(SlideError, match="tile"):
            slide.read(0, (100, 100, 228, 228))
        if damage != "scan":
            with pytest.raises(SlideError, match="tile"):
                slide.tile_grid(0).encoded(1, 1)
        for box in ((0, 0, 128, 128), (256, 128, 384, 256), (300, 300, 600, 500)):
            assert np.array_equal(slide.read(0, box), sound[box[1] : box[3], box[0] : box[2]])


def test_openslide_goes_on_after_a_corrupt_tile(slide_writer, slide_texture):
    from voxtile_pathology.slides.openslide_reader import OpenSlideReader

    path = slide_writer.svs("a.svs", slide_texture(640, 512)[:1])
    with OpenSlideReader(path) as slide:
        sound = slide.read(0, (0, 0, 640, 512))
    offset, count = tile_place(path, 6)
    overwrite(path, offset, b"\0" * count)
    with OpenSlideReader(path) as slide:
        for _ in range(2):
            with pytest.raises(SlideError, match=r"a\.svs: the pixels at \(128, 128\) of level 0 cannot be decoded"):
                slide.read(0, (128, 128, 256, 256))
            assert np.array_equal(slide.read(0, (256, 256, 384, 384)), sound[256:384, 256:384])


@pytest.mark.parametrize("damage", ["start", "tail", "noise"])
@pytest.mark.parametrize("kind", ["svs", "plain"])
def test_a_damaged_jpeg_2000_codestream_is_found_before_it_is_decoded(slide_writer, slide_texture, kind, damage):
    picture = slide_texture(384, 256)[0]
    if kind == "svs":
        path = slide_writer.jpeg2000_svs("a.svs", picture)
    else:
        path = slide_writer.pyramid(
            "a.tif",
            [picture],
            photometric="rgb",
            compression="jpeg2000",
            compressionargs={"level": 0, "reversible": True, "codecformat": "j2k"},
        )
    offset, count = tile_place(path, 4)  # column 1, row 1 of 3 x 2
    if damage == "start":
        overwrite(path, offset, b"\0" * 40)
    elif damage == "tail":
        overwrite(path, offset + count // 3, b"\0" * (count - count // 3))
    else:
        noise = np.random.default_rng(0).integers(0, 256, count // 4, dtype=np.uint8).tobytes()
        overwrite(path, offset + count // 2, noise)
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match=r"the tile \(1, 1\) of the 384 x 256 level"):
            slide.read(0, (128, 128, 256, 256))
        assert np.array_equal(slide.read(0, (0, 0, 128, 128)), picture[:128, :128])


def bomb(path, *, tiled):
    """A TIFF header that claims a million by a million pixels in one piece of ten bytes."""
    side, place = 1_000_000, 8 + 2 + 12 * 12 + 4
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, 8),  # deflate
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 4, 1, side) if tiled else (278, 4, 1, side),
        (323, 4, 1, side) if tiled else (284, 3, 1, 1),
        (324 if tiled else 273, 4, 1, place),
        (325 if tiled else 279, 4, 1, 10),
    ]
    entries.sort()
    body = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for code, kind, count, value in entries:
        body += struct.pack("<HHII", code, kind, count, value)
    body += struct.pack("<I", 0)
    path.write_bytes(body.ljust(place, b"\0") + b"x\x9c\x03\0\0\0\0\0\0\x01")
    return path


@pytest.mark.parametrize("tiled", [False, True])
def test_a_tiff_bomb_is_refused_before_memory_is_taken(tmp_path, tiled):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SlideError, match=r"bomb\.tif holds 1000000 x 1000000 pixels in pieces of .* at once"):
        open_slide(bomb(tmp_path / "bomb.tif", tiled=tiled))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_deflate_tile_that_unpacks_to_more_than_its_size_is_refused(slide_writer):
    import zlib

    picture = np.zeros((256, 256, 3), np.uint8)
    path = slide_writer.pyramid("a.tif", [picture], tile=256, compression="deflate", photometric="rgb")
    offset, _ = tile_place(path, 0)
    packed = zlib.compress(b"\0" * (1 << 26))
    overwrite(path, offset, packed)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["TileByteCounts"].overwrite([len(packed)])
    with open_slide(path) as slide, pytest.raises(SlideError, match=r"the tile \(0, 0\)"):
        slide.read(0, (0, 0, 256, 256))


def test_a_mirax_slide_without_its_folder_says_what_is_missing(tmp_path):
    path = tmp_path / "case.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 100)
    with pytest.raises(SlideError, match=r"case\.mrxs: the folder 'case' with its parts is missing"):
        open_slide(path)
    (tmp_path / "case").mkdir()
    with pytest.raises(SlideError, match=r"case\.mrxs: the folder 'case' with its parts has no usable Slidedat\.ini"):
        open_slide(path)
    (tmp_path / "case" / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_VERSION = 02.02\n")
    with pytest.raises(SlideError, match=r"case\.mrxs"):
        open_slide(path)


def test_a_slide_that_was_removed_says_so(slide_writer, slide_texture):
    path = slide_writer.svs("a.svs", slide_texture(300, 260))
    with open_slide(path) as slide:
        sound = slide.read(0, (0, 0, 128, 128))
        path.unlink()
        assert np.array_equal(slide.read(0, (0, 0, 128, 128)), sound)  # the open file lives on
    with pytest.raises(SlideError, match=r"'a\.svs' is not there any more"):
        open_slide(path)


def test_a_slide_that_shrinks_while_it_is_read_says_so(slide_writer, slide_texture):
    path = slide_writer.jpeg_pyramid("a.tif", slide_texture(640, 512)[:1])
    with open_slide(path) as slide:
        with path.open("r+b") as file:
            file.truncate(tile_place(path, 5)[0])
        with pytest.raises(SlideError, match=r"the tile \(4, 3\) .* beyond the end of the file"):
            slide.read(0, (512, 384, 640, 512))


@pytest.mark.parametrize(
    "content", [b"", b"no slide at all", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\0\x05"]
)
@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.ndpi"])
def test_a_file_that_is_no_slide_is_refused_in_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"^a\.") as caught:
        open_slide(path)
    assert "\n" not in str(caught.value)


def test_random_damage_never_escapes_as_another_error(slide_writer, slide_texture):
    """Two hundred slides with damaged headers: they are read or refused, never a crash of another kind."""
    path = slide_writer.svs("a.svs", slide_texture(300, 260)[:2])
    original = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        spans = [(page.offset, page.offset + 240) for page in file.pages]
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(200):
        data = bytearray(original)
        start, end = spans[rng.integers(len(spans))]
        for place in rng.integers(start, min(end, len(data)), 3):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            with open_slide(path) as slide:
                for index, level in enumerate(slide.levels):
                    slide.read(index, (0, 0, min(level.size[0], 200), min(level.size[1], 200)))
                for name in slide.associated:
                    slide.associated_image(name)
        except SlideError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


def test_pixels_of_16_bit_or_many_channels_are_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((64, 64, 3), np.uint16), photometric="rgb", tile=(32, 32))
    with pytest.raises(SlideError, match=r"deep\.tif holds uint16 pixels; only 8-bit grey and RGB slides are read"):
        open_slide(tmp_path / "deep.tif")
    stack = np.zeros((5, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "five.ome.tif", stack, metadata={"axes": "CYX"}, tile=(32, 32))
    with pytest.raises(SlideError, match=r"five\.ome\.tif holds axes CYX"):
        open_slide(tmp_path / "five.ome.tif")


def test_an_ome_xml_with_entities_is_not_expanded(slide_writer, slide_texture):
    path = slide_writer.ome("a.ome.tif", slide_texture(300, 260)[:1])
    data = path.read_bytes()
    declaration = b'<?xml version="1.0" encoding="UTF-8"?>'
    assert declaration in data
    path.write_bytes(data.replace(declaration, b'<!DOCTYPE x [<!ENTITY a "b">]>'.ljust(len(declaration))))
    with pytest.raises(SlideError, match="holds definitions that no microscope writes"):
        open_slide(path)


def test_an_ome_xml_that_names_another_file_is_refused_and_does_not_open_it(tmp_path, slide_texture):
    picture = slide_texture(300, 260)[0]
    tifffile.imwrite(tmp_path / "secret.tif", picture, photometric="rgb", tile=(32, 32))
    (tmp_path / "in").mkdir()
    height, width = picture.shape[:2]
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0"><Pixels '
        f'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" '
        'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"><UUID '
        'FileName="../secret.tif">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>'
    )
    path = tmp_path / "in" / "a.ome.tif"
    tifffile.imwrite(path, picture, photometric="rgb", tile=(32, 32), description=text, metadata=None)
    with pytest.raises(SlideError, match="takes pixels from other files"):
        open_slide(path)


def test_reads_of_nothing_and_of_everything_are_refused(slide_writer, slide_texture):
    with open_slide(slide_writer.svs("a.svs", slide_texture(300, 260))) as slide:
        for box in ((10, 10, 10, 20), (0, 0, 1_000_000, 1_000_000)):
            with pytest.raises(SlideError, match=r"a\.svs: a box of"):
                slide.read(0, box)
        with pytest.raises(SlideError, match="has no associated image 'face'; it has: label, macro, thumbnail"):
            slide.associated_image("face")


def test_a_folder_lists_damaged_slides_too_so_that_a_run_names_them(slide_writer, slide_texture, tmp_path):
    slide_writer.svs("good.svs", slide_texture(300, 260))
    (tmp_path / "cut.svs").write_bytes(b"II*\0")
    (tmp_path / "notes.txt").write_text("not a slide")
    (tmp_path / ".hidden.svs").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    shutil.copy(tmp_path / "good.svs", tmp_path / "sub" / "without_suffix")
    assert [path.relative_to(tmp_path).as_posix() for path in find_slides(tmp_path)] == [
        "cut.svs",
        "good.svs",
        "sub/without_suffix",
    ]


SCALE = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
STAINED, TINTED = {"Channel": {"Name": ["DAPI", "FITC", "TRITC"]}}, {"Channel": {"EmissionWavelength": [450, 520, 580]}}
BACKWARDS = {"Channel": {"Name": ["Blue", "Green", "Red"]}}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"axes": "ZYX"}, "axes ZYX"),
        ({"axes": "TYX"}, "axes TYX"),
        ({"axes": "CYX", **STAINED}, "the channels DAPI, FITC, TRITC; only RGB"),
        ({"axes": "CYX", **TINTED}, "the channels fluorescence; only RGB"),
        ({"axes": "CYX", **BACKWARDS}, "the channels Blue, Green, Red; only RGB"),
    ],
)
def test_three_planes_of_an_ome_tiff_that_are_no_colours_are_refused(tmp_path, metadata, said):
    """Three focal planes were stored as the red, green and blue of one picture."""
    planes = np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata={**SCALE, **metadata})
    with pytest.raises(SlideError, match=said):
        open_slide(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("names", [None, ["Red", "Green", "Blue"], ["C0", "C1", "C2"], ["R", "G", "B"]])
def test_three_planes_of_an_ome_tiff_that_are_colours_are_one_picture(tmp_path, names):
    planes = np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8)
    metadata = {"axes": "CYX", **SCALE, **({"Channel": {"Name": names}} if names else {})}
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert np.array_equal(slide.read(0, (0, 0, 64, 64)), np.moveaxis(planes, 0, -1))


@pytest.mark.parametrize(("shape", "photometric"), [((4, 64, 64), "minisblack"), ((2, 64, 64, 3), "rgb")])
def test_a_plain_tiff_of_several_planes_is_refused(tmp_path, shape, photometric):
    """The first was the slide, and the others were left out without a word."""
    planes = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    scale = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric=photometric, metadata=None, **scale)
    with pytest.raises(SlideError, match=f"a.tif holds {shape[0]} planes of 64 x 64 pixels"):
        open_slide(tmp_path / "a.tif")
