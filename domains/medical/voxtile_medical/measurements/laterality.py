"""On which side of the body a region lies, and what says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile_medical.measurements.anatomy import SIDES, Named
from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.shape import Shape

MARGIN_MM = 10.0  # a centroid nearer to the midline than this is on neither side
BOTH_SHARE = 0.1  # of the volume: with parts on both sides that are at least so large, a region is bilateral
_BODY_HU = -300.0
MOST_AT_EDGE = 0.05  # of a body's rows that end at the picture's edge (the table's do); with more, it goes on beyond
_EVERY = 4  # rows and planes of a body, of which one is looked at
_LEAST_FILL = 0.5  # of the faces at both sides that one value takes: the value of what was not scanned
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
    Where a picture was padded, or is round, its edge is where the filled voxels begin.
    """
    seen = None if values is None else _Picture(values.stored, _sideways(grid))
    named = [(name, shape) for name, shape in regions if not _is_cut(shape, grid, seen)]
    spine = [shape for name, shape in named if name.name in _SPINE and name.side is None]
    if spine:
        weights = [shape.voxels for shape in spine]
        x = float(np.average([shape.centroid[0] for shape in spine], weights=weights))
        return Midline(x, "the spine", True)
    pairs = _paired(named)
    if pairs:
        name, left, right = max(pairs, key=lambda pair: pair[1].voxels + pair[2].voxels)
        return Midline(float(left.centroid[0] + right.centroid[0]) / 2, f"both sides of {name}", True)
    if seen is not None and values is not None and values.unit == "HU":
        x_body = _middle_of_body(seen, (_BODY_HU - values.offset) / (values.scale or 1.0), grid)
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


class _Picture:
    """Stored values, and where the scan ends at the two sides of the body.

    Args:
        stored: [Z, Y, X].
        axis: the array axis that runs from one side of the body to the other.
    """

    def __init__(self, stored: npt.NDArray[Any], axis: int) -> None:
        self.stored, self.axis = stored, axis
        faces = np.concatenate([stored.take(face, axis).ravel() for face in (0, -1)])
        found, counts = np.unique(faces, return_counts=True)
        most = int(np.argmax(counts))
        self.fill = found[most] if counts[most] > _LEAST_FILL * len(faces) else None

    def cut_share(self, inside: npt.NDArray[np.bool_], box: tuple[slice, ...], every: int = 1) -> float:
        """Share of a structure's rows, at the worse of its two sides, that end where the scan does.

        Args:
            inside: [Z, Y, X] which voxels of the box are the structure's.
            box: its place in the volume.
            every: look at each such row and plane alone.
        """
        start, stop, size = box[self.axis].start, box[self.axis].stop, self.stored.shape[self.axis]
        wider = list(box)
        wider[self.axis] = slice(max(start - 1, 0), min(stop + 1, size))
        stored = np.moveaxis(self.stored[tuple(wider)], self.axis, -1)[::every, ::every]
        ends = [(0, 0), (0, 0), (int(start == 0), int(stop == size))]
        filled = np.zeros(stored.shape, dtype=bool) if self.fill is None else stored == self.fill
        rows = np.pad(np.moveaxis(inside, self.axis, -1)[::every, ::every], [(0, 0), (0, 0), (1, 1)])
        filled = np.pad(filled, ends, constant_values=True)
        if (rows & ~filled).any():
            rows &= ~filled
        else:  # its own value is the one at the faces: only the array's ends are known
            filled = np.pad(np.zeros(stored.shape, dtype=bool), ends, constant_values=True)
        held = rows.any(axis=-1)
        if not held.any():
            return 0.0
        first, last = rows.argmax(axis=-1)[held], rows.shape[-1] - 1 - rows[..., ::-1].argmax(axis=-1)[held]
        beyond = filled[held]
        number = np.arange(len(first))
        return float(max(beyond[number, first - 1].mean(), beyond[number, last + 1].mean()))


def _middle_of_body(picture: _Picture, threshold: float, grid: Grid) -> float | None:
    """Find x of the middle of the largest part that is not air; None where the end of the scan cuts it.

    None, too, where its median is not half-way between its ends: an arm that lies on one side.
    """
    inside = picture.stored > threshold
    if picture.cut_share(inside, tuple(slice(0, size) for size in inside.shape), _EVERY) > MOST_AT_EDGE:
        return None
    steps = np.where(np.arange(3) == picture.axis, 1, _EVERY)
    parts, count = ndimage.label(inside[tuple(slice(None, None, int(step)) for step in steps)])
    if not count:
        return None
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    x = grid.places(np.argwhere(largest) * steps)[:, 0]
    middle = float(np.median(x))
    return middle if abs(middle - float(x.min() + x.max()) / 2) <= MARGIN_MM else None


def _is_cut(shape: Shape, grid: Grid, picture: _Picture | None) -> bool:
    """The structure reaches the end of the scan at a side of the body."""
    axis = _sideways(grid)
    if shape.start[axis] == 0 or shape.stop[axis] == grid.shape[axis]:
        return True
    return picture is not None and picture.cut_share(shape.bits, shape.box) > MOST_AT_EDGE


def _sideways(grid: Grid) -> int:
    """The array axis that runs from one side of the body to the other."""
    return int(np.argmax(np.abs(grid.steps[:, 0]) / grid.spacing))
