"""The axes of a gridded dataset: which run east and north, and the map grid they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from voxtile.errors import CorpusError
from voxtile.formats.geotiff import checked_crs
from voxtile_remote_sensing.scenes.protocol import Grid, SceneError

# CF Conventions 1.11, sections 4.1, 4.2 and 5.6: standard names; and the names that are usual without them.
_X_STANDARD = ("projection_x_coordinate", "longitude", "grid_longitude")
_Y_STANDARD = ("projection_y_coordinate", "latitude", "grid_latitude")
_X_NAMES, _Y_NAMES = ("x", "lon", "longitude", "easting"), ("y", "lat", "latitude", "northing")
REGULAR = 1e-3  # of a pixel
_METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "1": 1.0} | dict.fromkeys(
    ("km", "kilometre", "kilometer", "kilometres", "kilometers"), 1e3
)
_CRS_ATTRIBUTES = {"crs", "crs_wkt", "spatial_ref"}  # that rioxarray hands to GDAL
_RADIANS = ("rad", "radian", "radians")


@dataclass(frozen=True)
class Axes:
    """Names and order of a dataset's axes.

    Attributes:
        x: axis that runs east.
        y: axis that runs north or south.
        time: axis of time steps; empty where there is none.
        south_first: the file's first row is the southernmost.
        grid: of the rows as they are read, north first.
    """

    x: str
    y: str
    time: str
    south_first: bool
    grid: Grid

    def rows(self, start: int, count: int) -> slice:
        """Rows of the file that hold rows `start` … `start + count - 1` of the grid."""
        if not self.south_first:
            return slice(start, start + count)
        last = self.grid.shape[0] - start
        return slice(last - count, last)


def find_axes(dataset: xr.Dataset, where: str, *, crs: CRS | None) -> Axes:
    """The axes of a dataset.

    Args:
        dataset: opened lazily.
        where: for messages.
        crs: to use where the dataset has none.

    Raises:
        SceneError: no pair of regular one-dimensional axes, or no coordinate reference system.
    """
    x, y = _axis(dataset, _X_STANDARD, _X_NAMES), _axis(dataset, _Y_STANDARD, _Y_NAMES)
    if x is None or y is None:
        raise SceneError(
            f"{where}: no one-dimensional x and y (or lon and lat) axes with coordinates, so its place is unknown; "
            f"resample it to a map grid first"
        )
    known = _crs(dataset, x, where) or crs
    if known is None:
        raise SceneError(
            f"{where}: the dataset has no coordinate reference system, so its place is unknown; state it with "
            f"'crs: EPSG:…' in a sidecar YAML, or with a grid_mapping variable"
        )
    xs, ys = (_places(dataset.coords[axis], known, where) for axis in (x, y))
    step_x, step_y = _step(xs, x, where), _step(ys, y, where)
    if step_x < 0:
        raise SceneError(f"{where}: its axis {x} runs west; turn it round first")
    top = max(ys[0], ys[-1]) + abs(step_y) / 2
    transform = Affine(step_x, 0.0, xs[0] - step_x / 2, 0.0, -abs(step_y), top)
    grid = Grid(known, transform, (len(ys), len(xs)))
    return Axes(x, y, time_axis(dataset), bool(step_y > 0), grid)


def time_axis(dataset: xr.Dataset) -> str:
    """The axis of time steps, by its name or as the only one that holds dates (`valid_time`, `t`); "" where none is."""
    if "time" in dataset.dims:
        return "time"
    dated = [str(d) for d in dataset.dims if d in dataset.coords and dataset.coords[d].dtype.kind == "M"]
    return dated[0] if len(dated) == 1 else ""


def _axis(dataset: xr.Dataset, standard: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    axes = [str(d) for d in dataset.dims if d in dataset.coords and dataset.coords[d].dtype.kind in "iuf"]
    for axis in axes:
        if dataset.coords[axis].attrs.get("standard_name") in standard:
            return axis
    return next((axis for axis in axes if axis.lower() in names), None)


def _places(axis: xr.DataArray, crs: CRS, where: str) -> npt.NDArray[np.float64]:
    """An axis in the crs's units: unpacked (CF 1.11, section 8.1), of kilometres or a satellite's scan angles."""
    held = {**axis.encoding, **axis.attrs}
    values = np.asarray(axis.values, np.float64) * float(held.get("scale_factor", 1)) + float(held.get("add_offset", 0))
    units = str(held.get("units", "")).strip().lower()
    if not units or crs.is_geographic or units.replace("_", " ") == crs.linear_units.lower():
        return values
    height = crs.to_dict().get("h") if units in _RADIANS else None  # PROJ, geos: metres = angle · height
    metres = float(height) if height else _METRES.get(units)
    if metres is None:
        raise SceneError(
            f"{where}: its axis {axis.name} is in '{units}', which its coordinate reference system does not know; "
            f"write it in metres, or correct the grid_mapping"
        )
    return values * (metres / float(crs.linear_units_factor[1]))


def _step(values: npt.NDArray[np.float64], axis: str, where: str) -> float:
    if len(values) < 2 or not np.isfinite(values).all():
        raise SceneError(f"{where}: its axis {axis} has fewer than two coordinates, or some are not numbers")
    step = (values[-1] - values[0]) / (len(values) - 1)
    ideal = values[0] + step * np.arange(len(values))
    if step == 0 or np.abs(values - ideal).max() > abs(step) * REGULAR + 1e-9 * np.abs(values).max():
        raise SceneError(f"{where}: its axis {axis} is not evenly spaced; resample it to a map grid first")
    return float(step)


def _crs(dataset: xr.Dataset, x: str, where: str) -> CRS | None:
    try:
        for attributes in (dataset.attrs, *(variable.attrs for variable in dataset.variables.values())):
            for name in _CRS_ATTRIBUTES & attributes.keys():
                checked_crs(str(attributes[name]))
        found = dataset.rio.crs
    except (CRSError, ProjError, CorpusError, ValueError, KeyError) as error:
        raise SceneError(f"{where}: its grid_mapping is not a coordinate reference system; mend it") from error
    if found is not None:
        return CRS.from_user_input(found)  # CRS(found) goes by PROJ4, which loses a satellite's sweep and datums
    if str(dataset.coords[x].attrs.get("units", "")).startswith("degree") and x.lower() in ("lon", "longitude"):
        return CRS.from_epsg(4326)  # CF 1.11, section 5.6: latitude and longitude need no grid mapping
    return None
