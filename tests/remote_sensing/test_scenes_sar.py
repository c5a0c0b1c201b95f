"""Sentinel-1: calibration is the published one, geolocation is kept with its misfit, and RTC scales are told apart."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.windows import Window

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import PresetError, RunFailedError
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions
from voxtile_remote_sensing.tiles.convert import convert_geotiff

NAME = "S1A_IW_GRDH_1SDV_20200601T170000_20200601T170025_032800_03CCC1_1A2B"
LINES, COLUMNS = (0, 50, 119), (0, 40, 80, 99)


def _table(seed):
    return np.random.default_rng(seed).uniform(300, 700, (len(LINES), len(COLUMNS)))


def _calibration(table):
    vectors = "".join(
        f"<calibrationVector><line>{line}</line><pixel count='4'>{' '.join(map(str, COLUMNS))}</pixel>"
        f"<sigmaNought count='4'>{' '.join(f'{v:.10e}' for v in row)}</sigmaNought>"
        f"<betaNought count='4'>{' '.join(['474.0'] * 4)}</betaNought>"
        f"<gamma count='4'>{' '.join(f'{v / 2:.10e}' for v in row)}</gamma></calibrationVector>"
        for line, row in zip(LINES, table, strict=True)
    )
    return f"<calibration><calibrationVectorList count='3'>{vectors}</calibrationVectorList></calibration>"


def _grd(folder, *, bend=0.0, east=10.0):
    """Layout: Sentinel-1 Product Specification S1-RS-MDA-52-7441; one file a polarisation with control points."""
    safe = folder / f"{NAME}.SAFE"
    for part in ("measurement", "annotation/calibration"):
        (safe / part).mkdir(parents=True)
    arrays = {}
    for number, polarisation in enumerate(("vv", "vh"), start=1):
        stem = f"s1a-iw-grd-{polarisation}-20200601t170000-20200601t170025-032800-03ccc1-00{number}"
        arrays[polarisation] = np.random.default_rng(number).integers(1, 900, (120, 100), dtype=np.uint16)
        points = [
            GroundControlPoint(row, column, east + column * 1e-4 - row * 2e-5 + bend * row**2, 46.0 - row * 9e-5, 0.0)
            for row in (0, 40, 80, 119)
            for column in (0, 50, 99)
        ]
        points = [GroundControlPoint(p.row, p.col, (p.x + 180) % 360 - 180, p.y, p.z) for p in points]
        with rasterio.open(
            safe / f"measurement/{stem}.tiff", "w", driver="GTiff", count=1, height=120, width=100, dtype="uint16",
            gcps=points, crs="EPSG:4326",
        ) as dataset:  # fmt: skip
            dataset.write(arrays[polarisation], 1)
        (safe / f"annotation/calibration/calibration-{stem}.xml").write_text(_calibration(_table(number)))
        (safe / f"annotation/{stem}.xml").write_text(
            "<product><adsHeader><mode>IW</mode><startTime>2020-06-01T17:00:00.123456</startTime></adsHeader>"
            "<generalAnnotation><productInformation><pass>Ascending</pass></productInformation></generalAnnotation></product>"
        )
    (safe / "manifest.safe").write_text("<xfdu/>")
    return arrays


@pytest.mark.parametrize("kind", ["sigma0", "beta0", "gamma0"])
def test_backscatter_is_dn_squared_over_the_interpolated_table(tmp_path, kind):
    arrays = _grd(tmp_path)
    (ref,) = find_scenes(tmp_path, SceneOptions(calibration=kind))
    window = Window(30, 20, 60, 90)
    with open_scene(ref) as scene:
        assert [(b.name, b.band.unit, b.dtype) for b in scene.bands] == [
            ("VV", kind, "float32"),
            ("VH", kind, "float32"),
        ]
        got = scene.read(["VH", "VV"], window)
        assert got.dtype == np.float32
    for values, polarisation, seed in ((got[0], "vh", 2), (got[1], "vv", 1)):
        factor = {"sigma0": _table(seed), "beta0": np.full((3, 4), 474.0), "gamma0": _table(seed) / 2}[kind]
        for row, column in ((20, 30), (50, 40), (77, 66), (109, 89)):  # on and between the table's nodes
            below = max(n for n in range(2) if LINES[n] <= row)
            share = (row - LINES[below]) / (LINES[below + 1] - LINES[below])
            across = [np.interp(column, COLUMNS, vector) for vector in factor]
            a = across[below] * (1 - share) + across[below + 1] * share
            published = (arrays[polarisation][row, column] / a) ** 2
            assert values[row - 20, column - 30] == pytest.approx(published, rel=1e-6)


def test_without_calibration_the_stored_integers_come(tmp_path):
    arrays = _grd(tmp_path)
    with open_scene(find_scenes(tmp_path, SceneOptions(calibration="none"))[0]) as scene:
        vv = scene.band("VV")
        assert (vv.dtype, vv.band.unit, vv.nodata) == ("uint16", "DN", 0)
        assert np.array_equal(scene.read(["VV", "VH"]), np.stack([arrays["vv"], arrays["vh"]]))
        assert scene.attributes["calibration"] == "none"


def test_control_points_become_the_best_affine_map_and_its_misfit_is_told(tmp_path):
    _grd(tmp_path / "straight")
    _grd(tmp_path / "bent", bend=1e-6)
    bent, straight = (open_scene(ref) for ref in find_scenes(tmp_path))
    grid = straight.bands[0].grid
    assert tuple(grid.transform)[:6] == pytest.approx((1e-4, -2e-5, 10.0, 0, -9e-5, 46.0), abs=1e-12)
    assert straight.attributes["georeference"] == "gcps"
    assert straight.attributes["georeference_error_m"] < 1e-3
    # 1e-6 · row² in degrees of longitude at 46° N, of which an affine map takes the best straight part
    assert 50 < bent.attributes["georeference_error_m"] < 1200
    assert straight.datetime == "2020-06-01T17:00:00.123456Z"
    assert straight.attributes["pass"] == "Ascending"
    straight.close()
    bent.close()


def test_an_image_over_the_antimeridian_has_one_continuous_map(tmp_path):
    _grd(tmp_path, east=179.995)
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.attributes["georeference_error_m"] < 1e-3
        left, _, right, _ = scene.bands[0].grid.bounds
        assert left < 180 < right < 180.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda safe: next(safe.rglob("calibration-*vv*")).unlink(), "its calibration annotation is not there"),
        (lambda safe: next(safe.rglob("calibration-*vv*")).write_text("<a/>"), "calibration vectors are damaged"),
        (
            lambda safe: next(safe.rglob("calibration-*vv*")).write_text(_calibration(-_table(1))),
            "calibration vectors are out of order",
        ),
    ],
)
def test_a_damaged_calibration_is_one_sentence(tmp_path, change, message):
    _grd(tmp_path)
    change(tmp_path / f"{NAME}.SAFE")
    with pytest.raises(SceneError, match=message):
        open_scene(find_scenes(tmp_path)[0])


def test_an_unknown_calibration_is_named(tmp_path):
    _grd(tmp_path)
    with pytest.raises(SceneError, match="calibration 'dB' is unknown; take one of sigma0"):
        open_scene(find_scenes(tmp_path, SceneOptions(calibration="dB"))[0])


@pytest.mark.parametrize(
    ("base", "unit", "scale"),
    [
        ("S1A_IW_20200601T170000_DVP_RTC30_G_gpuned_1A2B_{}.tif", "gamma0", "power"),
        ("S1A_IW_20200601T170000_DVP_RTC30_G_sduned_1A2B_{}.tif", "dB", "dB"),
        ("S1A_IW_20200601T170000_DVP_RTC10_G_saunem_1A2B_{}.tif", "sigma0 amplitude", "amplitude"),
        ("OPERA_L2_RTC-S1_T044-093244-IW1_20200601T170000Z_20231001T000000Z_S1A_30_v1.0_{}.tif", "gamma0", "power"),
    ],
)
def test_corrected_products_tell_linear_from_decibel_by_name(tmp_path, make_raster, base, unit, scale):
    arrays = {p: np.random.default_rng(9).uniform(0.01, 0.5, (50, 60)).astype(np.float32) for p in ("VV", "VH")}
    for polarisation, array in arrays.items():
        make_raster(tmp_path / base.format(polarisation), array, nodata=0)
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        assert [(b.name, b.band.unit, b.nodata) for b in scene.bands] == [("VV", unit, 0), ("VH", unit, 0)]
        assert scene.attributes["scale"] == scale
        assert (scene.platform, scene.datetime) == ("S1A", "2020-06-01T17:00:00Z")
        assert np.array_equal(scene.read(["VV"])[0], arrays["VV"])


@pytest.mark.parametrize("kind", ["sigma0", "none"])
def test_a_grd_image_becomes_tiles_in_its_own_geometry(tmp_path, convert, kind):
    _grd(tmp_path / "in")
    rows = convert(tmp_path / "in", tmp_path / "out", calibration=kind)
    assert {row["dtype"] for row in rows} == {"float32" if kind == "sigma0" else "uint16"}
    assert {row["modality"] for row in rows} == {"SAR"}
    assert all(row["transform"][1] == pytest.approx(-2e-5) for row in rows)  # the shear is kept


def test_calibrated_pixels_cannot_be_left_in_their_files(tmp_path, capsys):
    _grd(tmp_path / "in")
    with pytest.raises(RunFailedError):
        convert_geotiff(tmp_path / "in", tmp_path / "out", size="32px", coords_only=True, workers=1, engine="inline")
    (entry,) = Corpus(tmp_path / "out").ledger().to_pylist()
    assert entry["status"] == "failed"
    assert "so that --coords-only cannot refer" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("stored", "names"), [("complex64", ["VV"]), ("complex_int16", ["VV", "VH"])])
def test_complex_radar_becomes_tiles_with_a_picture_of_its_intensity(tmp_path, stored, names):
    """Single look complex: the numbers stay as they are, and a model of real numbers refuses them by what they are."""
    rng = np.random.default_rng(5)
    values = (rng.normal(size=(len(names), 64, 64)) + 1j * rng.normal(size=(len(names), 64, 64))) * 3
    values[:, :32] *= 100  # bright above, dark below
    values = np.rint(values).astype(np.complex64)
    (tmp_path / "in").mkdir()
    profile = {"driver": "GTiff", "count": len(names), "dtype": stored, "height": 64, "width": 64, "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "in/slc.tif", "w", transform=Affine(10, 0, 500_480, 0, -10, 5_000_320), **profile
    ) as f:
        f.write(values)
    (tmp_path / "in/slc.yaml").write_text(f"{{sensor: sentinel-1-sar, product: GRD-DN, bands: [{', '.join(names)}]}}")
    command = [
        "convert",
        "geotiff",
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        "--size",
        "64px",
        "--min-valid",
        "0.9",
    ]
    assert main([*command, "--split-by", "none", "--workers", "2"]) == 0
    corpus = Corpus(tmp_path / "out")
    (row,) = corpus.table("samples").to_pylist()
    assert row["dtype"] == "complex64"
    source = corpus.source(row)
    np.testing.assert_array_equal(source.array(), values)
    picture = np.asarray(decode_picture(source.preview())).astype(float)
    assert picture[:32].mean() > picture[32:].mean() + 50
    with pytest.raises(PresetError, match=r"real numbers.*complex"):
        TilePreset(bands=tuple(names), size=(64, 64)).check([row])
