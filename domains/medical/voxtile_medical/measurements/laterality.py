"""On which side of the body a region lies, and what says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voxtile_medical.measurements.anatomy import SIDES, Named
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.shape import Shape

MARGIN_MM = 10.0  # a centroid nearer to the midline than this is on neither side
BOTH_SHARE = 0.1  # of the volume: with parts on both sides that are at least so large, a region is bilateral
_BODY_HU = -300.0
MOST_AT_EDGE = 0.05  # of a side's face that is not air (the table is); with more, the body goes on beyond the picture
_SPINE = frozenset({"vertebrae", "spinal cord", "sacrum"})


@dataclass(frozen=True)
class Midline:
    """The sagittal plane that parts left from right.

    Attributes:
        x_mm: RAS+ x of the plane.
        evidence: what it was taken from.
        firm: it was taken from the body, not from the picture's frame.
    """

    x_mm: float
    evidence: str
    firm: bool


@dataclass(frozen=True)
class Side:
    """Where a region lies.

    Attributes:
        name: left, right, midline or bilateral.
        offset_mm: of the centroid from the midline, positive to the patient's right.
    """

    name: str
    offset_mm: float


def find_midline(regions: Iterable[tuple[Named, Shape]], values: Values | None, grid: Grid) -> Midline:
    """The midline by the best evidence: the spine, a pair of organs, the body's outline on CT, the image's middle.

    A structure that the picture's edge cuts, and a body that reaches it, are no evidence: their middle is the crop's.
    """
    named = list(regions)
    spine = [shape for name, shape in named if name.name in _SPINE and name.side is None and not _is_cut(shape, grid)]
    if spine:
        weights = [shape.voxels for shape in spine]
        x = float(np.average([shape.centroid[0] for shape in spine], weights=weights))
        return Midline(x, "the spine", True)
    pairs = [pair for pair in _paired(named) if not any(_is_cut(shape, grid) for shape in pair[1:])]
    if pairs:
        name, left, right = max(pairs, key=lambda pair: pair[1].voxels + pair[2].voxels)
        return Midline(float(left.centroid[0] + right.centroid[0]) / 2, f"both sides of {name}", True)
    if values is not None and values.unit == "HU":
        x_body = _middle_of_body(values, grid)
        if x_body is not None:
            return Midline(x_body, "the outline of the body", True)
    middle = (np.array(grid.shape) - 1) / 2
    return Midline(float(grid.places(middle[None])[0, 0]), "the middle of the image", False)


def side_of(parts: Sequence[Shape], midline: Midline) -> Side:
    """Side of a region by the centroids of its parts (RAS+: x grows to the patient's right)."""
    weights = np.array([part.voxels for part in parts], dtype=np.float64)
    offsets = np.array([part.centroid[0] for part in parts]) - midline.x_mm
    mean = float(np.average(offsets, weights=weights))
    share = weights / weights.sum()
    if min(share[offsets > MARGIN_MM].sum(), share[offsets < -MARGIN_MM].sum()) >= BOTH_SHARE:
        return Side("bilateral", mean)
    if abs(mean) <= MARGIN_MM:
        return Side("midline", mean)
    return Side("right" if mean > 0 else "left", mean)


def _paired(named: list[tuple[Named, Shape]]) -> list[tuple[str, Shape, Shape]]:
    """Structures with a region on either side."""
    by_name: dict[tuple[str, str | None], dict[str, Shape]] = {}
    for name, shape in named:
        if name.side in SIDES and name.kind not in ("finding", "unknown"):
            by_name.setdefault((name.name, name.level), {})[name.side] = shape
    return [(name, both["left"], both["right"]) for (name, _), both in by_name.items() if len(both) == len(SIDES)]


def _middle_of_body(values: Values, grid: Grid) -> float | None:
    """Median x of what is not air, over every fourth slice and row; None where the picture cuts the body."""
    threshold = (_BODY_HU - values.offset) / (values.scale or 1.0)
    axis = _sideways(grid)
    for face in (0, -1):
        if np.mean(values.stored.take(face, axis) > threshold) > MOST_AT_EDGE:
            return None
    inside = np.argwhere(values.stored[::4, ::4, ::2] > threshold)
    if not len(inside):
        return None
    return float(np.median(grid.places(inside * np.array([4, 4, 2]))[:, 0]))


def _is_cut(shape: Shape, grid: Grid) -> bool:
    """The structure reaches the picture's edge at a side of the body."""
    axis = _sideways(grid)
    return shape.start[axis] == 0 or shape.stop[axis] == grid.shape[axis]


def _sideways(grid: Grid) -> int:
    """The array axis that runs from one side of the body to the other."""
    return int(np.argmax(np.abs(grid.steps[:, 0]) / grid.spacing))
