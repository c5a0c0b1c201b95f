"""Diameters of a region: the longest in a slice with its perpendicular, and the largest in space.

Convention: every voxel stands for the points a quarter of a step before and behind its centre along each array axis.
Where a surface crosses the grid lies anywhere between the last voxel centre inside and the first outside; the outermost
of many voxels lies near it. From centre to centre an ellipsoid's axis would come out short, from face to face (a half
step) a ball's long; a quarter is right for both within half a voxel. `edge_mm` of a diameter runs between the outermost
corners of the two voxels and is its upper bound.

The farthest points of a set are corners of its convex hull, so pairs of hull corners give what all pairs of voxels
would, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import spatial

from voxtile_medical.measurements.grid import Indices, Points
from voxtile_medical.measurements.shape import Shape

QUARTER = 0.25  # of a step, beyond the centres of the end voxels
_FEW = 12  # points; with so few, all pairs cost less than a hull
_WIDTHS = 8  # directions in which a section is measured before its hull is drawn
_BLOCK = 1024  # points whose distances to all others are held at a time
_TIE = 1e-9  # relative: lengths that differ by less are equal, and the first in array order is taken


@dataclass(frozen=True)
class Diameter:
    """A length with its ends.

    Attributes:
        mm: between the ends.
        edge_mm: between the outer corners of the end voxels: the upper bound.
        ends: two (z, y, x) in voxel indices, a quarter of a step beyond a voxel centre.
    """

    mm: float
    edge_mm: float
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class AxialDiameters:
    """The two diameters of RECIST 1.1 and WHO, in one slice.

    Attributes:
        longest: the longest distance between two voxels of one section, over all slices.
        perpendicular: the longest chord at right angles to it across the convex hull of the same section.
        slice_index: z of the slice.
    """

    longest: Diameter
    perpendicular: Diameter
    slice_index: int


def axial_diameters(shape: Shape) -> AxialDiameters:
    """Longest axial diameter and its perpendicular.

    RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009;45:228): the longest diameter in the plane of measurement, and for
    lymph nodes the short axis, which is the longest diameter perpendicular to it. WHO (Miller et al., Cancer
    1981;47:207): the longest diameter and the greatest one perpendicular to it, whose product is followed.
    A slice is a plane of the array across its z axis: the plane as scanned for axial scans, tilted ones included. What
    is connected in space but lies apart in a slice is two sections there (pixels that share an edge or a corner are
    connected), and no diameter runs from one to the other.
    """
    z, y, first, last, section = shape.runs
    basis = shape.grid.in_plane()
    starts = np.flatnonzero(np.r_[True, section[1:] != section[:-1]])
    stops = np.r_[starts[1:], len(section)]
    bounds = _section_bounds(y, first, last, starts, basis)
    best, found = -1.0, (0, np.zeros((1, 2), np.int64), _Pair(0, 0, 0))
    for number in np.argsort(-bounds, kind="stable"):
        if bounds[number] <= best * (1 + _TIE):
            break
        rows = slice(starts[number], stops[number])
        ends = np.concatenate([np.stack([y[rows], first[rows]], 1), np.stack([y[rows], last[rows]], 1)])
        corners = hull_corners(np.unique(ends, axis=0))
        length, pair = _farthest(corners, basis)
        if length > best * (1 + _TIE):
            best, found = length, (int(z[starts[number]]), corners, pair)
    plane, corners, pair = found
    one, two = _ends(corners, pair)
    edge = _edge_length(corners[pair.two] - corners[pair.one], basis)
    longest = Diameter(best, edge, (_triple(plane, *one), _triple(plane, *two)))
    return AxialDiameters(longest, _perpendicular(plane, corners, basis, (two - one) @ basis), plane)


def largest_extent(shape: Shape) -> Diameter:
    """The longest distance between two voxels in space (the largest Feret diameter).

    Args:
        shape: any; parts that lie apart count as one.
    """
    z, y, first, last = shape.rows
    tips = np.concatenate([np.stack([z, y, first], 1), np.stack([z, y, last], 1)])
    corners = hull_corners(_outermost(np.unique(tips, axis=0)))
    length, pair = _farthest(corners, shape.grid.steps)
    one, two = _ends(corners, pair)
    edge = _edge_length(corners[pair.two] - corners[pair.one], shape.grid.steps)
    return Diameter(length, edge, (_triple(*one), _triple(*two)))


def patient_bounds(shape: Shape) -> Points:
    """[2, 3] RAS+ mm: lowest and highest face of the region's voxels along the patient's own axes.

    Along a fixed axis a length runs from face to face (as slices times thickness does), right to a voxel: no pair of
    voxels is chosen here that would make the outermost ones likely.
    """
    z, y, first, last = shape.rows
    tips = np.concatenate([np.stack([z, y, first], 1), np.stack([z, y, last], 1)])
    places = shape.grid.places(tips)
    half = np.abs(shape.grid.steps).max(axis=0) / 2
    return np.stack([places.min(axis=0) - half, places.max(axis=0) + half])


def hull_corners(points: Indices) -> Indices:
    """Corners of the convex hull of distinct points; of flat and straight sets too.

    Args:
        points: [N, D] whole numbers, no two the same, in array order.

    Returns:
        [M, D] some of them, in array order.
    """
    if len(points) <= _FEW:
        return points
    axes = _independent_axes(points)
    if len(axes) == 1:
        column = points[:, axes[0]]
        chosen = np.unique([column.argmin(), column.argmax()])
    else:
        try:
            chosen = np.sort(spatial.ConvexHull(points[:, axes].astype(np.float64)).vertices)
        except spatial.QhullError:  # too thin for its precision; all pairs are right and only slower
            return points
    corners: Indices = points[chosen]
    return corners


def _independent_axes(points: Indices) -> list[int]:
    """Fewest array axes onto which the points project without two falling together along a line or plane."""
    centred = (points - points[0]).astype(np.float64)
    gram = centred.T @ centred
    rank = int(np.linalg.matrix_rank(gram, hermitian=True))
    for axes in combinations(range(points.shape[1]), max(rank, 1)):
        if np.linalg.matrix_rank(gram[np.ix_(axes, axes)], hermitian=True) == rank:
            return list(axes)
    return list(range(points.shape[1]))


def _outermost(tips: Indices) -> Indices:
    """Of points that end a row along x, those that also end their column along y and their line along z among them."""
    kept = tips
    for axis in (1, 0):
        others = [a for a in range(3) if a != axis]
        order = np.lexsort((kept[:, axis], kept[:, others[1]], kept[:, others[0]]))
        ordered = kept[order]
        change = np.any(ordered[1:, others] != ordered[:-1, others], axis=1)
        ends = np.r_[True, change] | np.r_[change, True]
        kept = ordered[ends]
    outermost: Indices = kept[np.lexsort(kept.T[::-1])]
    return outermost


def _section_bounds(y: Indices, first: Indices, last: Indices, starts: Indices, basis: Points) -> Points:
    """An upper bound of the diameter of each section: its widths in several directions, one of which is near it."""
    angles = np.arange(_WIDTHS) * np.pi / _WIDTHS
    ways = basis @ np.stack([np.cos(angles), np.sin(angles)])
    widths = np.zeros((_WIDTHS, len(starts)))
    for number, way in enumerate(ways.T):
        across, along = y * way[0], np.stack([first, last]) * way[1]
        high = np.maximum.reduceat(across + along.max(axis=0), starts)
        low = np.minimum.reduceat(across + along.min(axis=0), starts)
        widths[number] = high - low + 2 * QUARTER * np.abs(way).max()
    bounds: Points = widths.max(axis=0) / np.cos(np.pi / (2 * _WIDTHS)) * (1 + 4 * _TIE)
    return bounds


class _Pair(NamedTuple):
    """Two of a list of voxels, and the array axis along which both ends are a quarter of a step farther out."""

    one: int
    two: int
    axis: int


def _farthest(voxels: Indices, basis: Points) -> tuple[float, _Pair]:
    """Longest distance between the points of two voxels, and the first pair that has it.

    Of the points of two voxels those along the same axis are farthest apart, so that the way between the centres grows
    by half a step: |way +- step / 2|^2 = |way|^2 + |step|^2 / 4 +- way . step.
    """
    places = (voxels - voxels[0]) @ basis
    one, two = _far_pairs(places, float(np.linalg.norm(basis, axis=1).max()) * QUARTER * 2)
    ways = places[two] - places[one]
    squares = (ways**2).sum(axis=1)[:, None] + (basis**2).sum(axis=1) * QUARTER + np.abs(ways @ basis.T)
    pair, axis = divmod(int(np.argmax(squares.reshape(-1) >= squares.max() * (1 - 2 * _TIE))), len(basis))
    ends = (int(one[pair]), int(two[pair]))
    if float(ways[pair] @ basis[axis]) < 0:  # in the order in which the axis runs
        ends = ends[::-1]
    return float(np.sqrt(squares[pair, axis])), _Pair(*ends, axis)


def _far_pairs(places: Points, slack: float) -> tuple[Indices, Indices]:
    """Pairs of points whose distance is within a slack of the longest, in the order of the points.

    Two sweeps from point to farthest point give a distance that the longest at least has; what lies nearer than that to
    every corner of the bounding box is no end of it.
    """
    point = places[0]
    for _ in range(3):
        away = np.linalg.norm(places - point, axis=1)
        point = places[int(away.argmax())]
    reached = float(away.max()) - slack
    farthest_corner = np.maximum(places - places.min(axis=0), places.max(axis=0) - places)
    kept = np.flatnonzero(np.linalg.norm(farthest_corner, axis=1) >= reached * (1 - _TIE))
    some = places[kept]
    squares = (some**2).sum(axis=1)
    one, two = [], []
    for start in range(0, len(kept), _BLOCK):
        rows = slice(start, start + _BLOCK)
        between = squares[rows, None] + squares[start:] - 2 * some[rows] @ some[start:].T
        reached = max(reached, float(np.sqrt(max(between.max(), 0.0))) - slack)
        row, column = np.nonzero(between >= max(reached, 0.0) ** 2 * (1 - 4 * _TIE) - _TIE)
        ahead = row <= column
        one.append(kept[row[ahead] + start])
        two.append(kept[column[ahead] + start])
    return np.concatenate(one), np.concatenate(two)


def _ends(voxels: Indices, pair: _Pair) -> tuple[Points, Points]:
    """The two ends in voxel indices."""
    step = np.zeros(voxels.shape[1])
    step[pair.axis] = QUARTER
    return voxels[pair.one] - step, voxels[pair.two] + step


def _edge_length(way: Points | Indices, basis: Points) -> float:
    """Longest distance between a corner of one voxel and a corner of another that lies `way` from it."""
    signs = np.stack(np.meshgrid(*[[-1, 1]] * len(basis), indexing="ij"), -1).reshape(-1, len(basis))
    return float(np.linalg.norm((way + signs) @ basis, axis=1).max())


def _perpendicular(plane: int, corners: Indices, basis: Points, way: Points) -> Diameter:
    """Longest chord of the hull at right angles to a diameter; the hull is convex, so it passes through a corner."""
    steps = QUARTER * np.concatenate([np.eye(2), -np.eye(2)])
    places = (corners[:, None, :] + steps).reshape(-1, 2) @ basis
    along = way / np.linalg.norm(way)
    across = np.array([-along[1], along[0]])
    s, t = places @ along, places @ across
    at = np.unique(s)
    low, high = _outline(s, t, at)
    number = int(np.argmax(high - low >= (high - low).max() * (1 - _TIE)))
    tips = np.stack([at[number] * along + low[number] * across, at[number] * along + high[number] * across])
    one, two = tips @ np.linalg.inv(basis)
    mm = float(high[number] - low[number])
    edge = mm + float(np.abs(basis @ across).sum()) - 2 * QUARTER * float(np.abs(basis @ across).max())
    return Diameter(mm, edge, (_triple(plane, *one), _triple(plane, *two)))


def _outline(s: Points, t: Points, at: Points) -> tuple[Points, Points]:
    """Lower and upper outline (t) of the hull of corners (s, t) at the given s."""
    order = np.lexsort((t, s))
    s, t = s[order], t[order]
    edges_s, edges_t = [], []
    for sign in (1.0, -1.0):
        chain: list[int] = []
        for point in range(len(s)):
            while len(chain) > 1 and _turn(s, sign * t, chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        edges_s.append(s[chain])
        edges_t.append(t[chain])
    # At the first and last s the two chains share a corner or stand on a side at right angles: take its far ends.
    low, high = np.interp(at, edges_s[0], edges_t[0]), np.interp(at, edges_s[1], edges_t[1])
    for place in (0, -1):
        beside = np.isclose(s, at[place], rtol=0, atol=1e-12)
        low[place], high[place] = t[beside].min(), t[beside].max()
    return low, high


def _turn(s: Points, t: Points, one: int, two: int, three: int) -> float:
    """Twice the signed area of a triangle; positive for a turn to the left."""
    return float((s[two] - s[one]) * (t[three] - t[one]) - (t[two] - t[one]) * (s[three] - s[one]))


def _triple(z: float, y: float, x: float) -> tuple[float, float, float]:
    return float(z), float(y), float(x)
