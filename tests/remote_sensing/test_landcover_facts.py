"""`facts --from landcover`: shares of classes against a plain count of raster cells."""

import json
from collections import Counter

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_remote_sensing.landcover.command import facts_from_landcover
from voxtile_remote_sensing.landcover.legend import legend_names, load_legend


def write_tiles(root, tiles):
    new_corpus(root)
    writer = JobWriter(root, "tiles-0")
    for uid, crs, transform, size in tiles:
        row = {"uid": uid, "subject": uid, "kind": "tile", "modality": "MSI", "axes": "CYX", "crs": crs}
        writer.add(Sample({**row, "transform": list(transform)[:6]}, np.zeros((1, *size), np.uint8)))
    writer.publish()
    return root


def write_raster(path, values, transform, crs, **profile):
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype, crs=crs,
        transform=transform, **profile,
    ) as out:  # fmt: skip
        out.write(values, 1)
    return path


def shares(root):
    rows = Corpus(root).table("facts").to_pylist()
    return {(r["uid"], r["concept"]): r["value"] for r in rows}, {(r["uid"], r["concept"]): r["polarity"] for r in rows}


def test_shares_equal_a_count_of_cells_where_the_grids_agree(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([10, 30, 40, 50, 80], np.uint8), (200, 200), p=[0.5, 0.28, 0.15, 0.05, 0.02])
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    raster = write_raster(tmp_path / "wc.tif", values, place, "EPSG:32633", nodata=0)
    tiles = [
        (f"t{i}{j}", "EPSG:32633", place @ Affine.translation(100 * j, 100 * i), (100, 100))
        for i in (0, 1)
        for j in (0, 1)
    ]
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_landcover(root, raster=raster, legend="worldcover", engine="inline")
    found, polarity = shares(root)
    legend = load_legend("worldcover")
    for i in (0, 1):
        for j in (0, 1):
            block = values[100 * i : 100 * i + 100, 100 * j : 100 * j + 100]
            for value, count in zip(*np.unique(block, return_counts=True), strict=True):
                key = f"t{i}{j}", legend.values[int(value)]
                assert found[key] == count / 10_000
                assert polarity[key] == ("present" if count >= 500 else "uncertain")
            assert ("t00", "mangroves") not in found
    scopes = Corpus(root).table("scopes").to_pylist()
    assert {(s["closed"], s["vocabulary"], len(s["concepts"])) for s in scopes} == {(True, "worldcover@1", 11)}
    manifest = json.loads(sorted((root / "manifests").glob("*.json"))[-1].read_text())
    assert manifest["licence"].startswith("CC BY 4.0; © ESA WorldCover")


def test_another_projection_and_a_finer_grid_against_gdals_warp(tmp_path):
    rng = np.random.default_rng(1)
    values = np.kron(rng.integers(1, 45, (30, 30)), np.ones((4, 4), int)).astype(np.int16)
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3035", always_xy=True).transform(11.0, 47.0)
    place = Affine(100, 0, x - 6000, 0, -100, y + 6000)
    raster = write_raster(tmp_path / "clc.tif", values, place, "EPSG:3035", nodata=-128)
    east, north = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(11.0, 47.0)
    tile = Affine(10, 0, east - 1200, 0, -10, north + 1200)
    root = write_tiles(tmp_path / "corpus", [("tile", "EPSG:32632", tile, (240, 240))])
    facts_from_landcover(root, raster=raster, legend="corine", engine="inline")
    warped = np.zeros((240, 240), np.int16)
    reproject(
        values, warped, src_transform=place, src_crs="EPSG:3035", dst_transform=tile, dst_crs="EPSG:32632",
        resampling=Resampling.nearest, tolerance=0.0,
    )  # fmt: skip
    legend = load_legend("corine")
    truth = Counter(legend.values[int(v)] for v in warped.ravel())
    found, _ = shares(root)
    assert {c for _, c in found} == set(truth)
    for concept, count in truth.items():
        assert abs(found["tile", concept] - count / 240**2) < 1e-3, concept


def test_corine_codes_and_bigearthnets_classes_agree(test_data, tmp_path):
    fine, coarse = load_legend("corine"), load_legend("corine-19")
    assert len(fine.concepts) == 44
    assert len(coarse.concepts) == 19
    assert fine.values[111] == fine.values[1] == "continuous urban fabric"
    assert coarse.values[1] == coarse.values[112] == "urban fabric"
    assert coarse.values[26] == coarse.values[333] == "natural grassland and sparsely vegetated areas"
    assert 34 in coarse.nodata, "glaciers are in none of the 19 classes"
    used = {
        json.loads(p.read_text())["labels"][0]
        for p in test_data.glob("remote_sensing/bigearthnet_tiny/tiny/*/*labels*.json")
    }
    assert {"Broad-leaved forest", "Coniferous forest", "Sea and ocean"} & used
    names = {concept.split(",")[0].casefold().replace(" ", "")[:12] for concept in fine.concepts}
    known = [
        label for label in used if label.split(",")[0].casefold().replace(" ", "").replace("/", "and")[:12] in names
    ]
    assert len(known) >= len(used) - 2


def test_partly_classified_tiles_have_open_scopes_and_tiles_off_the_raster_none(tmp_path):
    values = np.full((100, 100), 1, np.uint8)
    values[:, 50:] = 255
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    raster = write_raster(tmp_path / "dw.tif", values, place, "EPSG:32633")
    tiles = [("full", "EPSG:32633", place, (50, 50)), ("half", "EPSG:32633", place, (100, 100))]
    tiles += [("off", "EPSG:32633", place @ Affine.translation(500, 0), (50, 50)), ("nowhere", None, place, (5, 5))]
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_landcover(root, raster=raster, legend="dynamic-world", engine="inline")
    found, _ = shares(root)
    assert found == {("full", "trees"): 1.0, ("half", "trees"): 0.5}
    assert {s["uid"]: s["closed"] for s in Corpus(root).table("scopes").to_pylist()} == {"full": True, "half": False}


def test_wrong_rasters_and_legends(tmp_path):
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    root = write_tiles(tmp_path / "corpus", [("tile", "EPSG:32633", place, (50, 50))])
    good = write_raster(tmp_path / "a.tif", np.full((50, 50), 77, np.uint8), place, "EPSG:32633")
    with pytest.raises(ConfigError, match=r"no legend 'corin'.*corine"):
        facts_from_landcover(root, raster=good, legend="corin", engine="inline")
    with pytest.raises(RunFailedError):
        facts_from_landcover(root, raster=good, legend="worldcover", engine="inline")
    reasons = [r["reason"] for r in Corpus(root).ledger().to_pylist()]
    assert Corpus(root).table("facts").num_rows == 0, reasons
    bare = write_raster(tmp_path / "b.tif", np.full((50, 50), 10, np.uint8), place, None)
    with pytest.raises(InputError, match="has no CRS"):
        facts_from_landcover(root, raster=bare, legend="worldcover", engine="inline")
    real = write_raster(tmp_path / "c.tif", np.full((50, 50), 10, np.float32), place, "EPSG:32633")
    with pytest.raises(InputError, match="whole numbers"):
        facts_from_landcover(root, raster=real, legend="worldcover", engine="inline")
    with rasterio.open(tmp_path / "e.tif", "w", **(rasterio.open(good).profile | {"count": 3})) as picture:
        picture.write(np.full((3, 50, 50), 10, np.uint8))
    with pytest.raises(InputError, match="has 3 bands, and nobody says which"):
        facts_from_landcover(root, raster=tmp_path / "e.tif", legend="worldcover", engine="inline")
    far = Affine(10, 0, 100_000, 0, -10, 1_000_000)
    far = write_raster(tmp_path / "f.tif", np.full((50, 50), 10, np.uint8), far, "EPSG:32633")
    with pytest.raises(InputError, match=r"no tile of .* lies on the raster"):
        facts_from_landcover(root, raster=far, legend="worldcover", engine="inline")
    (tmp_path / "d.tif").write_bytes(b"II*\x00 nothing")
    with pytest.raises(InputError, match=r"d\.tif"):
        facts_from_landcover(root, raster=tmp_path / "d.tif", legend="worldcover", engine="inline")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodata": 0}, "nodata must be a list of whole numbers"),
        ({"nodata": ["none"]}, "nodata must be a list of whole numbers"),
        ({"codes": [1]}, "codes map classes to lists of whole numbers"),
        ({"codes": {10: 11}}, "codes of class 10 must be a list of whole numbers"),
        ({"codes": {10: [None]}}, "codes of class 10 must be a list of whole numbers"),
        ({"codes": {99: [1]}}, "the code 1 of class 99 is taken or has no class"),
    ],
)
def test_a_legend_of_ones_own_that_is_none_is_one_sentence(tmp_path, change, message):
    words = {"legend": "mine", "version": "1", "title": "t", "source": "s", "licence": "CC0-1.0"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**words, "classes": {10: "trees"}, "nodata": [0], **change}))
    with pytest.raises(ConfigError, match=message):
        load_legend(str(tmp_path / "mine.yaml"))


def test_legends_are_sound():
    assert legend_names() == ("cdl", "corine", "corine-19", "dynamic-world", "worldcover")
    sizes = {name: len(load_legend(name).concepts) for name in legend_names()}
    assert sizes["cdl"] > 110
    assert (sizes["worldcover"], sizes["dynamic-world"]) == (11, 9)
    cdl = load_legend("cdl")
    assert [cdl.values[v] for v in (1, 5, 24, 111, 83, 176)] == [
        "corn", "soybeans", "winter wheat", "open water", "open water", "grassland and pasture",
    ]  # fmt: skip
