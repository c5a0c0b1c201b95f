"""NetCDF and Zarr: stored values stay, rows run south, and each time step is a scene."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError

RNG = np.random.default_rng(13)
X, Y = 600005.0 + 10 * np.arange(50), 5000035.0 - 10 * np.arange(40)
RED = RNG.integers(0, 9000, (40, 50)).astype(np.int16)


def _dataset(variables, **coords):
    dataset = xr.Dataset(variables, coords={"y": Y, "x": X, **coords})
    return dataset.rio.write_crs("EPSG:32632")


def _write(dataset, path, **encoding):
    if path.suffix == ".zarr":
        dataset.to_zarr(path, zarr_format=encoding.pop("zarr_format", 3), consolidated=False)
    else:
        dataset.to_netcdf(path, **encoding)
    return path


@pytest.fixture(scope="module", autouse=True)
def _accessor():
    pytest.importorskip("rioxarray")


KINDS = ["a.nc", "classic.nc", "a.zarr", "v2.zarr"]


def _options(name):
    return {
        "a.nc": {"engine": "h5netcdf"},
        "classic.nc": {"engine": "scipy", "format": "NETCDF3_CLASSIC"},
        "a.zarr": {},
        "v2.zarr": {"zarr_format": 2},
    }[name]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("south_first", [False, True])
def test_stored_values_and_cf_scaling_are_kept_in_every_container(tmp_path, name, south_first):
    attributes = {"scale_factor": 0.0001, "add_offset": -0.1, "_FillValue": np.int16(-9999), "units": "1"}
    dataset = _dataset({"red": (("y", "x"), RED, attributes)})
    dataset = dataset.isel(y=slice(None, None, -1)) if south_first else dataset
    _write(dataset, tmp_path / name, **_options(name))
    (ref,) = find_scenes(tmp_path)
    with open_scene(ref) as scene:
        (band,) = scene.select(None)
        assert (band.name, band.scale, band.offset, band.nodata, band.dtype) == ("red", 0.0001, -0.1, -9999, "int16")
        assert band.grid.crs_text == "EPSG:32632"
        assert tuple(band.grid.transform)[:6] == (10, 0, 600000, 0, -10, 5000040)
        assert np.array_equal(scene.read(["red"])[0], RED)
        window = Window(7, 5, 20, 30)
        assert np.array_equal(scene.read(["red"], window)[0], RED[5:35, 7:27])


def test_each_time_step_is_a_scene_of_its_own(tmp_path):
    values = RNG.integers(0, 9000, (3, 40, 50)).astype(np.int16)
    times = pd.to_datetime(["2020-06-01T10:00", "2020-06-11T10:00", "2020-06-21T10:00"])
    _write(_dataset({"nir": (("time", "y", "x"), values)}, time=times), tmp_path / "a.nc")
    refs = find_scenes(tmp_path)
    assert [ref.id for ref in refs] == ["a.nc#00000", "a.nc#00001", "a.nc#00002"]
    for ref, expected, time in zip(refs, values, times, strict=True):
        with open_scene(ref) as scene:
            assert np.array_equal(scene.read(["nir"])[0], expected)
            assert scene.datetime == time.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_labels_name_the_layers_of_a_cube(tmp_path):
    values = RNG.integers(0, 9000, (3, 40, 50)).astype(np.uint16)
    dataset = _dataset({"reflectance": (("band", "y", "x"), values)}, band=["B04", "B03", "B02"])
    _write(dataset, tmp_path / "a.zarr")
    (tmp_path / "a.yaml").write_text("sensor: sentinel-2-msi\nproduct: L2A\n")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [b.name for b in scene.bands] == ["B04", "B03", "B02"]
        assert scene.band("blue").band.wavelength_nm == 492.7
        assert np.array_equal(scene.read(["blue", "red"]), values[[2, 0]])


def test_wavelengths_name_the_layers_of_a_cube(tmp_path):
    values = RNG.integers(0, 9000, (3, 40, 50)).astype(np.uint16)
    axis = xr.DataArray([0.45, 0.55, 0.65], dims="wavelength", attrs={"units": "um"})
    _write(_dataset({"radiance": (("wavelength", "y", "x"), values)}, wavelength=axis), tmp_path / "a.nc")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [(b.name, b.band.wavelength_nm) for b in scene.bands] == [("450nm", 450), ("550nm", 550), ("650nm", 650)]
        assert np.array_equal(scene.read(["550nm"])[0], values[1])


def _change(name):
    cube = RNG.integers(0, 9000, (3, 40, 50)).astype(np.uint16)
    plain = {"red": (("y", "x"), RED)}
    axes = {"y": Y, "x": X}
    uneven = X.copy()
    uneven[3] += 4
    return {
        "cube": (_dataset({"a": (("band", "y", "x"), cube)}), "which of the 3 layers of 'a' is which"),
        "crs": (xr.Dataset(plain, coords=axes), "no coordinate reference system"),
        "uneven": (_dataset(plain).assign_coords(x=uneven), "its axis x is not evenly spaced"),
        "axes": (xr.Dataset({"red": (("row", "column"), RED)}), "no one-dimensional x and y"),
        "nodata": (_dataset({"red": (("y", "x"), RED, {"missing_value": 1e9})}), "nodata is 1000000000.0, which int16"),
        "complex": (_dataset({"a": (("k", "m", "y", "x"), cube[None])}), "cut it to three"),
        "empty": (_dataset({"a": (("y",), Y)}), "no variable lies on the axes"),
    }[name]


@pytest.mark.parametrize("name", ["cube", "crs", "uneven", "axes", "nodata", "complex", "empty"])
def test_what_cannot_be_placed_or_named_is_one_sentence(tmp_path, name):
    dataset, message = _change(name)
    _write(dataset, tmp_path / "a.nc")
    with pytest.raises(SceneError, match=message):
        open_scene(find_scenes(tmp_path)[0])


def test_longitude_and_latitude_need_no_grid_mapping(tmp_path):
    coords = {
        "lat": ("lat", 40 - 0.5 * np.arange(40), {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", 10 + 0.5 * np.arange(50), {"units": "degrees_east", "standard_name": "longitude"}),
    }
    _write(
        xr.Dataset({"t2m": (("lat", "lon"), RED.astype(np.float32), {"units": "K"})}, coords=coords), tmp_path / "a.nc"
    )
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert (scene.bands[0].grid.crs_text, scene.bands[0].band.unit) == ("EPSG:4326", "K")
        assert scene.bands[0].grid.bounds == pytest.approx((9.75, 20.25, 34.75, 40.25))


@pytest.mark.parametrize("content", [b"", b"CDF\x01" + b"\xff" * 50, b"\x89HDF\r\n\x1a\n" + b"\x00" * 99, b"hello"])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(SceneError, match=r"truncated or is no HDF5|not a readable NetCDF"):
        open_scene(find_scenes(tmp_path)[0])


def test_a_truncated_file_is_one_sentence(tmp_path):
    big = RNG.integers(0, 9000, (40, 50)).astype(np.int16)
    path = _write(_dataset({"red": (("y", "x"), big)}), tmp_path / "a.nc", engine="h5netcdf")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match="truncated"), open_scene(find_scenes(tmp_path)[0]) as scene:
        scene.read(["red"])


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_dates_of_a_gridded_dataset_become_tiles_of_one_study(tmp_path, convert, name):
    values = RNG.integers(1, 9000, (2, 40, 50)).astype(np.int16)
    times = pd.to_datetime(["2020-06-01T10:00", "2020-06-11T10:00"])
    dataset = _dataset({"nir": (("time", "y", "x"), values, {"_FillValue": np.int16(0)})}, time=times)
    (tmp_path / "in").mkdir()
    _write(dataset, tmp_path / "in" / name)
    rows = convert(tmp_path / "in", tmp_path / "out")
    assert {row["datetime"] for row in rows} == {"2020-06-01T10:00:00Z", "2020-06-11T10:00:00Z"}
    studies = {row["study"] for row in rows}
    assert len(rows) == 2 * len(studies)
