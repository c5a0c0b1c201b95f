"""Groups of bands on one grid, as tiles are cut from them: as stored, or resampled once on request.

Resampling goes through GDAL's warper with both transforms, so that no resolution is shifted against another: a pixel of
20 m covers exactly its four pixels of 10 m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import calculate_default_transform, transform_bounds
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.plausible import metres_per_unit
from voxtile_remote_sensing.scenes.protocol import Grid, Scene, SceneBand, SceneError
from voxtile_remote_sensing.tiles.footprint import transformer_of
from voxtile_remote_sensing.tiles.settings import TileSettings
from voxtile_remote_sensing.tiles.warping import EDGE_POINTS, source_window, transformer_between, warp

_HALF_TURN = 180.0
_SAME_PX = 1e-6
_NO_PART = 1e-6  # of a pixel's value: rounding
_WARPED_ROWS = 1024
_PLACED_PX = 1 << 20  # whose places are computed at a time


class Group(Protocol):
    """Bands that share a grid."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""

    @property
    def bands(self) -> tuple[SceneBand, ...]:
        """In the order of the channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    @property
    def block_rows(self) -> int:
        """Rows that the files store together: reading in multiples of them reads each once."""

    def read(self, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """Values [C, Y, X] of a window inside the grid, and where [Y, X] the source does not reach, if anywhere."""


@dataclass(frozen=True)
class StoredGroup:
    """Bands as they are in the files."""

    scene: Scene
    bands: tuple[SceneBand, ...]

    @property
    def grid(self) -> Grid:
        """That of the bands."""
        return self.bands[0].grid

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the bands."""
        return np.result_type(*(band.dtype for band in self.bands))

    @property
    def block_rows(self) -> int:
        """The largest of the bands."""
        return max(band.block[0] for band in self.bands)

    def read(self, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """The stored values; each file is read once."""
        return self.scene.read(self.bands, window), self.scene.absent(self.bands, window)


@dataclass(frozen=True)
class ResampledGroup:
    """Bands resampled to another grid, each with its own kernel; bands that lie on it already are read as they are."""

    scene: Scene
    bands: tuple[SceneBand, ...]
    grid: Grid
    kernels: tuple[Resampling, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds all bands."""
        return np.result_type(*(band.dtype for band in self.bands))

    @property
    def block_rows(self) -> int:
        """Enough that the margins of the sources, which are read twice, weigh little."""
        return _WARPED_ROWS

    def read(self, window: Window) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """Resampled values, rounded and clipped to the stored type."""
        out = np.empty((len(self.bands), window.height, window.width), self.dtype)
        missing: npt.NDArray[np.bool_] = np.zeros(out.shape[1:], bool)
        for source in dict.fromkeys(band.grid for band in self.bands):
            places = [n for n, band in enumerate(self.bands) if band.grid == source]
            bands = [self.bands[n] for n in places]
            if source == self.grid:
                out[places] = self.scene.read(bands, window)
                if (gaps := self.scene.absent(bands, window)) is not None:
                    missing |= gaps
                continue
            covering = source_window(self.grid, window, source)
            if covering is None:
                out[places] = np.array([fill_value(b, self.dtype) for b in bands], self.dtype)[:, None, None]
                missing[:] = True
                continue
            values = self.scene.read(bands, covering)
            gaps = self.scene.absent(bands, covering)
            for n, stored in zip(places, values, strict=True):
                out[n] = self._warped(stored, self.bands[n], self.kernels[n], source, covering, window)
                if gaps is not None:
                    missing |= self._touched(gaps, self.kernels[n], source, covering, window)
            missing |= ~self._reached(source, window)
        return out, missing if missing.any() else None

    def _touched(
        self, gaps: npt.NDArray[np.bool_], kernel: Resampling, source: Grid, covering: Window, window: Window
    ) -> npt.NDArray[np.bool_]:
        """Target pixels of whose value a part comes from pixels that were never written."""
        share = np.zeros((window.height, window.width), np.float32)
        warp(gaps.astype(np.float32), source, covering, share, self.grid, window, kernel, nodata=None)
        return np.asarray(np.abs(share) > _NO_PART)

    def _warped(
        self,
        stored: npt.NDArray[Any],
        band: SceneBand,
        kernel: Resampling,
        source: Grid,
        covering: Window,
        window: Window,
    ) -> npt.NDArray[Any]:
        target = np.full((window.height, window.width), fill_value(band, self.dtype), self.dtype)
        warp(stored, source, covering, target, self.grid, window, kernel, nodata=band.nodata)
        return target

    def _reached(self, source: Grid, window: Window) -> npt.NDArray[np.bool_]:
        """Target pixels whose centre lies in the source; some rows at a time, for a coordinate is eight bytes."""
        reached: npt.NDArray[np.bool_] = np.empty((window.height, window.width), bool)
        step = max(1, _PLACED_PX // window.width)
        for top in range(0, window.height, step):
            own = reached[top : top + step]
            rows, columns = np.mgrid[: own.shape[0], : own.shape[1]] + 0.5
            x, y = self.grid.transform @ (columns + window.col_off, rows + window.row_off + top)
            if source.crs != self.grid.crs:
                x, y = transformer_between(self.grid.crs, source.crs).transform(x, y)
            column, row = ~source.transform @ (np.asarray(x), np.asarray(y))
            own[:] = (row >= 0) & (column >= 0) & (row < source.shape[0]) & (column < source.shape[1])
        return reached


def groups_of(scene: Scene, settings: TileSettings) -> list[Group]:
    """The groups of a scene, the finest first.

    Raises:
        SceneError: a band is missing, or the scene cannot be projected as asked for.
        ConfigError: classes would be averaged.
    """
    bands = scene.select(settings.bands)
    by_grid: dict[tuple[Grid, str], list[SceneBand]] = {}
    for band in bands:
        by_grid.setdefault((band.grid, band.dtype), []).append(band)
    stored = [tuple(group) for group in by_grid.values()]
    stored.sort(key=lambda group: (group[0].grid.pixel_size[0] * metres_per_unit(group[0].crs), group[0].dtype))
    if settings.is_native:
        return [StoredGroup(scene, group) for group in stored]
    crs = _target_crs(stored[0][0].grid, settings)
    if settings.resolution_m is not None:
        return [_resampled(scene, bands, _target_grid(stored[0], [g[0].grid for g in stored], crs, settings), settings)]
    return [_resampled(scene, group, _target_grid(group, [group[0].grid], crs, settings), settings) for group in stored]


def fill_value(band: SceneBand, dtype: np.dtype[Any]) -> float:
    """What stands for "no data" in a band: its nodata value, else NaN for floats and 0 for integers."""
    if band.nodata is not None:
        return float(band.nodata)
    return math.nan if dtype.kind in "fc" else 0.0


def utm_of(longitude: float, latitude: float) -> CRS:
    """The UTM zone of a place, without the exceptions for Norway and Svalbard; polar stereographic near the poles.

    Source: NGA.SIG.0012, universal grids.
    """
    if latitude > 84:
        return CRS.from_epsg(32661)
    if latitude < -80:
        return CRS.from_epsg(32761)
    zone = int((longitude + 180) % 360 // 6) + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def _resampled(scene: Scene, bands: Sequence[SceneBand], grid: Grid, settings: TileSettings) -> Group:
    chosen = tuple(bands)
    if all(band.grid == grid for band in chosen) and len({band.dtype for band in chosen}) == 1:
        return StoredGroup(scene, chosen)
    return ResampledGroup(scene, chosen, grid, tuple(settings.kernel(band.band) for band in chosen))


def _target_crs(grid: Grid, settings: TileSettings) -> CRS:
    if settings.reproject is None:
        return grid.crs
    if settings.reproject != "utm":
        return CRS.from_user_input(settings.reproject)
    rows, columns = grid.shape
    x, y = grid.transform @ (columns / 2, rows / 2)
    return utm_of(*transformer_of(grid.crs).transform(x, y))


def _target_grid(group: Sequence[SceneBand], grids: Sequence[Grid], crs: CRS, settings: TileSettings) -> Grid:
    """The grid that bands are resampled to.

    One of the scene's own where it fits, else one that starts at multiples of its pixel, which all scenes share.
    """
    finest = group[0].grid
    pixel = _pixel(group[0], crs, settings)
    if crs == finest.crs:
        for grid in grids:
            if grid.is_north_up and all(math.isclose(p, pixel, rel_tol=_SAME_PX) for p in grid.pixel_size):
                return grid
    if crs == finest.crs:
        left, bottom, right, top = finest.bounds
    else:
        _check_longitudes(finest)
        try:
            left, bottom, right, top = transform_bounds(finest.crs, crs, *finest.bounds, densify_pts=EDGE_POINTS)
        except RasterioError as error:
            raise SceneError(f"it cannot be projected to {crs.to_string()} ({error})") from error
    if not all(math.isfinite(v) for v in (left, bottom, right, top)) or right <= left or top <= bottom:
        raise SceneError(f"it cannot be projected to {crs.to_string()}; choose another system for --reproject")
    first, last = math.floor(left / pixel + _SAME_PX), math.ceil(right / pixel - _SAME_PX)
    lowest, highest = math.floor(bottom / pixel + _SAME_PX), math.ceil(top / pixel - _SAME_PX)
    return Grid(crs, Affine(pixel, 0, first * pixel, 0, -pixel, highest * pixel), (highest - lowest, last - first))


def _check_longitudes(grid: Grid) -> None:
    """Refuse to project longitudes beyond 180: GDAL's warper finds a part of such pixels, and which one varies.

    Raises:
        SceneError: the grid crosses the dateline.
    """
    left, _, right, _ = grid.bounds
    pixel = grid.pixel_size[0]  # of global grids that count by the pixels' centres, half a one is beyond
    if grid.crs.is_geographic and (left < -_HALF_TURN - pixel or right > _HALF_TURN + pixel):
        raise SceneError(
            f"its longitudes run from {left:g} to {right:g}, across the dateline, where --reproject would lose pixels; "
            "leave it out for this scene, or project it beforehand"
        )


def _pixel(band: SceneBand, crs: CRS, settings: TileSettings) -> float:
    """Side of a pixel of the target, in units of its crs."""
    if settings.resolution_m is not None:
        return settings.resolution_m / metres_per_unit(crs)
    if band.band.resolution_m:
        return band.band.resolution_m / metres_per_unit(crs)
    rows, columns = band.grid.shape
    transform, _, _ = calculate_default_transform(band.crs, crs, columns, rows, *band.grid.bounds)
    return float(f"{abs(transform.a):.4g}")  # so that scenes of one sensor share a grid
