"""Slides of each kind give the pixels that OpenSlide gives, or that were written."""

import io

import numpy as np
import openslide
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from voxtile_pathology.slides import open_slide
from voxtile_pathology.slides.tiff_reader import TiffReader


def whole(slide, level):
    return slide.read(level, (0, 0, *slide.levels[level].size))


def test_native_tiles_of_a_real_svs_equal_openslide_bit_for_bit(test_data, openslide_pixels):
    path = test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"
    with open_slide(path) as slide:
        assert (slide.reader, slide.levels[0].size, slide.levels[0].tile) == ("tiff", (2220, 2967), (240, 240))
        assert (slide.mpp, slide.objective, slide.warnings) == ((0.499, 0.499), 20.0, ())
        theirs = openslide_pixels(path, 0, (0, 0, 2220, 2967))
        grid = slide.tile_grid(0)
        assert (grid.columns, grid.rows) == (10, 13)
        for row in range(12):
            for column in range(9):
                box = (column * 240, row * 240, column * 240 + 240, row * 240 + 240)
                native = theirs[box[1] : box[3], box[0] : box[2]]
                assert np.array_equal(slide.read(0, box), native)
        # Passed through, a tile is a complete file for any decoder: here Pillow's.
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(grid.encoded(3, 4)))), theirs[960:1200, 720:960])
        for box in ((101, 57, 357, 313), (2000, 2800, 2220, 2967), (0, 0, 2220, 2967)):
            assert np.array_equal(slide.read(0, box), theirs[box[1] : box[3], box[0] : box[2]])


def test_associated_images_of_a_real_svs_equal_openslide(test_data):
    path = test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"
    with open_slide(path) as slide, openslide.OpenSlide(str(path)) as theirs:
        assert slide.associated == tuple(sorted(theirs.associated_images)) == ("label", "macro", "thumbnail")
        for name in slide.associated:
            expected = np.asarray(theirs.associated_images[name].convert("RGB"))
            assert np.array_equal(slide.associated_image(name), expected)


@pytest.mark.parametrize(
    "colours", [{"subsampling": "420"}, {"subsampling": "422"}, {"subsampling": "444"}, {"rgb": True}]
)
def test_jpeg_tiles_of_an_svs_equal_openslide_in_every_colour_form(
    slide_writer, slide_texture, openslide_pixels, colours
):
    levels = slide_texture(700, 500)
    path = slide_writer.svs("a.svs", levels, **colours)
    with open_slide(path) as slide:
        assert slide.reader == "tiff"
        assert [level.size for level in slide.levels] == [(700, 500), (350, 250), (175, 125)]
        assert [level.downsample for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]
        for index, written in enumerate(levels):
            read = whole(slide, index)
            assert np.array_equal(read, openslide_pixels(path, index, (0, 0, *slide.levels[index].size)))
            assert np.abs(read.astype(int) - written).mean() < 10  # JPEG loss; a wrong colour transform gives 58
        for row in range(3):
            for column in range(5):
                data = slide.tile_grid(0).encoded(column, row)
                tile = np.asarray(Image.open(io.BytesIO(data)))
                box = (column * 128, row * 128, column * 128 + 128, row * 128 + 128)
                assert np.array_equal(tile, openslide_pixels(path, 0, box))


def test_a_plain_jpeg_pyramid_equals_openslide(slide_writer, slide_texture, openslide_pixels):
    path = slide_writer.jpeg_pyramid("a.tif", slide_texture(640, 512))
    with open_slide(path) as slide:
        assert (slide.reader, slide.mpp, len(slide.levels)) == ("tiff", (0.5, 0.5), 3)
        for index, level in enumerate(slide.levels):
            assert np.array_equal(whole(slide, index), openslide_pixels(path, index, (0, 0, *level.size)))


@pytest.mark.parametrize(
    ("compression", "planar"),
    [(name, planar) for name in (None, "lzw", "deflate", "zstd") for planar in ("contig", "separate")]
    + [("jpeg2000", "contig")],
)
def test_lossless_pyramids_give_what_was_written(slide_writer, slide_texture, compression, planar):
    levels = slide_texture(300, 260)
    stored = [np.moveaxis(level, 2, 0) for level in levels] if planar == "separate" else levels
    options = {"compressionargs": {"level": 0, "reversible": True}} if compression == "jpeg2000" else {}
    path = slide_writer.pyramid(
        "a.tif", stored, compression=compression, planarconfig=planar, photometric="rgb", **options
    )
    with open_slide(path) as slide:
        assert slide.tile_grid(0) is None
        for index, written in enumerate(levels):
            assert np.array_equal(whole(slide, index), written)


def test_an_ome_tiff_states_x_and_y_apart_and_keeps_its_levels_in_sub_directories(slide_writer, slide_texture):
    levels = slide_texture(300, 260)
    with open_slide(slide_writer.ome("a.ome.tif", levels, compression="deflate")) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.26))
        for index, written in enumerate(levels):
            assert np.array_equal(whole(slide, index), written)


def test_an_ome_tiff_with_a_plane_a_colour_is_one_rgb_slide(slide_writer, slide_texture):
    levels = slide_texture(300, 260)
    path = slide_writer.ome("planes.ome.tif", [np.moveaxis(level, 2, 0) for level in levels], compression="lzw")
    with open_slide(path) as slide:
        for index, written in enumerate(levels):
            assert np.array_equal(whole(slide, index), written)


def test_a_qptiff_sorts_its_directories_by_their_xml(slide_writer, slide_texture):
    levels = slide_texture(600, 400)
    with open_slide(slide_writer.qptiff("a.qptiff", levels)) as slide:
        assert (slide.mpp, slide.objective) == ((0.5, 0.5), 20.0)
        assert slide.associated == ("label", "macro", "thumbnail")
        assert [level.size for level in slide.levels] == [(600, 400), (300, 200), (150, 100)]
        for index, written in enumerate(levels):
            assert np.array_equal(whole(slide, index), written)
        assert np.array_equal(slide.associated_image("label"), levels[0][::8, ::8])


def test_jpeg_2000_aperio_tiles_are_read(slide_writer, slide_texture):
    picture = slide_texture(384, 256)[0]
    with open_slide(slide_writer.jpeg2000_svs("a.svs", picture)) as slide:
        assert (slide.reader, slide.mpp, slide.tile_grid(0)) == ("aperio-jpeg2000", (0.25, 0.25), None)
        assert np.array_equal(whole(slide, 0), picture)


def test_an_aperio_slide_of_the_registered_jpeg_2000_code_is_read(slide_writer, slide_texture):
    """OpenSlide knows Aperio's own codes alone."""
    picture = slide_texture(384, 256)[0]
    with open_slide(slide_writer.jpeg2000_svs("a.svs", picture, code=34712)) as slide:
        assert (slide.reader, slide.mpp) == ("tiff", (0.25, 0.25))
        assert np.array_equal(whole(slide, 0), picture)


def test_a_stripped_grey_picture_is_a_slide_too(tmp_path):
    import tifffile

    grey = np.arange(200 * 150, dtype=np.uint8).reshape(150, 200)
    tifffile.imwrite(tmp_path / "grey.tif", grey, rowsperstrip=16, photometric="minisblack", compression="deflate")
    with open_slide(tmp_path / "grey.tif") as slide:
        assert slide.levels[0].tile is None
        assert np.array_equal(slide.read(0, (10, 20, 90, 140)), np.repeat(grey[20:140, 10:90, None], 3, axis=2))


@pytest.fixture(scope="module")
def straddled(tmp_path_factory):
    import tifffile

    picture = np.random.default_rng(0).integers(0, 255, (190, 230, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("slides") / "a.tif"
    tifffile.imwrite(path, picture, tile=(64, 64), photometric="rgb")
    with TiffReader(path, cache_bytes=5 * 64 * 64 * 3) as slide:
        yield slide, picture


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=st.integers(-100, 300), y=st.integers(-100, 300), width=st.integers(1, 150), height=st.integers(1, 150))
def test_any_box_is_the_picture_on_white(straddled, x, y, width, height):
    slide, picture = straddled
    field = np.full((700, 700, 3), 255, np.uint8)
    field[200:390, 200:430] = picture
    expected = field[200 + y : 200 + y + height, 200 + x : 200 + x + width]
    assert np.array_equal(slide.read(0, (x, y, x + width, y + height)), expected)


@pytest.mark.parametrize("before", [(0, 0, 64, 64), (10, 10, 80, 80)], ids=["whole tiles alone", "tiles held"])
def test_what_a_caller_does_to_a_patch_does_not_change_the_next(straddled, before):
    path, picture = straddled[0].path, straddled[1]
    with TiffReader(path) as slide:
        slide.read(0, before)
        slide.read(0, (0, 0, 64, 64)).fill(0)
        assert np.array_equal(slide.read(0, (0, 0, 64, 64)), picture[:64, :64])


def test_patches_that_straddle_tiles_decode_each_tile_once(slide_writer, slide_texture, monkeypatch):
    from voxtile_pathology.slides import tiff_image

    decoded = []
    original = tiff_image.decode_jpeg
    monkeypatch.setattr(tiff_image, "decode_jpeg", lambda jpeg: decoded.append(jpeg) or original(jpeg))
    with open_slide(slide_writer.jpeg_pyramid("a.tif", slide_texture(1024, 768)[:1])) as slide:
        for y in range(40, 640, 128):
            for x in range(40, 896, 128):
                slide.read(0, (x, y, x + 128, y + 128))
    assert len(decoded) == 48  # 8 x 6 tiles; 35 patches of four tiles each
