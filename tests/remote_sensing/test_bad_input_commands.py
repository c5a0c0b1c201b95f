"""Bad input through the commands that people type: a sentence for each, the rest unharmed, nothing run or fetched."""

import json
import re
import shutil

import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus

PIXELS = np.random.default_rng(0).integers(1, 60_000, (3, 64, 64)).astype(np.uint16)
BANDS = "bands: [a, b, c]\n"
OPTIONS = ["--size", "32px", "--min-valid", "0", "--split-by", "none", "--engine", "inline"]


def no_crs(folder, make_raster, make_safe):
    make_raster(folder / "plain.tif", PIXELS, crs=None)


def truncated_tiff(folder, make_raster, make_safe):
    path = make_raster(folder / "cut.tif", PIXELS, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_jp2(folder, make_raster, make_safe):
    image = next(make_safe(folder, platform="S2B").rglob("*_B08_10m.jp2"))
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])


def lying_header(folder, make_raster, make_safe):
    huge = {"driver": "GTiff", "width": 10**6, "height": 10**6, "count": 3, "dtype": "uint16", "crs": "EPSG:32632"}
    huge |= {"SPARSE_OK": True, "tiled": True, "blockxsize": 8192, "blockysize": 8192, "BIGTIFF": "YES"}
    with rasterio.open(folder / "huge.tif", "w", transform=Affine(10, 0, 0, 0, -10, 0), **huge):
        pass


def missing_band(folder, make_raster, make_safe):
    next(make_safe(folder, platform="S2B").rglob("*_B05_20m.jp2")).unlink()


def nodata_nan(folder, make_raster, make_safe):
    path = make_raster(folder / "nan.tif", PIXELS, nodata=65_535)
    path.write_bytes(path.read_bytes().replace(b"65535\0", b"nan\0\0\0"))  # GDAL keeps it as text, in tag 42113


def vrt_outside(folder, make_raster, make_safe):
    make_raster(folder.parent / "secret.tif", PIXELS)
    (folder / "out.vrt").write_text(_vrt("../../secret.tif"))


def vrt_network(folder, make_raster, make_safe):
    (folder / "net.vrt").write_text(_vrt("/vsicurl/http://127.0.0.1:9/a.tif", relative=0))


def stac_network(folder, make_raster, make_safe):
    asset = {"href": "http://127.0.0.1:9/a.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": None, "bbox": None, "links": []}
    item |= {"properties": {"datetime": "2022-06-01T10:00:00Z"}, "assets": {"red": asset}}
    (folder / "item.json").write_text(json.dumps(item))


def zarr_object_codec(folder, make_raster, make_safe):
    axes = {"y": np.arange(64.0)[::-1], "x": np.arange(64.0)}
    store = folder / "a.zarr"
    xr.Dataset({"red": (("y", "x"), PIXELS[0])}, coords=axes).to_zarr(store, zarr_format=2, consolidated=False)
    entry = json.loads((store / "red/.zarray").read_text())
    entry |= {"dtype": "|O", "filters": [{"id": "pickle"}], "compressor": None, "fill_value": None}
    (store / "red/.zarray").write_text(json.dumps(entry))


def xml_entities(folder, make_raster, make_safe):
    path = next(make_safe(folder, platform="S2B").glob("MTD_MSI*.xml"))
    entity = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    path.write_text(re.sub(r"<\?xml.*\?>", entity, path.read_text()))


def _vrt(href, relative=1):
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{n}"><SimpleSource><SourceFilename relativeToVRT="{relative}">{href}'
        f"</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource></VRTRasterBand>"
        for n in (1, 2, 3)
    )
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000, 10, 0, 5000040, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )


BAD = {
    no_crs: r"plain\.tif.*no (CRS|coordinate)",
    truncated_tiff: r"cut\.tif.*truncated or damaged",
    truncated_jp2: r"B08_10m\.jp2.*truncated or damaged",
    lying_header: r"huge\.tif.*claims 1000000.1000000 pixels",
    missing_band: r"band B05 belongs to the product, but its image is not there",
    nodata_nan: r"nan\.tif.*nodata is nan, which uint16 values cannot be",
    vrt_outside: r"out\.vrt.*outside the input folder",
    vrt_network: r"net\.vrt.*network",
    stac_network: r"item\.json.*leads to the network",
    zarr_object_codec: r"a\.zarr.*uses the codec 'pickle'",
    xml_entities: r"declares entities",
}


@pytest.mark.cases(4)
@pytest.mark.parametrize("damage", BAD, ids=lambda damage: damage.__name__)
def test_a_bad_scene_is_one_sentence_and_its_neighbour_is_unharmed(tmp_path, make_raster, make_safe, capsys, damage):
    source = tmp_path / "in"
    make_raster(source / "good.tif", PIXELS)
    (source / "bad").mkdir()
    (source / "bands.yaml").write_text(BANDS)
    damage(source / "bad", make_raster, make_safe)
    assert main(["convert", "geotiff", str(source), str(tmp_path / "corpus"), *OPTIONS]) == 1, "one scene failed"
    shown = capsys.readouterr()
    said = " ".join((shown.out + shown.err).split())
    assert re.search(BAD[damage], said), said
    assert "Traceback" not in said
    assert not re.search(r"failed: (\S+): \1:", said), "the name of a scene stands once"
    corpus = Corpus(tmp_path / "corpus")
    failed = [row for row in corpus.ledger().to_pylist() if row["status"] == "failed"]
    assert failed
    assert all("bad" in row["source"] for row in failed)
    tiles = [row for row in corpus.table("samples").to_pylist() if row["source"].endswith("good.tif")]
    assert len(tiles) >= 4
    for row in tiles:
        values = corpus.source(row).array()
        column, line = (round(v) for v in ~Affine(10, 0, 600_000, 0, -10, 5_000_040) @ row["transform"][2:6:3])
        y, x = max(line, 0), max(column, 0)
        part = PIXELS[:, y : line + 32, x : column + 32]
        np.testing.assert_array_equal(values[:, y - line :, x - column :][:, : part.shape[1], : part.shape[2]], part)


def test_a_picture_of_no_place_is_told_of_in_a_sentence_and_in_no_warning_of_a_library(tmp_path, capsys, recwarn):
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "plain.tif")
    (tmp_path / "bands.yaml").write_text(BANDS)
    assert main(["convert", "geotiff", str(tmp_path), str(tmp_path / "corpus"), *OPTIONS]) == 1
    assert "no coordinate reference system" in capsys.readouterr().out
    assert "NotGeoreferencedWarning" not in {warning.category.__name__ for warning in recwarn}


def test_turned_scenes_and_scenes_over_the_dateline_and_a_pole_are_kept(tmp_path, make_raster, capsys):
    turned = Affine.translation(600_000, 5_000_000) @ Affine.rotation(20) @ Affine.shear(10, 0) @ Affine.scale(10, -10)
    make_raster(tmp_path / "in/turned.tif", PIXELS, transform=turned)
    make_raster(tmp_path / "in/date.tif", PIXELS, crs="EPSG:32601", transform=Affine(500, 0, 150_000, 0, -500, 500_000))
    pole = Affine(1000, 0, -32_000, 0, -1000, 32_000)
    make_raster(tmp_path / "in/pole.tif", PIXELS, crs="EPSG:3413", transform=pole)
    (tmp_path / "in/bands.yaml").write_text(BANDS)
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *OPTIONS]) == 0
    capsys.readouterr()
    rows = Corpus(tmp_path / "corpus").table("samples").to_pylist()
    by_source = {
        name: [r for r in rows if r["source"].endswith(name)] for name in ("turned.tif", "date.tif", "pole.tif")
    }
    assert all(len(found) >= 4 for found in by_source.values())
    assert by_source["turned.tif"][0]["transform"][:2] == pytest.approx([turned.a, turned.b])
    shapes = {name: [shapely.from_wkb(r["geometry"]) for r in found] for name, found in by_source.items()}
    assert all(shape.is_valid for found in shapes.values() for shape in found)
    assert "MultiPolygon" in {shape.geom_type for shape in shapes["date.tif"]}
    assert any(shape.intersects(shapely.Point(10, 89.99)) for shape in shapes["pole.tif"])


def test_a_tile_wholly_outside_the_data_is_named_and_not_stored(tmp_path, make_raster, capsys):
    pixels = PIXELS.copy()
    pixels[:, :, 32:] = 0
    make_raster(tmp_path / "in/half.tif", pixels, nodata=0, transform=Affine(10, 0, 600_000, 0, -10, 4_999_680))
    (tmp_path / "in/bands.yaml").write_text(BANDS)
    options = [*OPTIONS[:2], "--min-valid", "0.01", *OPTIONS[4:]]
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *options]) == 0
    assert "nodata" in capsys.readouterr().out
    corpus = Corpus(tmp_path / "corpus")
    assert all(corpus.source(row).array().any() for row in corpus.table("samples").to_pylist())
    assert {row["reason"] for row in corpus.ledger().to_pylist() if row["status"] == "dropped"} == {"nodata"}


OSM = """<osm version="0.6"><bounds minlat="45.0" minlon="9.9" maxlat="45.3" maxlon="10.5"/>
{nodes}
<way id="1" version="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/>
<tag k="building" v="yes"/></way>
<way id="2" version="1"><nd ref="1"/><nd ref="2"/></way>
<relation id="7" version="1"><member type="way" ref="2" role="outer"/>
<tag k="type" v="multipolygon"/><tag k="building" v="yes"/></relation></osm>"""


def test_a_broken_multipolygon_is_counted_and_its_neighbour_is_read(tmp_path, make_raster, capsys):
    transform = Affine(1, 0, 600_000, 0, -1, 5_000_040)
    make_raster(tmp_path / "in/a.tif", PIXELS, transform=transform)
    (tmp_path / "in/bands.yaml").write_text(BANDS)
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *OPTIONS]) == 0
    ring = [(600_010, 5_000_030), (600_026, 5_000_030), (600_026, 5_000_018), (600_010, 5_000_018)]
    longitudes, latitudes = rasterio.warp.transform("EPSG:32632", "EPSG:4326", *zip(*ring, strict=True))
    nodes = "\n".join(
        f'<node id="{n}" version="1" lat="{lat}" lon="{lon}"/>'
        for n, (lat, lon) in enumerate(zip(latitudes, longitudes, strict=True), start=1)
    )
    (tmp_path / "map.osm").write_text(OSM.format(nodes=nodes))
    facts = [
        "facts",
        str(tmp_path / "corpus"),
        "--from",
        "osm",
        "--osm",
        str(tmp_path / "map.osm"),
        "--engine",
        "inline",
    ]
    assert main(facts) == 0
    assert "broken-multipolygon: 1" in capsys.readouterr().out
    rows = Corpus(tmp_path / "corpus").table("facts").to_pylist()
    counts = [row["value"] for row in rows if row["concept"] == "building" and row["unit"] == "count"]
    assert counts
    assert set(counts) == {1.0}
    (tmp_path / "cut.osm").write_text(OSM.format(nodes=nodes)[:200])
    assert main([*facts[:5], str(tmp_path / "cut.osm"), "--engine", "inline"]) == 2
    assert "cut.osm" in capsys.readouterr().err


def test_a_product_without_its_granules_is_named_beside_whole_ones_and_alone(tmp_path, make_safe, capsys):
    whole = make_safe(tmp_path / "in", platform="S2B")
    half = tmp_path / "in" / "S2A_MSIL2A_20210304T102021_N0214_R065_T32UPU_20210304T123456.SAFE"
    half.mkdir()
    shutil.copy(whole / "MTD_MSIL2A.xml", half)
    shutil.copytree(tmp_path / "in", tmp_path / "in" / "__MACOSX" / "in")
    (tmp_path / "in" / f"._{whole.name}.tif").write_bytes(b"\0\5\26\7")
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *OPTIONS]) == 0
    assert f"1 product folders of '{tmp_path / 'in'}' lack their images" in " ".join(capsys.readouterr().err.split())
    sources = {row["source"] for row in Corpus(tmp_path / "corpus").table("samples").to_pylist()}
    assert sources == {whole.name}
    assert main(["convert", "geotiff", str(half), str(tmp_path / "other"), *OPTIONS]) == 2
    assert f"the product '{half.name}' lacks its images or its metadata" in " ".join(capsys.readouterr().err.split())


def test_tiles_that_do_not_fit_into_blocks_are_told_with_their_scene(tmp_path, make_raster, capsys):
    make_raster(tmp_path / "in/fine.tif", PIXELS)
    make_raster(tmp_path / "in/coarse.tif", PIXELS, transform=Affine(9000, 0, 600_000, 0, -9000, 5_300_000))
    (tmp_path / "in/bands.yaml").write_text(BANDS)
    options = ["--size", "32px", "--engine", "inline"]
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), *options]) == 2
    assert "(coarse.tif) do not fit into blocks of 20,000 m" in " ".join(capsys.readouterr().err.split())
