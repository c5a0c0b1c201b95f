"""Makes a drawn shape valid, in bounded time, or says why it cannot be used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import GeometryCollection, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from voxtile_pathology.annotations.annotation import AnnotationError

MAX_COORDINATE = 1e7  # level-0 pixels; the widest scanners make about 300,000
_MAX_CROSSINGS = 100_000  # repairing takes time with the number of crossings; hand-drawn shapes have a few
_PROBES = 64


def ring(points: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """Vertices of a ring, checked.

    Args:
        points: [N, 2] x and y in level-0 pixels.
        what: the annotation's name in messages.

    Raises:
        AnnotationError: not a list of points, fewer than three, or not finite.
    """
    try:
        array = np.asarray(points, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise AnnotationError(f"{what} has coordinates that are not numbers") from None
    if array.ndim != 2 or array.shape[1] < 2:
        raise AnnotationError(f"{what} has coordinates that are not pairs of x and y")
    array = array[:, :2]
    if not np.isfinite(array).all() or (array.size and np.abs(array).max() > MAX_COORDINATE):
        raise AnnotationError(f"{what} has a coordinate that no slide can have")
    if len(array) < 3:
        raise AnnotationError(f"{what} has {len(array)} vertices; a polygon needs three")
    return array


def valid_polygon(
    shell: npt.NDArray[np.float64], holes: list[npt.NDArray[np.float64]], what: str
) -> tuple[Polygon | MultiPolygon, str | None]:
    """A polygon from its rings; where they cross, the area inside by the even-odd rule.

    Args:
        shell: [N, 2] outer ring, closed or not.
        holes: rings cut out of it.
        what: the annotation's name in messages.

    Returns:
        The polygon, and a sentence about what was repaired, or None.

    Raises:
        AnnotationError: it encloses nothing, or crosses itself too often to be a drawing.
    """
    polygon = Polygon(shell, holes)
    if polygon.is_valid:
        if polygon.area == 0:
            raise AnnotationError(f"{what} encloses no area")
        return polygon, None
    if (crossings := estimated_crossings(shell)) > _MAX_CROSSINGS:
        raise AnnotationError(
            f"{what} has {len(shell)} vertices and crosses itself about {crossings} times; simplify the drawing"
        )
    repaired = polygonal(shapely.make_valid(polygon))
    if repaired is None:
        raise AnnotationError(f"{what} encloses no area")
    return repaired, f"{what} crosses itself; the area inside by the even-odd rule is used"


def polygonal(geometry: BaseGeometry) -> Polygon | MultiPolygon | None:
    """The part of a geometry that has an area; None where there is none."""
    if isinstance(geometry, (Polygon, MultiPolygon)):
        return None if geometry.is_empty else geometry
    if not isinstance(geometry, GeometryCollection):
        return None
    parts = [part for member in geometry.geoms if (part := polygonal(member)) is not None]
    merged = shapely.union_all(parts) if parts else None
    return merged if isinstance(merged, (Polygon, MultiPolygon)) else None


def estimated_crossings(points: npt.NDArray[np.float64]) -> int:
    """About how often a ring crosses itself: some of its edges against all others."""
    edges = shapely.linestrings(np.stack([points, np.roll(points, -1, axis=0)], axis=1))
    tree = shapely.STRtree(edges)
    probes = np.unique(np.linspace(0, len(edges) - 1, _PROBES).astype(int))
    found = sum(len(tree.query(edges[probe], predicate="crosses")) for probe in probes)
    return int(found / len(probes) * len(edges) / 2)
