"""A tile as a place on the ground: its footprint, where north is, and how metres are measured in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

# A projection whose areas are off by less than this is measured in as it is (UTM: at most 0.2 %); any other (Web
# Mercator, degrees, feet) is measured in an equal-area projection centred on the tile.
_AREA_TOLERANCE = 0.01
_EDGE_POINTS = 8  # per side, when a footprint is carried to another CRS
_NORTH_STEP_DEG = 1e-4


@dataclass(frozen=True)
class TileFrame:
    """Geometry of one tile.

    Attributes:
        uid: the sample.
        crs: CRS of the tile, as text that pyproj reads.
        transform: 6 numbers (a, b, c, d, e, f), rasterio order: x = a·column + b·row + c, y = d·column + e·row + f.
        height, width: in pixels.
        gsd_m: ground sampling distance in metres.
        footprint: outline in `crs`.
        north: unit vector (x, y) in `crs` that points to true north at the tile's centre.
        plane: CRS in which metres are measured; the tile's own where that is true enough.
    """

    uid: str
    crs: str
    transform: tuple[float, ...]
    height: int
    width: int
    gsd_m: float
    footprint: Polygon
    north: tuple[float, float]
    plane: str

    @property
    def area_m2(self) -> float:
        """Area of the footprint in square metres."""
        return float(self.to_plane(self.footprint).area)

    def to_plane(self, geometry: BaseGeometry) -> BaseGeometry:
        """The geometry in the plane of metres."""
        return geometry if self.plane == self.crs else carry(geometry, self.crs, self.plane)

    def to_pixels(self, geometry: BaseGeometry) -> BaseGeometry:
        """The geometry in pixel-edge coordinates (x = column, y = row), y downwards."""
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        rows = (e / determinant, -b / determinant, -d / determinant, a / determinant)

        def change(xy: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
            x, y = xy[:, 0] - c, xy[:, 1] - f
            return np.column_stack([rows[0] * x + rows[1] * y, rows[2] * x + rows[3] * y])

        return shapely.transform(geometry, change)

    def place(self, geometry: BaseGeometry) -> tuple[float, float]:
        """Where a geometry's centroid lies in the tile: (east, north), each from -1 to 1."""
        centre = self.footprint.centroid
        point = geometry.centroid
        half_east, half_north = self._half_extents()
        east, north = self.compass(point.x - centre.x, point.y - centre.y)
        return east / half_east, north / half_north

    def compass(self, dx: float, dy: float) -> tuple[float, float]:
        """A displacement in `crs` as its components to the east and to the north."""
        nx, ny = self.north
        return dx * ny - dy * nx, dx * nx + dy * ny

    def _half_extents(self) -> tuple[float, float]:
        centre = self.footprint.centroid
        corners = [self.compass(x - centre.x, y - centre.y) for x, y in self.footprint.exterior.coords]
        return max(abs(east) for east, _ in corners), max(abs(north) for _, north in corners)


def tile_frame(row: Mapping[str, Any]) -> TileFrame | None:
    """The frame of a row of the samples table; None where it has no CRS, transform or size.

    Raises:
        ValueError: the CRS is unknown or the transform has no inverse.
    """
    size = image_size(row)
    transform = row.get("transform")
    if not row.get("crs") or not transform or len(transform) < 6 or size is None:
        return None
    a, b, c, d, e, f = (float(v) for v in transform[:6])
    height, width = size
    if not all(map(math.isfinite, (a, b, c, d, e, f))) or abs(a * e - b * d) < 1e-18:
        raise ValueError("the transform cannot be inverted")
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    footprint = Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in corners])
    crs = str(row["crs"])
    try:
        north, plane = _orientation(crs, footprint.centroid.x, footprint.centroid.y)
    except (CRSError, ProjError) as error:
        raise ValueError(f"the CRS '{crs[:60]}' cannot be used: {error}") from error
    gsd = row.get("gsd_m") or _gsd(footprint, crs, plane, height, width)
    return TileFrame(str(row["uid"]), crs, (a, b, c, d, e, f), height, width, float(gsd), footprint, north, plane)


def image_size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of a sample by its axes; of a reference without shape by the box it names."""
    axes, shape = row.get("axes") or "", row.get("shape") or []
    if "Y" in axes and "X" in axes and len(shape) == len(axes):
        return int(shape[axes.index("Y")]), int(shape[axes.index("X")])
    if row.get("ref"):
        box = json.loads(row["ref"]).get("box")
        if box and len(box) == 4:
            return abs(int(box[3]) - int(box[1])), abs(int(box[2]) - int(box[0]))
    return None


def carry(geometry: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """A geometry in another CRS, vertex by vertex (x is always east or longitude)."""
    if source == target:
        return geometry
    change = transformer(source, target)

    def project(xy: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.column_stack(change.transform(xy[:, 0], xy[:, 1]))

    return shapely.transform(geometry, project)


def with_edge_points(footprint: Polygon) -> Polygon:
    """A footprint with points along its sides, since straight sides bend in another CRS."""
    return shapely.segmentize(footprint, footprint.length / (4 * _EDGE_POINTS))


@lru_cache(maxsize=256)
def transformer(source: str, target: str) -> Transformer:
    """Cached: building one takes longer than a tile."""
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=4096)
def _orientation(crs: str, x: float, y: float) -> tuple[tuple[float, float], str]:
    lon, lat = transformer(crs, "EPSG:4326").transform(x, y)
    step = _NORTH_STEP_DEG if lat < 89.9 else -_NORTH_STEP_DEG
    nx, ny = transformer("EPSG:4326", crs).transform(lon, lat + step)
    sign = math.copysign(1.0, step)
    dx, dy = sign * (nx - x), sign * (ny - y)
    length = math.hypot(dx, dy)
    local = f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} +datum=WGS84 +units=m +no_defs"
    return (dx / length, dy / length), crs if _is_metric(crs, lon, lat) else local


def _is_metric(crs: str, lon: float, lat: float) -> bool:
    """Whether areas in the CRS are square metres on the ground, by a small square at the place."""
    parsed = CRS.from_user_input(crs)
    if not parsed.is_projected or any(axis.unit_conversion_factor != 1.0 for axis in parsed.axis_info[:2]):
        return False
    local = f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} +datum=WGS84 +units=m +no_defs"
    square = shapely.box(-500, -500, 500, 500)
    area = carry(square, local, crs).area
    return bool(abs(area / square.area - 1) < _AREA_TOLERANCE)


def _gsd(footprint: Polygon, crs: str, plane: str, height: int, width: int) -> float:
    return math.sqrt(carry(footprint, crs, plane).area / (height * width))
