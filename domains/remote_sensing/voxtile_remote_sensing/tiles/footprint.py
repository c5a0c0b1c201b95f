"""Footprints in longitude and latitude: outlines of tiles as WKB in EPSG:4326, split at the dateline, closed at a pole.

A ring that crosses ±180° is unwrapped, cut at the meridian and given as a MultiPolygon (RFC 7946, section 3.1.9). One
that winds round the earth's axis holds a pole: it is closed along ±180° and the pole's edge of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from voxtile_remote_sensing.scenes.protocol import SceneError

_POLAR_LATITUDE = 80.0
_POLE_DEGREES = 1e-9  # 0.1 mm
_SIDE_POINTS = ((5_000.0, 1), (50_000.0, 4), (math.inf, 16))  # below this length a side needs this many segments


@dataclass(frozen=True)
class Footprint:
    """Where a tile lies on the globe.

    Attributes:
        wkb: Polygon or MultiPolygon in EPSG:4326 (x = longitude), counter-clockwise.
        centre: longitude and latitude in degrees.
        half: half the extent in longitude and latitude, in degrees; 180 in longitude where a pole is inside.
    """

    wkb: bytes
    centre: tuple[float, float]
    half: tuple[float, float]


def footprints(corners: npt.NDArray[np.float64], crs: CRS, side_m: float) -> list[Footprint]:
    """Footprints of tiles.

    Args:
        corners: [N, 4, 2] x and y in the crs, in order around each tile.
        crs: of the corners.
        side_m: length of the longest side in metres; long sides are curved and get points between their ends.

    Raises:
        SceneError: a corner has no place on earth.
    """
    transformer = transformer_of(crs)
    rings = _lonlat(transformer, _densified(corners, _segments(side_m)))
    if np.abs(rings[..., 1]).max(initial=0) > _POLAR_LATITUDE:
        rings = _lonlat(transformer, _densified(corners, 32))
    centres = _lonlat(transformer, corners.mean(axis=1))
    steps = (np.diff(rings[..., 0], axis=1, append=rings[:, :1, 0]) + 180) % 360 - 180
    plain = (np.abs(np.diff(rings[..., 0], axis=1)).max(axis=1) < 180) & (np.abs(rings[..., 1]).max(axis=1) < 90)
    shapes = np.empty(len(rings), object)
    shapes[plain] = shapely.orient_polygons(shapely.polygons(rings[plain]))
    for k in np.flatnonzero(~plain):
        shapes[k] = split_ring(rings[k])
    encircled = np.abs(steps.sum(axis=1)) > 180
    offsets = (rings - centres[:, None] + 180) % 360 - 180
    half = np.abs(offsets).max(axis=1)
    half[encircled, 0] = 180
    wkb = shapely.to_wkb(shapes, byte_order=1)
    return [
        Footprint(w, (c[0], c[1]), (h[0], h[1])) for w, c, h in zip(wkb, centres.tolist(), half.tolist(), strict=True)
    ]


def transformer_of(crs: CRS) -> pyproj.Transformer:
    """From a crs to longitude and latitude on WGS 84.

    Raises:
        SceneError: the crs is local and cannot be placed on earth.
    """
    try:
        return pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(crs.to_wkt()), "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise SceneError(
            f"its coordinate system cannot be placed on earth ({error}); assign the right one, for example with "
            "gdal_translate -a_srs"
        ) from error


def split_ring(ring: npt.NDArray[np.float64]) -> shapely.Geometry:
    """A ring in longitude and latitude as a valid Polygon or MultiPolygon within ±180°.

    Args:
        ring: [N, 2] without the closing point; longitudes may jump by 360° between neighbours.
    """
    ring = _opened_at_pole(ring)
    steps = np.diff(ring[:, 0], append=ring[0, 0])
    steps = (steps + 180) % 360 - 180
    turns = round(steps.sum() / 360)
    longitudes = ring[0, 0] + np.concatenate([[0.0], np.cumsum(steps[:-1])])
    points = np.column_stack([longitudes, ring[:, 1]])
    if turns:
        points = _closed_at_pole(points, turns)
    low, high = points[:, 0].min(), points[:, 0].max()
    if low >= -180 and high <= 180:
        return shapely.orient_polygons(shapely.Polygon(points))
    shape = shapely.make_valid(shapely.Polygon(points))
    pieces = []
    for turn in range(math.floor((low + 180) / 360), math.ceil((high + 180) / 360)):
        piece = shapely.intersection(shape, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        moved = shapely.transform(piece, lambda xy, shift=360 * turn: xy - np.array([shift, 0]))
        pieces += [part for part in shapely.get_parts(moved) if part.geom_type == "Polygon" and part.area > 0]
    return shapely.orient_polygons(shapely.union_all(pieces))  # pieces on one side of ±180° grow together


def _opened_at_pole(ring: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Replace a corner at a pole, which has no longitude, by those of its neighbours: its sides are meridians."""
    (at_pole,) = np.nonzero(np.abs(ring[:, 1]) > 90 - _POLE_DEGREES)
    for k in at_pole[::-1]:
        before, after = ring[k - 1, 0], ring[(k + 1) % len(ring), 0]
        pole = math.copysign(90, ring[k, 1])
        ring = np.vstack([ring[:k], [[before, pole], [after, pole]], ring[k + 1 :]])
    return ring


def _closed_at_pole(points: npt.NDArray[np.float64], turns: int) -> npt.NDArray[np.float64]:
    """Add the way along the pole to a ring that winds once round the axis."""
    closing = points[0] + [360 * turns, 0]
    pole = math.copysign(90, points[:, 1].mean())
    return np.vstack([points, closing, [closing[0], pole], [points[0, 0], pole]])


def _segments(side_m: float) -> int:
    return next(count for limit, count in _SIDE_POINTS if side_m < limit or math.isinf(limit))


def _densified(corners: npt.NDArray[np.float64], segments: int) -> npt.NDArray[np.float64]:
    """[N, 4 · segments, 2]."""
    share = np.arange(segments)[None, :, None] / segments
    ends = np.roll(corners, -1, axis=1)
    sides: Sequence[npt.NDArray[np.float64]] = [
        corners[:, k, None, :] * (1 - share) + ends[:, k, None, :] * share for k in range(corners.shape[1])
    ]
    return np.concatenate(sides, axis=1)


def _lonlat(transformer: pyproj.Transformer, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x, y = transformer.transform(points[..., 0], points[..., 1])
    found = np.stack([np.asarray(x), np.asarray(y)], axis=-1)
    if not np.isfinite(found).all():
        raise SceneError("its corners have no place on earth; check the transform and the coordinate system")
    found[..., 0] = (found[..., 0] + 180) % 360 - 180
    return found
