"""Landsat scenes: the MTL's scaling by group, both collections and levels, and disagreement named."""

import math

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError

RNG = np.random.default_rng(5)
SUN = 56.25
C2 = "LC08_L2SP_193027_20200601_20200824_02_T1"


def _mtl(groups, top):
    lines = [f"GROUP = {top}"]
    for name, values in groups.items():
        lines += [f"  GROUP = {name}", *(f"    {k} = {v}" for k, v in values.items()), f"  END_GROUP = {name}"]
    return "\n".join([*lines, f"END_GROUP = {top}", "END", ""])


def _collection_2_level_2(folder, make_raster, *, lines=100, zone=32, leave_out=()):
    """Layout: USGS LSDS-1619 and the MTL of a real scene; Level 1 numbers stand in it under the same names."""
    names = {f"SR_B{n}": str(n) for n in range(1, 8)} | {"ST_B10": "ST_B10"}
    arrays = {}
    contents = {"PROCESSING_LEVEL": '"L2SP"', "LANDSAT_PRODUCT_ID": f'"{C2}"'}
    for suffix, key in names.items():
        contents[f"FILE_NAME_BAND_{key}"] = f'"{C2}_{suffix}.TIF"'
        arrays[suffix] = RNG.integers(7273, 43636, (100, 90), dtype=np.uint16)
        if suffix not in leave_out:
            make_raster(folder / f"{C2}_{suffix}.TIF", arrays[suffix], metres=30, nodata=0)
    contents["FILE_NAME_QUALITY_L1_PIXEL"] = f'"{C2}_QA_PIXEL.TIF"'
    make_raster(folder / f"{C2}_QA_PIXEL.TIF", np.full((100, 90), 21824, np.uint16), metres=30)
    groups = {
        "PRODUCT_CONTENTS": contents,
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": '"LANDSAT_8"',
            "SENSOR_ID": '"OLI_TIRS"',
            "WRS_PATH": 193,
            "DATE_ACQUIRED": "2020-06-01",
            "SCENE_CENTER_TIME": '"10:03:04.1234560Z"',
            "SUN_ELEVATION": SUN,
        },
        "PROJECTION_ATTRIBUTES": {
            "UTM_ZONE": zone,
            "REFLECTIVE_LINES": lines,
            "REFLECTIVE_SAMPLES": 90,
            "THERMAL_LINES": 100,
            "THERMAL_SAMPLES": 90,
        },
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {
            **{f"REFLECTANCE_MULT_BAND_{n}": 2.75e-05 for n in range(1, 8)},
            **{f"REFLECTANCE_ADD_BAND_{n}": -0.2 for n in range(1, 8)},
        },
        "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS": {
            "TEMPERATURE_MULT_BAND_ST_B10": 0.00341802,
            "TEMPERATURE_ADD_BAND_ST_B10": 149.0,
        },
        "LEVEL1_RADIOMETRIC_RESCALING": {
            **{f"REFLECTANCE_MULT_BAND_{n}": 2.0e-05 for n in range(1, 10)},
            **{f"REFLECTANCE_ADD_BAND_{n}": -0.1 for n in range(1, 10)},
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{C2}_MTL.txt").write_text(_mtl(groups, "LANDSAT_METADATA_FILE"))
    return arrays


def test_collection_2_level_2_uses_its_own_group_and_not_that_of_level_1(tmp_path, make_raster):
    arrays = _collection_2_level_2(tmp_path, make_raster)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert (scene.sensor, scene.product, scene.platform) == ("landsat-8-9-oli-tirs", "L2", "LANDSAT_8")
        assert scene.datetime == "2020-06-01T10:03:04.123456Z"
        assert [b.name for b in scene.select(None)] == ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B10"]
        red = scene.band("red")
        assert np.array_equal(scene.read([red])[0], arrays["SR_B4"])
        np.testing.assert_allclose(
            scene.read([red])[0] * red.scale + red.offset, arrays["SR_B4"] * 0.0000275 - 0.2, rtol=1e-12
        )
        heat = scene.band("lwir11")
        assert heat.band.unit == "kelvin"
        np.testing.assert_allclose(
            scene.read([heat])[0] * heat.scale + heat.offset, arrays["ST_B10"] * 0.00341802 + 149.0, rtol=1e-12
        )
        assert [(m.name, m.kind) for m in scene.masks] == [("QA_PIXEL", "QA_PIXEL")]
        assert scene.attributes["sun_elevation"] == SUN


@pytest.mark.parametrize("collection", [1, 2])
def test_level_1_reflectance_is_divided_by_the_sine_of_the_sun(tmp_path, make_raster, collection):
    stem = f"LC08_L1TP_193027_20200601_20200824_0{collection}_T1"
    bands = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
    contents = {f"FILE_NAME_BAND_{b}": f'"{stem}_B{b}.TIF"' for b in bands}
    scaling = {f"REFLECTANCE_MULT_BAND_{b}": 2.0e-5 for b in bands[:9]} | {
        f"REFLECTANCE_ADD_BAND_{b}": -0.1 for b in bands[:9]
    }
    scaling |= {f"RADIANCE_MULT_BAND_{b}": 3.342e-4 for b in bands} | {f"RADIANCE_ADD_BAND_{b}": 0.1 for b in bands}
    image = {
        "SPACECRAFT_ID": '"LANDSAT_8"', "SENSOR_ID": '"OLI_TIRS"', "DATE_ACQUIRED": "2020-06-01",
        "SCENE_CENTER_TIME": '"10:03:04Z"',
    }  # fmt: skip
    size = {"REFLECTIVE_LINES": 40, "REFLECTIVE_SAMPLES": 40, "PANCHROMATIC_LINES": 80, "PANCHROMATIC_SAMPLES": 80}
    if collection == 1:
        groups = {
            "PRODUCT_METADATA": {
                "DATA_TYPE": '"L1TP"', **image, **size, **contents, "FILE_NAME_BAND_QUALITY": f'"{stem}_BQA.TIF"'
            },
            "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": SUN},
            "RADIOMETRIC_RESCALING": scaling,
            "PROJECTION_PARAMETERS": {"UTM_ZONE": 32},
        }  # fmt: skip
    else:
        groups = {
            "PRODUCT_CONTENTS": {"PROCESSING_LEVEL": '"L1TP"', **contents},
            "IMAGE_ATTRIBUTES": {**image, "SUN_ELEVATION": SUN},
            "PROJECTION_ATTRIBUTES": {**size, "UTM_ZONE": 32},
            "LEVEL1_RADIOMETRIC_RESCALING": scaling,
        }
    (tmp_path / f"{stem}_MTL.txt").write_text(_mtl(groups, "L1_METADATA_FILE"))
    for band in bands:
        shape, metres = ((80, 80), 15) if band == "8" else ((40, 40), 30)
        make_raster(tmp_path / f"{stem}_B{band}.TIF", RNG.integers(5000, 30000, shape, dtype=np.uint16), metres=metres)
    make_raster(tmp_path / f"{stem}_BQA.TIF", np.full((40, 40), 2720, np.uint16), metres=30)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.product == "L1"
        assert len(scene.select(None)) == 11
        red, heat = scene.band("red"), scene.band("lwir12")
        dn = scene.read([red])[0].astype(float)
        published = (dn * 2.0e-5 - 0.1) / math.sin(math.radians(SUN))
        np.testing.assert_allclose(dn * red.scale + red.offset, published, rtol=1e-12)
        assert (heat.band.unit, heat.scale, heat.offset) == ("W m-2 sr-1 um-1", 3.342e-4, 0.1)
        assert [m.kind for m in scene.masks] == (["BQA"] if collection == 1 else [])
        assert [g.pixel_size[0] for g in scene.grids()] == [15, 30]


def test_collection_1_surface_reflectance(tmp_path, make_raster):
    stem = "LC08_L1TP_193027_20180601_20180615_01_T1"
    image = {"SPACECRAFT_ID": '"LANDSAT_8"', "SENSOR_ID": '"OLI_TIRS"', "DATE_ACQUIRED": "2018-06-01"}
    groups = {
        "PRODUCT_METADATA": {"DATA_TYPE": '"L1TP"', **image, "SCENE_CENTER_TIME": '"10:03:04Z"'},
        "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": SUN},
    }
    (tmp_path / f"{stem}_MTL.txt").write_text(_mtl(groups, "L1_METADATA_FILE"))
    for band in range(1, 8):
        values = RNG.integers(0, 10000, (40, 40)).astype(np.int16)
        make_raster(tmp_path / f"{stem}_sr_band{band}.tif", values, metres=30, nodata=-9999)
    make_raster(tmp_path / f"{stem}_pixel_qa.tif", np.full((40, 40), 322, np.uint16), metres=30, nodata=1)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.product == "C1-L2"
        assert [(b.name, b.scale, b.offset, b.nodata) for b in scene.select(["nir"])] == [("B5", 0.0001, 0, -9999)]
        assert [m.kind for m in scene.masks] == ["pixel_qa"]


def test_an_mtl_that_disagrees_with_its_bands_is_refused(tmp_path, make_raster):
    _collection_2_level_2(tmp_path / "size", make_raster, lines=7771)
    _collection_2_level_2(tmp_path / "zone", make_raster, zone=33)
    size, zone = find_scenes(tmp_path)
    with pytest.raises(SceneError, match=r"MTL says that .*SR_B1\.TIF has 7771×90 pixels, but it has 100×90"):
        open_scene(size)
    with pytest.raises(SceneError, match=r"MTL says UTM zone 33, but .*SR_B1\.TIF is in EPSG:32632"):
        open_scene(zone)


def test_the_command_says_so_and_converts_the_scene_beside_it(tmp_path, make_raster, capsys):
    _collection_2_level_2(tmp_path / "in/good", make_raster)
    _collection_2_level_2(tmp_path / "in/zone", make_raster, zone=33)
    options = ["--size", "960m", "--min-valid", "0", "--split-by", "none", "--engine", "inline"]
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *options]) == 1
    shown = capsys.readouterr()
    assert "MTL says UTM zone 33, but" in " ".join((shown.out + shown.err).split())
    rows = Corpus(tmp_path / "corpus").table("samples").to_pylist()
    assert rows
    assert all("good" in row["source"] for row in rows)


def test_a_band_that_the_mtl_lists_and_is_not_there_is_named(tmp_path, make_raster):
    _collection_2_level_2(tmp_path, make_raster, leave_out=("SR_B5",))
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        with pytest.raises(SceneError, match=r"the MTL lists band B5 as .* but the file is not there"):
            scene.select(None)
        assert scene.select(["red"])[0].name == "B4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[: len(t) // 2], "truncated"),
        (lambda t: t.replace("OLI_TIRS", "MSS"), "sensor 'MSS' is not known"),
        (lambda t: t.replace("    SPACECRAFT_ID", "    SPACECRAFT"), "does not state SPACECRAFT_ID"),
        (lambda t: t.replace("MULT_BAND_3 = 2.75e-05", "MULT_BAND_3 = x"), "REFLECTANCE_MULT_BAND_3 or .* is missing"),
        (lambda t: t.replace(f'"{C2}_SR_B2.TIF"', '"../../etc/passwd"'), "lists band B2 as '../../etc/passwd'"),
        (lambda t: "", "is none"),
    ],
)
def test_a_damaged_mtl_is_one_sentence(tmp_path, make_raster, change, message):
    _collection_2_level_2(tmp_path, make_raster)
    path = next(tmp_path.glob("*_MTL.txt"))
    path.write_text(change(path.read_text()))
    with pytest.raises(SceneError, match=message), open_scene(find_scenes(tmp_path)[0]) as scene:
        scene.select(None)


def test_a_landsat_scene_becomes_tiles_without_its_clouds(tmp_path, make_raster, convert):
    _collection_2_level_2(tmp_path / "in", make_raster)
    quality = np.full((100, 90), 21824, np.uint16)  # clear
    quality[:50] = 22280  # high confidence cloud
    make_raster(tmp_path / f"in/{C2}_QA_PIXEL.TIF", quality, metres=30, nodata=1)
    rows = convert(tmp_path / "in", tmp_path / "out")
    assert {channel["name"] for row in rows for channel in row["channels"]} == {
        "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B10"
    }  # fmt: skip
    north = max(rows, key=lambda row: row["transform"][5])
    south = min(rows, key=lambda row: row["transform"][5])
    assert north["valid_fraction"] == 0
    assert south["valid_fraction"] > 0
    assert {row["datetime"] for row in rows} == {"2020-06-01T10:03:04.123456Z"}
    assert {row["licence"] for row in rows} == {"USGS public domain"}


@pytest.mark.cases(3)
@pytest.mark.parametrize("corrected", ["nothing", "offset", "band"])
def test_a_scene_whose_metadata_or_one_band_was_corrected_is_read_again(tmp_path, make_raster, convert, corrected):
    """The files keep their names and sizes."""
    _collection_2_level_2(tmp_path / "in", make_raster)
    mtl, band = next((tmp_path / "in").glob("*_MTL.txt")), tmp_path / f"in/{C2}_SR_B2.TIF"
    convert(tmp_path / "in", tmp_path / "out")
    before = Corpus(tmp_path / "out").ledger().num_rows
    sizes = mtl.stat().st_size, band.stat().st_size
    if corrected == "offset":
        mtl.write_text(mtl.read_text().replace("REFLECTANCE_ADD_BAND_4 = -0.2", "REFLECTANCE_ADD_BAND_4 = -0.3"))
    elif corrected == "band":
        make_raster(band, RNG.integers(7273, 43636, (100, 90), dtype=np.uint16), metres=30, nodata=0)
    assert sizes == (mtl.stat().st_size, band.stat().st_size)
    words = ["--size", "32px", "--min-valid", "0", "--engine", "inline"]
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "out"), *words]) == 0
    assert (Corpus(tmp_path / "out").ledger().num_rows > before) == (corrected != "nothing")


@pytest.mark.parametrize(
    ("stem", "collection", "kind"),
    [
        ("LC81930272015153LGN00", {}, "BQA-pre-collection"),
        ("LC08_L1TP_193027_20150602_20170401_01_T1", {"COLLECTION_NUMBER": "01"}, "BQA"),
    ],
)
def test_quality_bits_are_those_of_the_collection(tmp_path, make_raster, stem, collection, kind):
    """MTL files before Collection 1 name no collection (USGS, Landsat 8 data format control book)."""
    groups = {
        "METADATA_FILE_INFO": {"ORIGIN": '"USGS"', **collection},
        "PRODUCT_METADATA": {
            "DATA_TYPE": '"L1T"', "SPACECRAFT_ID": '"LANDSAT_8"', "SENSOR_ID": '"OLI_TIRS"',
            "DATE_ACQUIRED": "2015-06-02", "SCENE_CENTER_TIME": '"10:03:04Z"', "FILE_NAME_BAND_4": f'"{stem}_B4.TIF"',
            "FILE_NAME_BAND_QUALITY": f'"{stem}_BQA.TIF"',
        },
        "IMAGE_ATTRIBUTES": {"SUN_ELEVATION": SUN},
        "RADIOMETRIC_RESCALING": {"REFLECTANCE_MULT_BAND_4": 2.0e-5, "REFLECTANCE_ADD_BAND_4": -0.1},
    }  # fmt: skip
    (tmp_path / f"{stem}_MTL.txt").write_text(_mtl(groups, "L1_METADATA_FILE"))
    for band in ("B4", "BQA"):
        make_raster(tmp_path / f"{stem}_{band}.TIF", RNG.integers(5000, 30000, (40, 40), dtype=np.uint16), metres=30)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [(m.name, m.kind) for m in scene.masks] == [("BQA", kind)]


@pytest.mark.parametrize(
    ("sidecar", "unit", "scale", "offset"),
    [
        ("{sensor: landsat-8-9-oli-tirs, product: L1, sun_elevation: 30, bands: [B4]}", "reflectance", 4e-5, -0.2),
        ("{sensor: landsat-8-9-oli-tirs, product: L1, bands: [B4]}", "reflectance * sin(sun elevation)", 2e-5, -0.1),
        ("{sensor: landsat-8-9-oli-tirs, product: L1, bands: [B10]}", "W m-2 sr-1 um-1", 3.342e-4, 0.1),
        ("{sensor: landsat-8-9-oli-tirs, product: L1, platform: LANDSAT_9, bands: [B10]}", "DN", 1, 0),
        ("{sensor: landsat-7-etm, product: L1, sun_elevation: 30, bands: [B3]}", "DN", 1, 0),
        (
            "{sensor: landsat-7-etm, product: L1, bands: [B3], scale: 0.5, offset: 1, unit: radiance}",
            "radiance",
            0.5,
            1,
        ),
        ("{sensor: landsat-7-etm, product: L2, bands: [B3]}", "reflectance", 2.75e-5, -0.2),
    ],
)
def test_a_sidecar_of_level_1_says_what_the_numbers_are(tmp_path, make_raster, sidecar, unit, scale, offset):
    make_raster(tmp_path / "a.tif", RNG.integers(5000, 30000, (40, 40), dtype=np.uint16), metres=30)
    (tmp_path / "a.yaml").write_text(sidecar)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        (band,) = scene.select(None)
        assert band.band.unit == unit
        assert (band.scale, band.offset) == pytest.approx((scale, offset))


def test_a_sun_below_the_horizon_gives_no_reflectance(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", RNG.integers(5000, 30000, (40, 40), dtype=np.uint16), metres=30)
    (tmp_path / "a.yaml").write_text("{sensor: landsat-8-9-oli-tirs, product: L1, sun_elevation: -3, bands: [B4]}")
    with pytest.raises(SceneError, match="sun's elevation is '-3"):
        open_scene(find_scenes(tmp_path)[0])


def test_an_mtl_alone_is_its_scene_and_no_other(tmp_path, make_raster):
    arrays = _collection_2_level_2(tmp_path, make_raster)
    make_raster(tmp_path / "LC08_L2SP_193027_20200617_20200824_02_T1_SR_B1.TIF", arrays["SR_B1"], metres=30)
    (ref,) = find_scenes(tmp_path / f"{C2}_MTL.txt")
    assert len(ref.files) == 10
    with open_scene(ref) as scene:
        assert np.array_equal(scene.read(["red"])[0], arrays["SR_B4"])
        assert [mask.kind for mask in scene.masks] == ["QA_PIXEL"]
