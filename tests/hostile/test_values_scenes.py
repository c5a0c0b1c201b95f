"""GeoTIFFs and slides whose tags lie about width, place or pixel size: one row each, and no tile of nothing."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
import tifffile
from rasterio.crs import CRS
from rasterio.transform import from_origin

from voxtile_pathology.slides import tiff_layout as layout
from voxtile_pathology.slides.protocol import SlideError
from voxtile_remote_sensing.scenes.plausible import ImplausibleSceneError, check_scene
from voxtile_remote_sensing.scenes.protocol import Grid, SceneError
from voxtile_remote_sensing.scenes.tiff_directory import block_bytes

PIXEL_SCALE, TIE_POINT = 33550, 33922  # ModelPixelScaleTag, ModelTiepointTag (GeoTIFF 1.1)
NAN, INF = float("nan"), float("inf")

PIXELS = {"nan": NAN, "infinite": INF, "tiny": 1e-30, "huge": 1e30}
PLACES = {"nan": NAN, "far": 1e300}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, raster_files, command):
    """One conversion of all lies."""
    folder = tmp_path_factory.mktemp("scenes")
    source, corpus = folder / "scenes", folder / "corpus"
    expected = {}
    raster_files.geotiff(source / "sound.tif")
    raster_files.point_to_itself(raster_files.geotiff(source / "loop.tif", left=620_000.0))
    raster_files.lie_about_width(raster_files.geotiff(source / "wide.tif"), 256 * 2339)
    raster_files.with_gaps(source / "gaps.tif")
    for kind, value in PIXELS.items():
        raster_files.set_tag(raster_files.geotiff(source / f"pixel-{kind}.tif"), PIXEL_SCALE, value, value, 0.0)
        expected[f"pixel-{kind}.tif"] = "implausible-gsd"
    for kind, value in PLACES.items():
        raster_files.set_tag(raster_files.geotiff(source / f"place-{kind}.tif"), TIE_POINT, 0, 0, 0, value, value, 0)
        expected[f"place-{kind}.tif"] = "implausible-place"
    expected |= {"sound.tif": "used", "loop.tif": "used", "gaps.tif": "used", "wide.tif": "implausible-size"}
    options = ("--size", "128px", "--block", "200km", "--no-previews", "--workers", "2")
    return command(corpus, "convert", "geotiff", source, corpus, *options), expected


def test_every_lie_is_one_row_by_its_files_name(scenes):
    run, expected = scenes
    whole = {row["path"]: row["reason"] or row["status"] for row in run.rows() if row["reason"] != "nodata"}
    assert whole == expected
    assert run.status == 1


def test_a_width_that_lies_gives_no_tile(scenes):
    run, _ = scenes
    assert not [row for row in run.samples() if row["source"].startswith("wide")]
    assert "the file lists 4" in run.said


def test_a_block_that_was_never_written_is_no_data(scenes):
    """GDAL gives zeros for it; the independent truth is what the generator wrote: one block of 16, of 128 pixels."""
    run, _ = scenes
    shares = [row["valid_fraction"] for row in run.samples() if row["source"].startswith("gaps")]
    assert sum(share * 128 * 128 for share in shares) <= 128 * 128
    assert shares


def scene(*, epsg=32632, pixel=10.0, corner=(600_000.0, 5_300_000.0), scale=1e-4, offset=0.0):
    """A scene of one band, as far as its numbers are asked."""
    grid = Grid(CRS.from_epsg(epsg), from_origin(*corner, pixel, pixel), (10, 10))
    band = SimpleNamespace(wavelength_nm=None)
    return SimpleNamespace(
        id="s", modality="MSI", bands=[SimpleNamespace(name="b", grid=grid, scale=scale, offset=offset, band=band)]
    )


def test_pixels_in_degrees_are_held_to_metres():
    check_scene(scene(epsg=4326, pixel=10 / 111_320, corner=(9.0, 47.0)))
    with pytest.raises(ImplausibleSceneError, match=r"a pixel of 1.1132e\+06 m cannot be"):
        check_scene(scene(epsg=4326, pixel=10.0, corner=(9.0, 47.0)))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"offset": NAN}, "implausible-scale"),
        ({"scale": 0.0}, "implausible-scale"),
        ({"scale": INF}, "implausible-scale"),
        ({"corner": (2e8, 5e6)}, "implausible-place"),
        ({"corner": (6e5, -2e8)}, "implausible-place"),
        ({"epsg": 4326, "pixel": 0.01, "corner": (20.0, 95.0)}, "implausible-place"),  # north of the pole
        ({"epsg": 4326, "pixel": 0.01, "corner": (20.0, -91.0)}, "implausible-place"),
    ],
)
def test_a_scale_or_a_place_that_cannot_be_is_refused(numbers, reason):
    check_scene(scene())
    with pytest.raises(ImplausibleSceneError) as refused:
        check_scene(scene(**numbers))
    assert refused.value.reason == reason


def test_rows_centred_on_a_pole_and_grads_are_on_earth():
    check_scene(scene(epsg=4326, pixel=0.25, corner=(-180.125, 90.125)))
    check_scene(scene(epsg=4807, pixel=0.001, corner=(2.0, 99.0)))  # of 100 grads to the pole


@pytest.mark.parametrize("epsg", [4978, 5800])
def test_coordinates_of_no_map_are_refused_in_a_sentence(epsg):
    """Geocentric, and an engineering site's own: both ended in an unexpected error of rasterio."""
    with pytest.raises(SceneError, match="neither in degrees nor a projection"):
        check_scene(scene(epsg=epsg))


@pytest.mark.parametrize("tiled", [True, False])
def test_the_bytes_of_blocks_are_those_that_another_reader_finds(tmp_path, raster_files, tiled):
    path = raster_files.geotiff(tmp_path / "a.tif", tiled=tiled, **({} if tiled else {"blockxsize": None}))
    with tifffile.TiffFile(path) as file:
        assert block_bytes(path).tolist() == list(file.pages.first.databytecounts)


def test_a_list_of_blocks_without_end_is_not_read(tmp_path):
    entry = struct.pack("<HHII", 325, 4, 1 << 30, 8)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4))
    assert block_bytes(tmp_path / "a.tif") is None


@pytest.fixture(scope="module")
def slides(tmp_path_factory, raster_files, command):
    """One conversion of slides whose scale cannot be, or whose directories are a circle."""
    folder = tmp_path_factory.mktemp("slides")
    source, corpus = folder / "slides", folder / "corpus"
    source.mkdir()

    def write(name, **options):
        return raster_files.slide(source / name, **options)

    def aperio(power, mpp):
        return f"Aperio Image Library\n512x512|AppMag = {power}|MPP = {mpp}"

    write("sound.tif")
    raster_files.point_to_itself(write("circle.tif"))
    write("tiny.tif", per_cm=4e9)
    write("mpp-nan.svs", description=aperio("20", "nan"))
    write("mpp-overflow.svs", description=aperio("20", "1e999"))
    write("power-overflow.svs", description=aperio("1e999", "0.5"))
    run = command(corpus, "convert", "wsi", source, corpus, "--no-deidentify", "--patch-px", "256", "--workers", "2")
    return run, {
        "sound.tif": "used", "circle.tif": "unreadable-slide", "tiny.tif": "impossible-mpp",
        "mpp-nan.svs": "impossible-mpp", "mpp-overflow.svs": "impossible-mpp", "power-overflow.svs": "used",
    }  # fmt: skip


def test_directories_that_are_a_circle_are_followed_once(tmp_path, raster_files, monkeypatch):
    path, real, asked = raster_files.slide(tmp_path / "a.tif"), layout._next_directory, []
    raster_files.point_to_itself(path)

    def counted(file, offset):
        asked.append(offset)
        assert len(asked) < 10
        return real(file, offset)

    monkeypatch.setattr(layout, "_next_directory", counted)
    with tifffile.TiffFile(path) as file, pytest.raises(SlideError, match="point back to themselves"):
        layout.tiff_layout(path, file)


def test_every_slide_has_its_row(slides):
    run, expected = slides
    found = {}
    for row in run.rows():
        found.setdefault(row["path"].partition("#")[0], row["reason"] or row["status"])
    assert {name.rpartition("/")[2]: verdict for name, verdict in found.items()} == expected
    assert "its TIFF directories point back to themselves" in run.said
