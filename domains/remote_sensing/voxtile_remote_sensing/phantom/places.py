"""Places of phantom scenes: squares on the ground of several UTM zones, far enough apart never to share a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as warp_points

# UTM zones (EPSG) with eastings and northings in metres where a block of places begins, on land, both hemispheres.
_ZONES: tuple[tuple[int, int, int], ...] = (
    (32632, 420_000, 5_280_000),
    (32633, 360_000, 5_160_000),
    (32614, 480_000, 4_260_000),
    (32736, 420_000, 9_720_000),
    (32721, 480_000, 6_840_000),
    (32755, 360_000, 6_120_000),
)
_ROW = 4  # places a row within a zone
_STEP_M = 24_000  # between neighbours; a multiple of every tile size in use

# Latitude bands from 80° S in steps of 8°; I and O are not used (MGRS, DMA TM 8358.1).
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"


@dataclass(frozen=True)
class Place:
    """A square on the ground.

    Attributes:
        number: of the scene.
        epsg: code of its UTM zone.
        left, top: easting and northing of the upper left corner, m.
        side: m.
    """

    number: int
    epsg: int
    left: float
    top: float
    side: float

    @property
    def crs(self) -> CRS:
        """Of the zone."""
        return CRS.from_epsg(self.epsg)

    def transform(self, gsd_m: float) -> Affine:
        """Pixel (column, row) to coordinates at a ground sampling distance."""
        return Affine(gsd_m, 0, self.left, 0, -gsd_m, self.top)

    def on_earth(self, xs: list[float], ys: list[float]) -> list[tuple[float, float]]:
        """Points in the zone's metres as (longitude, latitude) in degrees, to 1e-8 (a millimetre)."""
        longitudes, latitudes = warp_points(self.crs, CRS.from_epsg(4326), xs, ys)
        return [(round(x, 8), round(y, 8)) for x, y in zip(longitudes, latitudes, strict=True)]

    def ring(self, left: float, bottom: float, right: float, top: float) -> dict[str, Any]:
        """A rectangle in metres from the upper left corner (y down) as a GeoJSON polygon in degrees."""
        xs = [self.left + x for x in (left, left, right, right, left)]
        ys = [self.top - y for y in (top, bottom, bottom, top, top)]
        return {"type": "Polygon", "coordinates": [self.on_earth(xs, ys)]}

    @property
    def mgrs(self) -> str:
        """Name of the MGRS 100 km square that holds the upper left corner, e.g. `32TMT`."""
        (_, latitude) = self.on_earth([self.left], [self.top])[0]
        zone, south = self.epsg % 100, self.epsg // 100 == 327
        band = _BANDS[min(int((latitude + 80) // 8), len(_BANDS) - 1)]
        column = _COLUMNS[(zone - 1) % 3][int(self.left // 100_000) - 1]
        northing = self.top if not south else self.top - 10_000_000
        row = _ROWS[int(northing // 100_000 + (0 if zone % 2 else 5)) % 20]
        return f"{zone:02d}{band}{column}{row}"


def place_of(number: int, side_m: float) -> Place:
    """The place of a scene; the same number is always the same place.

    Args:
        number: of the scene, from 0.
        side_m: of the square; corners are multiples of it where it divides 24 km.
    """
    zone, index = number % len(_ZONES), number // len(_ZONES)
    epsg, left, top = _ZONES[zone]
    return Place(
        number,
        epsg,
        float(left + (index % _ROW) * _STEP_M),
        float(top + (index // _ROW) * _STEP_M),
        side_m,
    )
