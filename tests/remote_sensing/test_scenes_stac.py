"""STAC items on disk: names, wavelengths and scaling are the item's own, of STAC 1.0 and 1.1."""

import json

import numpy as np
import pystac
import pytest
import rasterio

from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError

RNG = np.random.default_rng(17)


def _item(folder, assets, *, version="1.0.0", **properties):
    item = {
        "type": "Feature",
        "stac_version": version,
        "id": "scene",
        "geometry": None,
        "bbox": None,
        "properties": {"datetime": "2022-06-01T10:10:31Z", **properties},
        "links": [],
        "assets": assets,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scene.json").write_text(json.dumps(item))


def _asset(href, **fields):
    return {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        **fields,
    }


def _raster(make_raster, path, *, bands=1, **profile):
    values = RNG.integers(1001, 9000, (bands, 40, 50), dtype=np.uint16)
    make_raster(path, values, **profile)
    return values


SENTINEL = {"platform": "sentinel-2a", "constellation": "sentinel-2", "s2:processing_baseline": "02.12"}
EO = {"eo:bands": [{"name": "red", "common_name": "red", "center_wavelength": 0.665, "full_width_half_max": 0.038}]}
RASTER = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]}


def test_an_item_of_stac_1_0_gives_names_and_scaling(tmp_path, make_raster):
    values = _raster(make_raster, tmp_path / "data/B04.tif")
    make_raster(tmp_path / "data/SCL.tif", np.full((20, 25), 4, np.uint8), metres=20)
    thumbnail = {"href": "data/B04.tif", "type": "image/tiff", "roles": ["thumbnail"]}
    scl = _asset("data/SCL.tif")
    _item(tmp_path, {"red": _asset("data/B04.tif", **EO, **RASTER), "scl": scl, "thumbnail": thumbnail}, **SENTINEL)
    (ref,) = find_scenes(tmp_path)  # the rasters belong to the item
    with open_scene(ref) as scene:
        assert scene.sensor == "sentinel-2-msi"
        (band,) = scene.select(None)
        assert (band.name, band.scale, band.offset, band.nodata) == ("B04", 0.0001, -0.1, 0)
        assert band.band.wavelength_nm == 664.6  # the registry's, more exact than the item's rounded one
        assert np.array_equal(scene.read(["red"]), values)
        assert [(m.name, m.kind) for m in scene.masks] == [("scl", "SCL")]


def test_an_item_of_stac_1_1_with_common_bands(tmp_path, make_raster):
    values = _raster(make_raster, tmp_path / "scene.tif", bands=2)
    bands = [
        {"name": "N", "eo:common_name": "nir", "eo:center_wavelength": 0.85, "eo:full_width_half_max": 0.05},
        {"name": "R", "eo:common_name": "red", "eo:center_wavelength": 0.66},
    ]
    asset = _asset("./scene.tif", bands=bands, **{"raster:scale": 0.01, "raster:offset": 0.5, "nodata": 3})
    _item(tmp_path, {"analytic": asset}, version="1.1.0", platform="drone-7")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [(b.name, b.band.common_name, b.band.wavelength_nm) for b in scene.bands] == [
            ("N", "nir", 850),
            ("R", "red", 660),
        ]
        assert [(b.scale, b.offset, b.nodata) for b in scene.bands] == [(0.01, 0.5, 3)] * 2
        assert np.array_equal(scene.read(["red"])[0], values[1])
        assert scene.platform == "drone-7"


@pytest.mark.parametrize(
    ("properties", "fields", "offset"),
    [
        ({"s2:processing_baseline": "05.09"}, {}, -0.1),  # Planetary Computer: no raster:bands, offset not taken off
        ({"s2:processing_baseline": "02.12"}, {}, 0.0),
        ({"s2:processing_baseline": None, "processing:version": "N0510"}, {}, -0.1),
        ({"s2:processing_baseline": None, "datetime": "2021-06-01T10:10:31Z"}, {}, 0.0),
        ({"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"}, RASTER, 0.0),
        ({"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.09"}, RASTER, -0.1),
    ],
)
def test_the_offset_of_sentinel_2_is_taken_off_once(tmp_path, make_raster, properties, fields, offset):
    _raster(make_raster, tmp_path / "B04.tif")
    _item(tmp_path, {"B04": _asset("B04.tif", **fields)}, **SENTINEL | properties)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.band("red").offset == pytest.approx(offset)
        assert scene.band("red").scale == 0.0001


def test_floats_whose_scale_the_item_does_not_state_are_refused(tmp_path, make_raster):
    make_raster(tmp_path / "B04.tif", RNG.uniform(0, 1, (1, 40, 50)).astype(np.float32))
    _item(tmp_path, {"B04": _asset("B04.tif")}, **SENTINEL)
    with pytest.raises(SceneError, match="for integers; state the band's 'raster:scale'"):
        open_scene(find_scenes(tmp_path)[0])
    _item(tmp_path, {"B04": _asset("B04.tif", **{"raster:scale": 1})}, **SENTINEL)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.band("red").scale == 1


def test_a_sentinel_2_item_that_says_nothing_of_the_offset_is_refused(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "B04.tif")
    _item(tmp_path, {"B04": _asset("B04.tif")}, **SENTINEL | {"s2:processing_baseline": "newest"})
    with pytest.raises(SceneError, match=r"baseline 04\.00 is in the numbers of band B04; state 's2:processing_base"):
        open_scene(find_scenes(tmp_path)[0])


@pytest.mark.parametrize("href", ["B04.tif", "./B04.tif", "../item/B04.tif", "file", "absolute"])
def test_relative_and_local_hrefs_are_followed(tmp_path, make_raster, href):
    values = _raster(make_raster, tmp_path / "item/B04.tif")
    href = {"file": (tmp_path / "item/B04.tif").as_uri(), "absolute": str(tmp_path / "item/B04.tif")}.get(href, href)
    _item(tmp_path / "item", {"B04": _asset(href)}, **SENTINEL)
    ref = next(r for r in find_scenes(tmp_path) if r.reader == "stac")
    with open_scene(ref) as scene:
        assert np.array_equal(scene.read(["B04"]), values)


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ({"a": _asset("two.tif")}, "asset 'a' has 2 bands and nobody says which is which"),
        ({"a": _asset("gone.tif")}, "does not exist"),
        ({"a": {"href": "x.txt", "type": "text/plain"}}, "no asset is a raster with data"),
        ({"a": _asset("one.tif", **EO), "b": _asset("one.tif", **EO)}, "two assets call a band the same"),
        ({"a": {"type": "image/tiff"}}, "not a valid STAC item"),
    ],
)
def test_an_item_that_cannot_be_used_is_one_sentence(tmp_path, make_raster, assets, message):
    _raster(make_raster, tmp_path / "two.tif", bands=2)
    _raster(make_raster, tmp_path / "one.tif")
    _item(tmp_path, assets, **SENTINEL)
    ref = next(r for r in find_scenes(tmp_path) if r.reader == "stac")
    with pytest.raises(SceneError, match=message):
        open_scene(ref)


def test_other_json_is_no_scene(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "a.tif")
    (tmp_path / "a.json").write_text("{not json")
    (tmp_path / "b.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    assert [ref.reader for ref in find_scenes(tmp_path)] == ["geotiff"]


def test_an_item_becomes_tiles_with_its_mask(tmp_path, make_raster, convert):
    source = tmp_path / "in"
    _raster(make_raster, source / "B04.tif")
    scl = np.full((20, 25), 4, np.uint8)
    scl[:, 13:] = 9  # cloud
    make_raster(source / "SCL.tif", scl, metres=20)
    _item(source, {"red": _asset("B04.tif", **EO, **RASTER), "scl": _asset("SCL.tif")}, **SENTINEL)
    rows = convert(source, tmp_path / "out")
    assert {channel["name"] for row in rows for channel in row["channels"]} == {"B04"}
    assert min(row["valid_fraction"] for row in rows) == 0
    assert max(row["valid_fraction"] for row in rows) > 0


def test_the_saved_answer_of_a_search_is_a_scene_for_each_item_that_is_here(tmp_path, make_raster):
    """`pystac.ItemCollection.save_object` writes all items of a search into one file; hrefs may climb to a sibling."""
    arrays = {}
    items = []
    for name in ("one", "two", "elsewhere"):
        if name != "elsewhere":
            arrays[name] = _raster(make_raster, tmp_path / f"data/{name}.tif")
        _item(tmp_path, {"B04": _asset(f"../data/{name}.tif", **EO, **RASTER)}, **SENTINEL)
        items.append(pystac.Item.from_dict(json.loads((tmp_path / "scene.json").read_text())))
        items[-1].id = name
        (tmp_path / "scene.json").unlink()
    (tmp_path / "search").mkdir()
    pystac.ItemCollection(items).save_object(str(tmp_path / "search/items.json"))
    refs = find_scenes(tmp_path)
    assert [ref.id for ref in refs] == ["search/items.json#00000", "search/items.json#00001"]
    for ref, expected in zip(refs, arrays.values(), strict=True):
        with open_scene(ref) as scene:
            assert np.array_equal(scene.read(scene.bands), expected)


def test_the_mask_of_an_asset_says_where_it_was_measured(tmp_path, make_raster):
    """Items of orthophotos: an internal mask, or an alpha band that the item does not list."""
    seen = np.full((40, 50), 255, np.uint8)
    seen[:10] = 0
    values = RNG.integers(1, 255, (4, 40, 50), np.uint8)
    values[3] = seen
    bands = [{"name": name, "eo:common_name": name} for name in ("red", "green", "blue")]
    make_raster(tmp_path / "a.tif", values, photometric="RGB", alpha="YES")
    _item(tmp_path, {"image": _asset("a.tif", bands=[*bands, {"name": "alpha"}])}, version="1.1.0")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.masks == ()  # the item calls it a band
    make_raster(tmp_path / "a.tif", values[:3], photometric="RGB")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.write_mask(seen)
    _item(tmp_path, {"image": _asset("a.tif", bands=bands)}, version="1.1.0")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [(m.name, m.kind) for m in scene.masks] == [("image mask", "valid")]
        assert np.array_equal(scene.read_mask("image mask"), seen)


@pytest.mark.parametrize(
    ("dates", "moment"),
    [
        ({"datetime": "2021-05-06T10:11:12.024Z"}, "2021-05-06T10:11:12.024Z"),
        ({"datetime": "2021-05-06T00:11:12+02:00"}, "2021-05-05T22:11:12Z"),  # another day
        ({"datetime": None, "start_datetime": "2021-05-06T00:00:00Z", "end_datetime": "2021-05-07T00:00:00Z"},
         "2021-05-06T00:00:00Z"),
    ],
)  # fmt: skip
def test_the_date_of_an_item_is_in_utc(tmp_path, make_raster, dates, moment):
    _raster(make_raster, tmp_path / "red.tif")
    _item(tmp_path, {"red": _asset("red.tif", **EO)}, platform="drone-7", **dates)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.datetime == moment


def test_nanometres_where_micrometres_are_asked_for_are_refused(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "red.tif")
    bands = [{"name": "r", "common_name": "red", "center_wavelength": 665}]
    _item(tmp_path, {"red": _asset("red.tif", **{"eo:bands": bands})}, platform="drone-7")
    with pytest.raises(SceneError, match="a wavelength of 665000 nm cannot be"):
        open_scene(find_scenes(tmp_path)[0])
