"""Windows of one grid in another: which pixels are needed, and GDAL's warper between them.

The kernel's width follows from the two grids and not from the window that is read, and coordinates between systems are
approximated to a hundredth of a pixel (GDAL's own default is an eighth), along a row of that window: so far do values
depend on where it begins and ends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.protocol import Grid, SceneError

MARGIN_PX = 8  # pixels of the source around a window, for the widest kernel
TOLERANCE_PX = 0.01
EDGE_POINTS = 21


def source_window(grid: Grid, window: Window, source: Grid) -> Window | None:
    """Pixels of a source that a window of another grid needs, with a margin; None where it lies outside."""
    steps = np.linspace(0, 1, EDGE_POINTS)
    columns = window.col_off + window.width * np.concatenate([steps, steps, 0 * steps, 0 * steps + 1])
    rows = window.row_off + window.height * np.concatenate([0 * steps, 0 * steps + 1, steps, steps])
    x, y = grid.transform @ (columns, rows)
    if source.crs != grid.crs:
        x, y = transformer_between(grid.crs, source.crs).transform(x, y)
    column, row = ~source.transform @ (np.asarray(x), np.asarray(y))
    if not (np.isfinite(column).all() and np.isfinite(row).all()):
        raise SceneError("a tile has no place in the scene's coordinate system; choose another one for --reproject")
    ratio = max(1.0, np.ptp(row) / window.height, np.ptp(column) / window.width)
    margin = math.ceil(MARGIN_PX * ratio)
    top, left = max(0, math.floor(row.min()) - margin), max(0, math.floor(column.min()) - margin)
    bottom = min(source.shape[0], math.ceil(row.max()) + margin)
    right = min(source.shape[1], math.ceil(column.max()) + margin)
    return Window(left, top, right - left, bottom - top) if bottom > top and right > left else None


def warp(
    stored: npt.NDArray[Any],
    source: Grid,
    covering: Window,
    target: npt.NDArray[Any],
    grid: Grid,
    window: Window,
    kernel: Resampling,
    *,
    nodata: float | None,
) -> None:
    """Resample a window of one grid into a window of another, in place.

    Args:
        stored: [Y, X] of the source window.
        source: its grid.
        covering: the source window, as `source_window` gives it.
        target: [Y, X], filled with what stands for no data.
        grid: the target's grid.
        window: the target's window.
        kernel: of GDAL.
        nodata: value that takes no part.

    Raises:
        SceneError: GDAL cannot project one system into the other here.
    """
    fits = nodata is not None and (target.dtype.kind == "f" or float(nodata).is_integer())
    down, across = _scale(source, grid)
    places = (
        source.transform @ Affine.translation(covering.col_off, covering.row_off),
        grid.transform @ Affine.translation(window.col_off, window.row_off),
    )
    options = {"resampling": kernel, "src_nodata": nodata if fits else None, "XSCALE": across, "YSCALE": down}
    try:
        if source.crs == grid.crs:
            reproject(
                stored,
                target,
                src_transform=places[0],
                src_crs=source.crs,
                dst_transform=places[1],
                dst_crs=grid.crs,
                dst_nodata=nodata if fits else None,
                init_dest_nodata=False,
                num_threads=1,
                **options,
            )
        else:
            _between_systems(stored, source.crs, target, grid.crs, places, nodata if fits else None, options)
    except RasterioError as error:
        raise SceneError(f"its pixels cannot be resampled to the tile's grid ({error})") from error


def transformer_between(one: CRS, other: CRS) -> pyproj.Transformer:
    """Coordinates of one system in another; x is always east."""
    return pyproj.Transformer.from_crs(
        pyproj.CRS.from_wkt(one.to_wkt()), pyproj.CRS.from_wkt(other.to_wkt()), always_xy=True
    )


def _between_systems(
    stored: npt.NDArray[Any],
    source: CRS,
    target: npt.NDArray[Any],
    crs: CRS,
    places: tuple[Affine, Affine],
    nodata: float | None,
    options: dict[str, Any],
) -> None:
    """`rasterio.warp.reproject` fixes the tolerance at an eighth of a pixel; a warped VRT takes it."""
    rows, columns = stored.shape
    profile = {"driver": "GTiff", "count": 1, "height": rows, "width": columns, "dtype": stored.dtype}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=source, transform=places[0]) as file:
            file.write(stored, 1)
        rows, columns = target.shape
        place = {"crs": crs, "transform": places[1], "height": rows, "width": columns}
        with memory.open() as file, WarpedVRT(file, **place, nodata=nodata, tolerance=TOLERANCE_PX, **options) as vrt:
            target[:] = vrt.read(1)


def _scale(source: Grid, grid: Grid) -> tuple[float, float]:
    """Target pixels a source pixel, down and across; GDAL would guess them from each window."""
    if source.crs == grid.crs:
        (width, height), (own_width, own_height) = source.pixel_size, grid.pixel_size
        return height / own_height, width / own_width
    return grid.shape[0] / source.shape[0], grid.shape[1] / source.shape[1]
