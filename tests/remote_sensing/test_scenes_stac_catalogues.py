"""Items as catalogues write them: Landsat by level, quality layers, names of Earth Search, rasters left on the network.

Layouts: landsat-c2l1 and landsat-c2-l2 of the USGS, sentinel-2-l2a of Earth Search (Element 84), stactools. Numbers:
USGS LSDS-1574, section 5 (Level 1), LSDS-1619 (Level 2), Landsat 8 Pre-Collection Quality Assessment Band.
"""

import json
import math

import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError

RNG = np.random.default_rng(29)
SUN = 28.87
SINE = math.sin(math.radians(SUN))
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
LANDSAT = {"platform": "landsat-8", "instruments": ["oli", "tirs"], "view:sun_elevation": SUN}
SENTINEL = {"platform": "sentinel-2a", "constellation": "sentinel-2", "s2:product_type": "S2MSI2A"}
RADIANCE = "watt/steradian/square_meter/micrometer"


def _raster(make_raster, path, **profile):
    values = RNG.integers(5000, 30000, (40, 50), dtype=np.uint16)
    make_raster(path, values, **{"metres": 30} | profile)
    return values


def _asset(href, name=None, common=None, **fields):
    named = {"eo:bands": [{"name": name, "common_name": common}]} if name else {}
    return {"href": href, "type": COG, "roles": ["data"], **named, **fields}


def _scaled(scale, offset, **fields):
    return {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": scale, "offset": offset, **fields}]}


def _open(folder, assets, *, name="scene", **properties):
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "bbox": None,
        "properties": {"datetime": "2020-06-01T10:03:04Z", **properties},
        "links": [],
        "assets": assets,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "item.json").write_text(json.dumps(item))
    return open_scene(next(ref for ref in find_scenes(folder) if ref.reader == "stac"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scene", {"landsat:correction": "L1TP"}),
        ("scene", {"landsat:correction": "L1GT"}),
        ("scene", {"landsat:correction": "L1GS"}),
        ("scene", {"processing:level": "L1"}),
        ("LC08_L1GT_193027_20200601_20200824_02_T2", {}),
        ("LC81930272020153LGN00", {}),  # before Collection 1
    ],
)
@pytest.mark.parametrize("stated", [{}, _scaled(2e-5, -0.1)])
def test_level_1_is_divided_by_the_sine_of_the_sun(tmp_path, make_raster, name, said, stated):
    dn = _raster(make_raster, tmp_path / "red.tif")
    with _open(tmp_path, {"red": _asset("red.tif", "B4", "red", **stated)}, name=name, **LANDSAT, **said) as scene:
        red = scene.band("red")
        assert (scene.product, red.name, red.band.unit) == ("L1", "B4", "reflectance")
        published = (dn * 2.0e-5 - 0.1) / SINE
        np.testing.assert_allclose(scene.read([red])[0] * red.scale + red.offset, published, rtol=1e-12)


def test_level_1_says_what_it_lacks(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "red.tif")
    plain = {"red": _asset("red.tif", "B4", "red")}
    level = {"landsat:correction": "L1TP"}
    with pytest.raises(SceneError, match="state 'landsat:correction'"):
        _open(tmp_path, plain, **LANDSAT)
    with pytest.raises(SceneError, match="needs the sun's elevation"):
        _open(tmp_path, plain, platform="landsat-9", **level)
    with pytest.raises(SceneError, match="may mean radiance or reflectance"):
        _open(tmp_path, {"red": _asset("red.tif", "B4", "red", **_scaled(0.0127, -63.4))}, **LANDSAT, **level)
    with pytest.raises(SceneError, match=r"put the scene's MTL\.txt beside"):  # TM: each scene has its own numbers
        _open(tmp_path, {"red": _asset("red.tif", "B3", "red")}, **LANDSAT | {"platform": "landsat-5"}, **level)


def test_radiance_stays_radiance(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "red.tif")
    asset = _asset("red.tif", "B4", "red", **_scaled(0.0127, -63.4, unit=RADIANCE))
    with _open(tmp_path, {"red": asset}, **LANDSAT, **{"landsat:correction": "L1TP"}) as scene:
        red = scene.band("red")
        assert (red.band.unit, red.scale, red.offset) == ("W m-2 sr-1 um-1", 0.0127, -63.4)


def test_level_2_keeps_its_numbers(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "red.tif")
    _raster(make_raster, tmp_path / "heat.tif")
    assets = {
        "red": _asset("red.tif", "OLI_B4", "red"),
        "lwir11": _asset("heat.tif", "TIRS_B10", "lwir11", **_scaled(0.00341802, 149.0, unit="kelvin")),
    }
    with _open(tmp_path, assets, **LANDSAT, **{"landsat:correction": "L2SP"}) as scene:
        told = [(b.name, b.band.unit, b.scale, b.offset) for b in scene.select(None)]
        assert told == [("B4", "reflectance", 2.75e-5, -0.2), ("B10", "kelvin", 0.00341802, 149.0)]


def test_thermal_bands_of_level_1(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "red.tif")
    _raster(make_raster, tmp_path / "heat.tif")
    assets = {"red": _asset("red.tif", "B4", "red"), "lwir11": _asset("heat.tif", "B10", "lwir11")}
    level = {"landsat:correction": "L1TP"}
    with _open(tmp_path, assets, **LANDSAT, **level) as scene:
        heat = scene.band("B10")
        assert (heat.band.unit, heat.scale, heat.offset) == ("W m-2 sr-1 um-1", 3.342e-4, 0.1)
    with _open(tmp_path, assets, **LANDSAT | {"platform": "landsat-9"}, **level) as scene:  # TIRS-2 differs
        assert [b.name for b in scene.select(None)] == ["B4"]
        with pytest.raises(SceneError, match="nothing says how the numbers of band B10"):
            scene.band("B10")


def test_the_bands_of_mss_are_not_those_of_tm(tmp_path, make_raster):
    """Platform Landsat 5 carried both; B1 of MSS is green (stactools, landsat-c2-l1)."""
    _raster(make_raster, tmp_path / "green.tif")
    said = {"platform": "landsat-5", "instruments": ["mss"], "landsat:correction": "L1GS"}
    asset = _asset("green.tif", "B1", "green", **_scaled(0.88504, 1.51496, unit=RADIANCE))
    with _open(tmp_path, {"green": asset}, **said) as scene:
        (band,) = scene.select(None)
        assert (band.band.common_name, band.band.unit) == ("green", "W m-2 sr-1 um-1")


# Bits by hand: cloud 11 in 14-15; cirrus 11 in 12-13; snow 11 in 10-11; fill; clear (all "no").
PRE_COLLECTION = np.array([[0xD000, 0x7000, 0x5C00, 0x0001, 0x5000]], np.uint16)
# Cloud bit 4; shadow 11 in 7-8; snow 11 in 9-10; cirrus 11 in 11-12; clear.
COLLECTION_1 = np.array([[0x0AB0, 0x0180, 0x0600, 0x1800, 0x0AA0]], np.uint16)
CLOUD, SHADOW, SNOW, NODATA = 2, 4, 8, 1


@pytest.mark.parametrize(
    ("product", "stated", "bits", "flags"),
    [
        ("LC81930272015153LGN00", {}, PRE_COLLECTION, [CLOUD, CLOUD, SNOW, NODATA, 0]),
        ("LC08_L1TP_193027_20150602_20170401_01_T1", {}, COLLECTION_1, [CLOUD, SHADOW, SNOW, CLOUD, 0]),
        ("scene", {"landsat:collection_number": "01"}, COLLECTION_1, [CLOUD, SHADOW, SNOW, CLOUD, 0]),
    ],
)
def test_bqa_is_a_mask_of_its_own_collection_and_no_channel(tmp_path, make_raster, product, stated, bits, flags):
    from voxtile_remote_sensing.tiles.quality import flags_of

    _raster(make_raster, tmp_path / f"{product}_B4.TIF")
    make_raster(tmp_path / f"{product}_BQA.TIF", np.repeat(bits, 40, axis=0), metres=30)
    assets = {"B4": _asset(f"{product}_B4.TIF"), "BQA": _asset(f"{product}_BQA.TIF")}
    with _open(tmp_path, assets, name=product, **LANDSAT, **{"landsat:correction": "L1TP"}, **stated) as scene:
        assert [b.name for b in scene.select(None)] == ["B4"]
        (mask,) = scene.masks
        assert flags_of(mask.kind, scene.read_mask(mask))[0].tolist() == flags


def test_bqa_of_nobody_knows_what_is_refused(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "B4.tif")
    assets = {"B4": _asset("B4.tif"), "BQA": _asset("B4.tif")}
    with pytest.raises(SceneError, match="Collection 1 or those before it"):
        _open(tmp_path, assets, **LANDSAT, **{"landsat:correction": "L1TP"})


def test_maps_beside_the_bands_are_no_channels(tmp_path, make_raster):
    for name in ("B04", "other"):
        _raster(make_raster, tmp_path / f"{name}.tif", metres=10)
    assets = {key: _asset("other.tif") for key in ("aot", "wvp", "qa_radsat", "qa_aerosol", "emis", "AOT", "WVP")}
    assets["sun"] = _asset("other.tif", roles=["sun-elevation"])
    with _open(tmp_path, {"red": _asset("B04.tif", "red", "red"), **assets}, **SENTINEL) as scene:
        assert [b.name for b in scene.select(None)] == ["B04"]
        assert not scene.masks


EARTH_SEARCH = {  # asset and band name, common name → the operator's name; the properties of a real item
    "coastal": ("coastal", "B01"), "blue": ("blue", "B02"), "green": ("green", "B03"), "red": ("red", "B04"),
    "rededge1": ("rededge", "B05"), "rededge2": ("rededge", "B06"), "rededge3": ("rededge", "B07"),
    "nir": ("nir", "B08"), "nir08": ("nir08", "B8A"), "nir09": ("nir09", "B09"),
    "swir16": ("swir16", "B11"), "swir22": ("swir22", "B12"),
}  # fmt: skip


def test_the_names_of_earth_search_are_bands(tmp_path, make_raster):
    assets = {}
    for key, (common, _) in EARTH_SEARCH.items():
        _raster(make_raster, tmp_path / f"{key}.tif", metres=10)
        assets[key] = _asset(f"{key}.tif", key, common, **_scaled(1e-4, -0.1))
        assets[f"{key}-jp2"] = {"href": f"s3://sentinel-s2-l2a/{key}.jp2", "type": "image/jp2", "roles": ["data"]}
    with _open(tmp_path, assets, **SENTINEL) as scene:
        assert [b.name for b in scene.select(None)] == [name for _, name in EARTH_SEARCH.values()]
        assert scene.band("rededge2").band.wavelength_nm == 740.5
        assert scene.band("rededge078").name == "B07"
        assert not scene.missing


def test_the_finest_copy_of_a_band_is_taken(tmp_path, make_raster):
    """stactools lists every resolution of a SAFE folder: `blue`, `blue_20m`, `blue_60m`."""
    for metres in (10, 20, 60):
        _raster(make_raster, tmp_path / f"B02_{metres}.tif", metres=metres)
    assets = {"blue_60m": "B02_60.tif", "blue": "B02_10.tif", "blue_20m": "B02_20.tif"}
    with _open(tmp_path, {k: _asset(h, "B02", "blue") for k, h in assets.items()}, **SENTINEL) as scene:
        assert [(b.name, b.grid.pixel_size[0]) for b in scene.select(None)] == [("B02", 10)]


def test_one_raster_on_the_network_costs_one_band(tmp_path, make_raster, capsys):
    source = tmp_path / "in"
    _raster(make_raster, source / "B04.tif", metres=10)
    far = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/39/Q/TA/B05.tif?signature=secret"
    assets = {"red": _asset("B04.tif", "red", "red"), "rededge1": _asset(far, "rededge1", "rededge")}
    assets |= {"aot": _asset(far), "scl": _asset(far)}  # no band, and the mask of clouds
    with (
        _open(source, assets, **SENTINEL) as scene,
        pytest.raises(SceneError, match=r"'rededge1': .*B05\.tif' leads to the network.*--allow-network"),
    ):
        scene.band("B05")
    corpus = tmp_path / "corpus"
    code = main(["convert", "geotiff", str(source), str(corpus), "--size", "32px", "--workers", "2", "--min-valid", "0",
                 "--split-by", "none"])  # fmt: skip
    told = capsys.readouterr()
    assert code == 0, told
    assert "band-not-here" in told.out + told.err
    rows = Corpus(corpus).table("samples").to_pylist()
    assert {c["name"] for row in rows for c in row["channels"]} == {"B04"}
    ledger = Corpus(corpus).table("ledger").to_pylist()
    (lost,) = [row for row in ledger if row["reason"] == "band-not-here"]
    assert "B05" in lost["uid"]
    assert [row["uid"] for row in ledger if row["reason"] == "mask-not-here"] == ["item.json scl"]
    assert "secret" not in json.dumps(ledger, default=str)


def test_sentinel_1_of_a_catalogue_is_not_called_calibrated(tmp_path, make_raster):
    _raster(make_raster, tmp_path / "vv.tif", metres=10)
    said = {"platform": "SENTINEL-1A", "constellation": "Sentinel-1"}
    with _open(tmp_path, {"vv": _asset("vv.tif")}, **said, **{"sar:product_type": "GRD"}) as scene:
        assert [(b.name, b.band.unit) for b in scene.bands] == [("VV", "DN")]
    with _open(tmp_path, {"vv": _asset("vv.tif")}, name="S1A_IW_GRDH_rtc", **said) as scene:
        assert [(b.name, b.band.unit) for b in scene.bands] == [("VV", "gamma0")]
