"""The tile grid: fixed in a coordinate reference system, so that a place has one name for all dates and sensors.

Cells are anchored at the origin of the system (multiples of the stride in its units), not at a scene's corner. Pixels
are never moved: a tile is the window of whole pixels whose centre lies nearest to the centre of its cell.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import overload

import pyproj
from affine import Affine
from pyproj import Geod, Proj, Transformer
from rasterio.crs import CRS
from rasterio.windows import Window

from voxtile.errors import ConfigError
from voxtile_remote_sensing.scenes.plausible import METRES_PER_DEGREE, metres_per_unit
from voxtile_remote_sensing.scenes.protocol import Grid, SceneError

MAX_TILES = 4_000_000  # of one scene: a Sentinel-2 scene has 1,849 of 256 pixels
_ELLIPSOID = Geod(ellps="WGS84")
_AREA_TOLERANCE = 0.01  # UTM is off by 0.2 % at most
_TOLERANCE_PX = 1e-3  # half-pixel offsets between sensors must round one way on every tile
_LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(px|km|m)?\s*")


@dataclass(frozen=True)
class Length:
    """A length on the ground or in pixels of a scene's finest grid.

    Attributes:
        value: not negative.
        unit: `px` or `m`.
    """

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    def along(self, grid: Grid) -> tuple[float, float]:
        """Width and height in units of the grid's crs."""
        if self.unit == "px":
            width, height = grid.pixel_size
            return self.value * width, self.value * height
        length = self.value / metres_per_unit(grid.crs)
        return length, length


def parse_length(text: str, option: str, *, default_unit: str = "px", may_be_zero: bool = False) -> Length:
    """Read `256px`, `2560m`, `2.5km` or a bare number.

    Raises:
        ConfigError: neither, not positive, or a part of a pixel; the message names the option.
    """
    match = _LENGTH.fullmatch(str(text))
    if match is None or (float(match[1]) == 0 and not may_be_zero):
        raise ConfigError(f"{option} is a length such as 256px, 2560m or 2.56km, got '{text}'")
    value, unit = float(match[1]), match[2] or default_unit
    if unit == "km":
        value, unit = value * 1000, "m"
    if unit == "px" and not value.is_integer():
        raise ConfigError(f"{option} is a whole number of pixels, got '{text}'")
    return Length(value, unit)


def ground_sampling_distance(grid: Grid, longitude: float, latitude: float) -> float:
    """Side of a pixel on the ground in metres at a place in degrees; the geometric mean of both where they differ.

    A projection whose areas are true to 1 % (UTM) is taken at its word; Web Mercator stretches pixels to the north.
    """
    width, height = grid.pixel_size
    side = math.sqrt(width * height) * metres_per_unit(grid.crs)
    if grid.crs.is_geographic:
        if (unusual := _unusual_degrees(grid.crs_text)) is not None:
            return _measured_side(grid, unusual, longitude, latitude)
        return side * math.sqrt(max(1e-6, math.cos(math.radians(latitude))))
    area_scale = _projection(grid.crs_text).get_factors(longitude, latitude).areal_scale
    is_true = not math.isfinite(area_scale) or abs(area_scale - 1) < _AREA_TOLERANCE
    return side if is_true else side / math.sqrt(area_scale)


def _measured_side(grid: Grid, transformer: Transformer, longitude: float, latitude: float) -> float:
    x, y = transformer.transform(longitude, latitude, direction="INVERSE")
    width, height = grid.pixel_size
    xs, ys = [x - width / 2, x + width / 2, x, x], [y, y, y - height / 2, y + height / 2]
    longitudes, latitudes = transformer.transform(xs, ys)
    _, _, lengths = _ELLIPSOID.inv(longitudes[::2], latitudes[::2], longitudes[1::2], latitudes[1::2])
    return math.sqrt(lengths[0] * lengths[1])


@lru_cache(maxsize=64)
def _unusual_degrees(crs: str) -> Transformer | None:
    """To longitude and latitude from a system whose angles are others: of a pole that was moved, or in grads."""
    system = pyproj.CRS(crs)
    if not system.is_derived and system.axis_info[0].unit_name == "degree":
        return None
    return Transformer.from_crs(system, "EPSG:4326", always_xy=True)


@lru_cache(maxsize=64)
def _projection(crs: str) -> Proj:
    return Proj(crs)


def crs_name(crs: CRS) -> str:
    """Short name of a crs for tile names: `epsg32632`, or `crs` and a hash of its definition."""
    code = crs.to_epsg()
    return f"epsg{code}" if code else f"crs{hashlib.sha256(crs.to_wkt().encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Cell:
    """The nominal area of a tile.

    Attributes:
        name: of the place, e.g. `epsg32632-2560m-691200-5335040`: size and lower left corner in units of the crs.
        centre: (x, y) in the crs.
        extent: width along the pixel rows and height along the columns, in units of the crs.
    """

    name: str
    centre: tuple[float, float]
    extent: tuple[float, float]


class CellRows(Sequence[list[Cell]]):
    """Rows of cells, each made when it is asked for: a map of the world has millions of cells."""

    def __init__(self, count: int, make: Callable[[int], list[Cell]]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, which: int) -> list[Cell]: ...
    @overload
    def __getitem__(self, which: slice) -> list[list[Cell]]: ...
    def __getitem__(self, which: int | slice) -> list[Cell] | list[list[Cell]]:
        numbers = range(self._count)[which]
        return self._make(numbers) if isinstance(numbers, int) else [self._make(number) for number in numbers]


def cell_rows(finest: Grid, size: Length, stride: Length) -> Sequence[list[Cell]]:
    """Rows of cells that touch a scene, from the top to the bottom.

    A scene that is no larger than a tile is one cell of its own size, as are patches of data sets. Where the transform
    is rotated, sheared or upside down, pixels cannot follow the fixed grid: cells then start at the first pixel.

    Args:
        finest: the scene's finest grid.
        size: of the tiles.
        stride: from one tile to the next.

    Raises:
        SceneError: the scene would give more than `MAX_TILES` tiles.
    """
    rows, columns = finest.shape
    width_px, height_px = _pixels(size, finest)
    if columns <= width_px and rows <= height_px:
        return [[_whole(finest)]]
    step_x, step_y = stride.along(finest)
    count = (columns * finest.pixel_size[0] / step_x + 2) * (rows * finest.pixel_size[1] / step_y + 2)
    if count > MAX_TILES:
        raise SceneError(
            f"a scene of {rows}×{columns} pixels would give {count:.0f} tiles, more than {MAX_TILES}; "
            "use a larger --size, or cut the scene"
        )
    return (_fixed if finest.is_north_up else _from_first_pixel)(finest, size, stride)


def window_of(cell: Cell, grid: Grid) -> Window:
    """The window of whole pixels that is nearest to a cell; it may reach beyond the grid.

    Every cell of one size gives a window of one shape. Neighbours share no pixel and leave none out where the cell is a
    multiple of the pixel; otherwise the window has the next larger number of pixels, and its centre is off by at most
    half a pixel.
    """
    width, height = grid.pixel_size
    column, row = ~grid.transform @ cell.centre
    columns, rows = (
        math.ceil(cell.extent[0] / width - _TOLERANCE_PX),
        math.ceil(cell.extent[1] / height - _TOLERANCE_PX),
    )
    return Window(_nearest(column - columns / 2), _nearest(row - rows / 2), columns, rows)


def transform_of(window: Window, grid: Grid) -> Affine:
    """Transform of a window, rotation kept."""
    return grid.transform @ Affine.translation(window.col_off, window.row_off)


def corners_of(window: Window, grid: Grid) -> list[tuple[float, float]]:
    """Corners of a window in the crs, in order around it."""
    left, top, right, bottom = (
        window.col_off,
        window.row_off,
        window.col_off + window.width,
        window.row_off + window.height,
    )
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    corners = ((left, bottom), (right, bottom), (right, top), (left, top))
    return [(a * x + b * y + c, d * x + e * y + f) for x, y in corners]


def is_inside(window: Window, grid: Grid) -> bool:
    """Whether a window shares at least one pixel with the grid."""
    rows, columns = grid.shape
    return bool(
        window.row_off < rows
        and window.col_off < columns
        and window.row_off + window.height > 0
        and window.col_off + window.width > 0
    )


def is_within(window: Window, grid: Grid) -> bool:
    """Whether all pixels of a window lie in the grid."""
    rows, columns = grid.shape
    return bool(
        window.row_off >= 0
        and window.col_off >= 0
        and window.row_off + window.height <= rows
        and window.col_off + window.width <= columns
    )


def _nearest(position: float) -> int:
    return math.floor(position + 0.5 + _TOLERANCE_PX)


def _pixels(size: Length, grid: Grid) -> tuple[int, int]:
    width, height = size.along(grid)
    return (
        math.ceil(width / grid.pixel_size[0] - _TOLERANCE_PX),
        math.ceil(height / grid.pixel_size[1] - _TOLERANCE_PX),
    )


def _number(value: float) -> str:
    """A coordinate in a name: whole metres where they are whole, else down to 10⁻⁷ (1 cm in degrees)."""
    text = f"{value:.7f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _name(grid: Grid, extent: tuple[float, float], left: float, bottom: float) -> str:
    square = math.isclose(extent[0], extent[1], rel_tol=1e-9)
    size = _number(extent[0]) if square else f"{_number(extent[0])}x{_number(extent[1])}"
    return f"{_prefix(grid.crs, size)}-{_number(left)}-{_number(bottom)}"


@lru_cache(maxsize=256)
def _prefix(crs: CRS, size: str) -> str:
    metres = metres_per_unit(crs)
    unit = "m" if metres == 1 else "deg" if metres == METRES_PER_DEGREE else "u"
    return f"{crs_name(crs)}-{size}{unit}"


def _whole(grid: Grid) -> Cell:
    rows, columns = grid.shape
    extent = (columns * grid.pixel_size[0], rows * grid.pixel_size[1])
    x, y = grid.transform @ (columns / 2, rows / 2)
    return Cell(_name(grid, extent, grid.bounds[0], grid.bounds[1]), (x, y), extent)


def _fixed(grid: Grid, size: Length, stride: Length) -> CellRows:
    extent, (step_x, step_y) = size.along(grid), stride.along(grid)
    left, bottom, right, top = grid.bounds
    slack = (1e-6 * grid.pixel_size[0], 1e-6 * grid.pixel_size[1])
    first, last = _indices(left + slack[0], right - slack[0], extent[0], step_x)
    lowest, highest = _indices(bottom + slack[1], top - slack[1], extent[1], step_y)

    def row(number: int) -> list[Cell]:
        corners = [(i * step_x, (highest - number) * step_y) for i in range(first, last + 1)]
        return [Cell(_name(grid, extent, x, y), (x + extent[0] / 2, y + extent[1] / 2), extent) for x, y in corners]

    return CellRows(highest - lowest + 1, row)


def _indices(low: float, high: float, extent: float, step: float) -> tuple[int, int]:
    """First and last k with k · step < high and k · step + extent > low."""
    return math.floor((low - extent) / step) + 1, math.ceil(high / step) - 1


def _from_first_pixel(grid: Grid, size: Length, stride: Length) -> CellRows:
    columns, rows = _pixels(size, grid)
    step_x, step_y = _pixels(stride, grid)
    extent = (columns * grid.pixel_size[0], rows * grid.pixel_size[1])

    def row(number: int) -> list[Cell]:
        firsts = range(0, grid.shape[1], step_x)
        centres = [grid.transform @ (column + columns / 2, number * step_y + rows / 2) for column in firsts]
        return [Cell(_name(grid, extent, x - extent[0] / 2, y - extent[1] / 2), (x, y), extent) for x, y in centres]

    return CellRows(len(range(0, grid.shape[0], step_y)), row)
