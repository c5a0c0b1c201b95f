"""Footprints of two splits: which overlap, and how near they come.

Distances are on a sphere, between outlines and not between centres: exact to about 0.5 %, the flattening of the earth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from voxtile.corpus.geoparquet import outlines
from voxtile.errors import CorpusError
from voxtile.formats.optional import require

EARTH_RADIUS_M = 6_371_008.8
LEAST_OVERLAP = 1e-3  # of the smaller footprint; less is the rounding of coordinates along a common edge
_EXAMPLES = 5

Places = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class PlaceReport:
    """Footprints of two splits.

    Attributes:
        nearest_m: least distance between outlines in metres; 0 where they touch.
        nearest: uids of that pair.
        overlapping: pairs that share ground.
        largest: largest shared part of a footprint, 0 to 1.
        touching: pairs that share an edge or a corner and no ground.
        examples: uids of overlapping pairs, the worst first, or of touching ones.
    """

    nearest_m: float
    nearest: tuple[str, str]
    overlapping: int
    largest: float
    touching: int
    examples: Sequence[tuple[str, str]]


def compare_places(one: Places, other: Places) -> PlaceReport:
    """Compare the footprints of two splits.

    Args:
        one: (uid, WKB in longitude and latitude) of each sample, at least one.
        other: of the other split.

    Raises:
        CorpusError: a footprint is damaged.
        MissingExtraError: shapely is not installed.
    """
    shapely = require("shapely", "remote-sensing")
    shapes = [_shapes(shapely, group) for group in (one, other)]
    left, right = shapely.STRtree(shapes[1]).query(shapes[0], predicate="intersects")
    if not len(left):
        metres, first, second = _nearest(shapely, shapes[0], shapes[1], (one, other))
        return PlaceReport(metres, (one[first][0], other[second][0]), 0, 0.0, 0, ())
    shared = _shared(shapely, shapes[0][left], shapes[1][right])
    order = np.argsort(-shared, kind="stable")
    named = [(one[left[k]][0], other[right[k]][0]) for k in order[:_EXAMPLES]]
    overlapping = int((shared > LEAST_OVERLAP).sum())
    touching = len(left) - overlapping
    return PlaceReport(
        0.0, named[0], overlapping, float(shared.max()), touching, named[: overlapping or touching][:_EXAMPLES]
    )


def _shapes(shapely: Any, group: Places) -> npt.NDArray[Any]:  # noqa: ANN401 - a module
    try:
        return np.asarray(shapely.from_wkb([wkb for _, wkb in group]))
    except shapely.errors.GEOSException as error:
        raise CorpusError(f"a footprint is damaged ({error}); run 'voxtile verify' on the corpus") from error


def _shared(shapely: Any, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """Common area as a share of the smaller footprint; degrees shrink both alike."""
    common = shapely.area(shapely.intersection(one, other))
    smaller = np.minimum(shapely.area(one), shapely.area(other))
    return np.asarray(np.divide(common, smaller, out=np.ones_like(common), where=smaller > 0))  # points that coincide


def _nearest(
    shapely: Any,  # noqa: ANN401
    one: npt.NDArray[Any],
    other: npt.NDArray[Any],
    names: tuple[Places, Places],
) -> tuple[float, int, int]:
    """Least distance between outlines, and where; centres and radii say which pairs need to be looked at."""
    centres, radii = zip(*(_spheres(group) for group in names), strict=True)
    tree = cKDTree(centres[1])
    reach = radii[0].max() + radii[1].max()
    between, _ = tree.query(centres[0])
    limit = between.min() + reach
    candidates = [
        (float(np.linalg.norm(centres[0][i] - centres[1][j])), int(i), int(j))
        for i in np.flatnonzero(between <= limit)
        for j in tree.query_ball_point(centres[0][i], limit)
    ]
    best: tuple[float, int, int] = (np.inf, 0, 0)
    for distance, i, j in sorted(candidates):
        if distance - reach > best[0]:
            break
        best = min(best, (_distance(shapely, one[i], other[j]), i, j))
    return best


def _spheres(group: Places) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centres [N, 3] and radii [N] in metres of spheres around the outlines."""
    centres, radii = [], []
    for _, wkb in group:
        points = _on_sphere(np.array([point for ring in outlines(wkb) for point in ring]))
        centre = points.mean(axis=0)
        centres.append(centre)
        radii.append(np.linalg.norm(points - centre, axis=1).max())
    return np.array(centres), np.array(radii)


def _on_sphere(lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    longitude, latitude = np.radians(lonlat).T
    parallel = np.cos(latitude)
    unit = np.column_stack([parallel * np.cos(longitude), parallel * np.sin(longitude), np.sin(latitude)])
    return EARTH_RADIUS_M * unit


def _distance(shapely: Any, one: Any, other: Any) -> float:  # noqa: ANN401
    """Between two outlines, on the plane that touches the sphere half-way between them (azimuthal equidistant)."""
    points = [_on_sphere(shapely.get_coordinates(shape)).mean(axis=0) for shape in (one, other)]
    middle = (points[0] + points[1]) / 2
    norm = np.linalg.norm(middle)
    if norm < 0.1 * EARTH_RADIUS_M:  # on opposite sides of the earth no plane serves both
        cosine = float(points[0] @ points[1] / (np.linalg.norm(points[0]) * np.linalg.norm(points[1])))
        return float(EARTH_RADIUS_M * np.arccos(np.clip(cosine, -1, 1)))
    up = middle / norm
    east = np.cross([0.0, 0.0, 1.0] if abs(up[2]) < 0.9 else [1.0, 0.0, 0.0], up)
    east /= np.linalg.norm(east)
    north = np.cross(up, east)

    def flatten(lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        unit = _on_sphere(lonlat) / EARTH_RADIUS_M
        x, y = unit @ east, unit @ north
        sine = np.hypot(x, y)
        angle = np.arctan2(sine, unit @ up)
        stretch = EARTH_RADIUS_M * np.divide(angle, sine, out=np.ones_like(sine), where=sine > 0)
        return np.column_stack([x * stretch, y * stretch])

    return float(shapely.distance(shapely.transform(one, flatten), shapely.transform(other, flatten)))
