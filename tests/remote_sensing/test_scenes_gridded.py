"""NetCDF and Zarr: stored values stay, rows run south, and each time step is a scene."""

import numpy as np
import pandas as pd
import pyproj
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


def test_an_axis_of_dates_by_another_name_is_one_of_time_steps(tmp_path):
    """ERA5 has `valid_time`, beside a run and an ensemble's number without an axis."""
    values = RNG.integers(0, 9000, (2, 40, 50)).astype(np.int16)
    times = pd.to_datetime(["2020-06-01T10:00", "NaT"])
    dataset = _dataset({"t2m": (("valid_time", "y", "x"), values)}, valid_time=times, number=0)
    _write(dataset, tmp_path / "a.nc")
    for ref, expected, moment in zip(find_scenes(tmp_path), values, ["2020-06-01T10:00:00Z", None], strict=True):
        with open_scene(ref) as scene:
            assert np.array_equal(scene.read(["t2m"])[0], expected)
            assert scene.datetime == moment


@pytest.mark.parametrize(
    ("coordinates", "attributes", "moment"),
    [
        ({"valid": ((), pd.Timestamp("2021-05-06"), {"standard_name": "time"})}, {}, "2021-05-06T00:00:00Z"),
        ({"forecast_reference_time": ((), pd.Timestamp("2021-05-06"))}, {}, None),
        ({}, {"time_coverage_start": "2021-05-06T01:02:03+02:00"}, "2021-05-05T23:02:03Z"),
        ({}, {"time_coverage_start": "in May"}, None),
    ],
)
def test_the_date_of_a_dataset_without_time_steps(tmp_path, coordinates, attributes, moment):
    _write(_dataset({"red": (("y", "x"), RED)}, **coordinates).assign_attrs(attributes), tmp_path / "a.nc")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.datetime == moment


@pytest.mark.parametrize(("units", "calendar"), [("days since 2020-01-01", "noleap"), ("lunes since x", "standard")])
@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_times_that_are_no_dates_are_refused_by_their_reason(tmp_path, name, units, calendar):
    """They were called a damaged file, to be copied again."""
    time = ("time", [59, 60], {"units": units, "calendar": calendar})
    _write(_dataset({"red": (("time", "y", "x"), np.stack([RED, RED]))}, time=time), tmp_path / name)
    with pytest.raises(SceneError, match=f"its times 'time' .'{units}', calendar '{calendar}'. are no dates"):
        open_scene(find_scenes(tmp_path)[0])


def test_bands_of_a_store_come_in_one_order_wherever_it_lies(tmp_path):
    """A folder lists its arrays in an order of the file system's own."""
    names = ["green", "b8", "red", "nir", "b12", "blue", "swir"]
    _write(_dataset({name: (("y", "x"), RED) for name in names}), tmp_path / "a.zarr")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert [band.name for band in scene.bands] == sorted(names)


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


def test_packed_axes_of_a_weather_satellite_are_unpacked_to_metres(tmp_path):
    """GOES-R writes scan angles as int16 with scale_factor and add_offset (Product Definition and Users' Guide)."""
    mapping = {
        "grid_mapping_name": "geostationary",
        "perspective_point_height": 35_786_023.0,
        "semi_major_axis": 6_378_137.0,
        "semi_minor_axis": 6_356_752.31414,
        "longitude_of_projection_origin": -75.0,
        "latitude_of_projection_origin": 0.0,
        "sweep_angle_axis": "x",
    }
    step = 5.6e-5
    packed = {"scale_factor": step, "units": "rad"}
    dataset = xr.Dataset(
        {
            "CMI": (("y", "x"), RED, {"grid_mapping": "goes_imager_projection", "units": "1"}),
            "goes_imager_projection": ((), np.int32(0), mapping),
        },
        coords={
            "y": ("y", np.arange(40, dtype=np.int16), {**packed, "scale_factor": -step, "add_offset": 0.08}),
            "x": ("x", np.arange(50, dtype=np.int16), {**packed, "add_offset": -0.03}),
        },
    )
    for axis, name in (("x", "projection_x_coordinate"), ("y", "projection_y_coordinate")):
        dataset[axis].attrs["standard_name"] = name
    _write(dataset, tmp_path / "goes.nc")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        grid = scene.bands[0].grid
    change = pyproj.Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
    # Scan angles to latitude and longitude by the closed form of the users' guide, section 5.1.2.8.1.
    x, y = -0.03 + 10 * step, 0.08 - 20 * step
    a, b, h = 6_378_137.0, 6_356_752.31414, 42_164_160.0
    quadratic = np.sin(x) ** 2 + np.cos(x) ** 2 * (np.cos(y) ** 2 + (a / b * np.sin(y)) ** 2)
    linear = -2 * h * np.cos(x) * np.cos(y)
    radius = (-linear - np.sqrt(linear**2 - 4 * quadratic * (h**2 - a**2))) / (2 * quadratic)
    sx, sy, sz = radius * np.cos(x) * np.cos(y), -radius * np.sin(x), radius * np.cos(x) * np.sin(y)
    latitude = np.degrees(np.arctan((a / b) ** 2 * sz / np.hypot(h - sx, sy)))
    longitude = -75 - np.degrees(np.arctan(sy / (h - sx)))
    assert change.transform(*(grid.transform @ (10.5, 20.5))) == pytest.approx((longitude, latitude), abs=1e-4)


def test_axes_in_kilometres_lie_where_they_say(tmp_path):
    dataset = _dataset({"ice": (("y", "x"), RED)}).assign_coords(x=X / 1000, y=Y / 1000)
    for axis in "xy":
        dataset[axis].attrs = {"units": "km", "standard_name": f"projection_{axis}_coordinate"}
    _write(dataset, tmp_path / "a.nc")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert tuple(scene.bands[0].grid.transform)[:6] == pytest.approx((10, 0, 600000, 0, -10, 5000040))
    dataset["x"].attrs["units"] = "furlong"
    _write(dataset, tmp_path / "a.nc")
    with pytest.raises(SceneError, match="axis x is in 'furlong'"):
        open_scene(find_scenes(tmp_path)[0])


def test_unsigned_integers_of_classic_netcdf_are_unsigned(tmp_path):
    values = RNG.integers(30_000, 40_000, (40, 50)).astype(np.uint16)
    values[0, 0] = 65_535
    attributes = {"_Unsigned": "true", "_FillValue": np.int16(-1), "scale_factor": 0.5}
    dataset = _dataset({"CMI": (("y", "x"), values.view(np.int16), attributes)})
    _write(dataset, tmp_path / "a.nc", engine="scipy", format="NETCDF3_CLASSIC")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        stored, band = scene.read(["CMI"])[0], scene.bands[0]
    assert (band.dtype, band.nodata, stored.dtype) == ("uint16", 65_535, np.uint16)
    physical = np.where(stored == 65_535, np.nan, stored * band.scale)
    with xr.open_dataset(tmp_path / "a.nc", engine="scipy") as expected:
        assert np.array_equal(physical, expected["CMI"].values, equal_nan=True)


def test_a_sidecar_describes_the_variables_of_a_dataset(tmp_path):
    _write(_dataset({"r": (("y", "x"), RED), "n": (("y", "x"), RED)}), tmp_path / "a.nc")
    (tmp_path / "bands.yaml").write_text("bands: [{name: n, common_name: nir, wavelength_nm: 840}]\n")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        bands = {band.name: band.band for band in scene.bands}
    assert (bands["n"].common_name, bands["n"].wavelength_nm, bands["r"].wavelength_nm) == ("nir", 840, None)


def test_a_sensors_scale_is_not_laid_on_floats(tmp_path):
    _write(_dataset({"B04": (("y", "x"), RED.astype(np.float32) / 10_000)}), tmp_path / "a.nc")
    (tmp_path / "a.yaml").write_text("sensor: sentinel-2-msi\n")
    with pytest.raises(SceneError, match="state 'scale' in the sidecar: 1 where values are reflectance already"):
        open_scene(find_scenes(tmp_path)[0])
    (tmp_path / "a.yaml").write_text("sensor: sentinel-2-msi\nscale: 1\n")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert (scene.bands[0].scale, scene.bands[0].band.wavelength_nm) == (1.0, 664.6)


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


FILL = {"_FillValue": np.int16(-1)}
NARROW, WIDE = np.array([0.01, 0.8], np.float32), np.array([100, 8000], np.int16)
RANGES = {
    "range": (np.int16, {"valid_range": WIDE, **FILL}, (100, 8000), -1),
    "least": (np.int16, {"valid_min": np.int16(100), **FILL}, (100, 32767), -1),
    "no fill": (np.uint16, {"valid_max": np.uint16(8000)}, (0, 8000), 65535),
    "unpacked": (np.int16, {"valid_range": [0.01, 0.8], "scale_factor": 1e-4, **FILL}, (100, 8000), -1),
    "float32": (np.int16, {"valid_range": NARROW, "scale_factor": np.float32(1e-4)}, (100, 8000), 32767),
    "negative": (np.int16, {"valid_range": [-0.8, -0.01], "scale_factor": -1e-4}, (100, 8000), 32767),
    "floats": (np.float32, {"valid_range": WIDE.astype(np.float32)}, (100, 8000), np.nan),
    "unsigned": (
        np.int16,
        {"_Unsigned": "true", "valid_range": (WIDE.astype("u2") * 5).view("i2")},
        (500, 40000),
        65535,
    ),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("container", ["a.nc", "classic.nc", "a.zarr"])
def test_values_outside_the_valid_range_are_no_values(tmp_path, name, container):
    dtype, attributes, (low, high), nodata = RANGES[name]
    if container == "classic.nc" and dtype == np.uint16:
        return  # NetCDF-3 has none
    stored = RNG.integers(0, 60000 if name == "unsigned" else 9000, (40, 50)).astype(np.uint16).astype(dtype)
    meant = stored.view(np.uint16) if name == "unsigned" else stored
    meant.flat[:4] = low, high, low - (low > 0), min(high + 1, np.iinfo(np.uint16).max) if high < 32767 else low
    _write(_dataset({"red": (("y", "x"), stored, attributes)}), tmp_path / container, **_options(container))
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        (band,) = scene.bands
        assert band.nodata == pytest.approx(nodata, nan_ok=True)
        read = scene.read([band])[0]
        within = (meant >= low) & (meant <= high)
        assert np.array_equal(read, np.where(within, meant, nodata), equal_nan=True)
        assert within.flat[:2].all()
        assert not within.all()


@pytest.mark.parametrize(
    "attributes", [{"valid_range": "0 to 1"}, {"valid_range": [5]}, {"valid_min": np.nan}, {"valid_range": [3, 3]}]
)
def test_a_range_that_is_none_is_passed_over(tmp_path, attributes):
    _write(_dataset({"red": (("y", "x"), RED, attributes)}), tmp_path / "a.zarr")
    with open_scene(find_scenes(tmp_path)[0]) as scene:
        assert scene.bands[0].nodata is None
        assert np.array_equal(scene.read(["red"])[0], RED)
