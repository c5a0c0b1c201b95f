"""Boxes of masks, upright and rotated, and how well two boxes agree.

Boxes are as in the regions table: min row, min column, max row, max column in pixel edges. A rotated one is the upright
box of the same centre and sides, its longer side as the width, with the angle in degrees counter-clockwise, as seen on
the picture, by which to turn it about its centre: above -90 and up to 90.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile.formats.optional import require

if TYPE_CHECKING:
    from shapely.geometry import Polygon
    from shapely.geometry.base import BaseGeometry

Mask = npt.NDArray[np.bool_]
_CORNERS = np.ones((3, 3))  # neighbours by corners are connected too


class Box(NamedTuple):
    """A box and its angle; 0 where it is upright."""

    edges: tuple[float, float, float, float]
    angle: float = 0.0


def parts(mask: Mask) -> list[Mask]:
    """The connected parts of a mask [Y, X], the largest first."""
    labels, count = ndimage.label(mask, _CORNERS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == number + 1 for number in np.argsort(-sizes, kind="stable")]


def best_part(probability: npt.NDArray[np.float32], cut: float) -> Mask | None:
    """The connected part of a [Y, X] map at or above the cut that holds most probability; None where there is none."""
    labels, count = ndimage.label(probability >= cut, _CORNERS)
    if not count:
        return None
    best: Mask = labels == 1 + int(np.argmax(ndimage.sum(probability, labels, np.arange(1, count + 1))))
    return best


def upright_box(mask: Mask) -> Box:
    """The bounding box of a mask's pixels.

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("an empty mask has no box")
    return Box((float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1)))


def rotated_box(mask: Mask) -> Box:
    """The rectangle of least area round the centres of a mask's pixels, with half a pixel more on each side.

    The steps of the pixels' own outline would make it up to 1.4 pixels too wide.

    Raises:
        ValueError: the mask is empty.
    """
    shapely = require("shapely", "remote-sensing")
    if not mask.any():
        raise ValueError("an empty mask has no box")
    centres = shapely.MultiPoint(np.argwhere(mask)[:, ::-1] + 0.5)
    grown = shapely.minimum_rotated_rectangle(centres).buffer(0.5, cap_style="square", join_style="mitre")
    return box_of_rectangle(shapely.minimum_rotated_rectangle(grown))  # once more: a grown line has corners to spare


def rotated_outline(outline: BaseGeometry, pixel: float) -> Polygon:
    """The rectangle of least area round the outline of pixels of a size, less what their corners stand out.

    Pixels that fill a turned rectangle reach (|cos| + |sin|) / 2 of their side beyond their outer centres, and half a
    side beyond where it is upright: the rectangle goes back to half a side, as in `rotated_box`.
    """
    shapely = require("shapely", "remote-sensing")
    rectangle = shapely.minimum_rotated_rectangle(outline)
    turn = math.radians(long_side_angle(rectangle))
    spare = (abs(math.cos(turn)) + abs(math.sin(turn)) - 1) / 2 * pixel
    smaller = rectangle.buffer(-spare, join_style="mitre") if spare > 1e-9 * pixel else rectangle
    kept: Polygon = rectangle if smaller.is_empty else shapely.minimum_rotated_rectangle(smaller)
    return kept


def long_side_angle(rectangle: Polygon) -> float:
    """Degrees from the x axis to a rectangle's longer side, counter-clockwise where y points up; above -90 up to 90."""
    _, (_, dx, dy) = _sides(rectangle)
    return _half_turn(math.degrees(math.atan2(dy, dx)))


def box_of_rectangle(rectangle: Polygon) -> Box:
    """A rectangle's corners (x to the right, y down) as a box and its angle."""
    height, (width, dx, dy) = _sides(rectangle)
    angle = _half_turn(math.degrees(math.atan2(-dy, dx)))
    centre = rectangle.centroid
    edges = (centre.y - height / 2, centre.x - width / 2, centre.y + height / 2, centre.x + width / 2)
    return Box(edges, angle)


def rectangle_of(box: Box) -> Polygon:
    """The corners of a box as a polygon (x to the right, y down)."""
    affinity, geometry = require("shapely.affinity", "remote-sensing"), require("shapely.geometry", "remote-sensing")
    y0, x0, y1, x1 = box.edges
    upright = geometry.box(x0, y0, x1, y1)
    turned: Polygon = affinity.rotate(upright, -box.angle, origin="centroid") if box.angle else upright  # y points down
    return turned


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, turned or not; 0 where neither has an area."""
    if not first.angle and not second.angle:
        return _upright_overlap(first.edges, second.edges)
    one, other = rectangle_of(first), rectangle_of(second)
    both = float(one.intersection(other).area)
    either = float(one.area + other.area) - both
    return both / either if either > 0 else 0.0


def _upright_overlap(first: Sequence[float], second: Sequence[float]) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    areas = [float((edges[2] - edges[0]) * (edges[3] - edges[1])) for edges in (first, second)]
    either = sum(areas) - both
    return both / either if either > 0 else 0.0


def _sides(rectangle: Polygon) -> tuple[float, tuple[float, float, float]]:
    """Length of the shorter side; length and direction of the longer one."""
    (ax, ay), (bx, by), (cx, cy) = rectangle.exterior.coords[:3]
    sides = [(math.hypot(bx - ax, by - ay), bx - ax, by - ay), (math.hypot(cx - bx, cy - by), cx - bx, cy - by)]
    (height, _, _), longer = sorted(sides)
    return height, longer


def _half_turn(degrees: float) -> float:
    """The same line's direction above -90 and up to 90."""
    return degrees - 180 if degrees > 90 else degrees + 180 if degrees <= -90 else degrees
