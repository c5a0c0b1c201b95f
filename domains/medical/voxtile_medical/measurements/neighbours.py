"""How two regions lie to each other: distance, area of contact, and which part of an organ holds a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import spatial

from voxtile_medical.measurements.shape import Bits, Shape


@dataclass(frozen=True)
class Distance:
    """The way between two regions.

    Attributes:
        mm: from the nearest voxel centre of one to that of the other; 0 where they share a voxel.
        touching: they share a voxel, or a voxel of one is a neighbour of one of the other (by face, edge or corner).
    """

    mm: float
    touching: bool


def distance(one: Shape, two: Shape) -> Distance:
    """Exact Euclidean distance between two regions of one grid.

    The nearest voxels of two regions that share none lie on their surfaces, so a search tree over the surface voxels in
    patient space is exact on oblique and sheared grids too, where a distance transform is not.
    """
    if overlap(one, two):
        return Distance(0.0, True)
    small, large = sorted((one.surface, two.surface), key=len)
    near = spatial.cKDTree(one.grid.places(large)).query(one.grid.places(small))[0]
    return Distance(float(near.min()), _touching(one, two))


def box_distance(one: Shape, two: Shape) -> float:
    """A lower bound of the distance in mm, from the bounding boxes alone."""
    gaps = [
        max(0, a_start - (b_stop - 1), b_start - (a_stop - 1))
        for a_start, a_stop, b_start, b_stop in zip(one.start, one.stop, two.start, two.stop, strict=True)
    ]
    # |way| >= the gap along an axis times the thickness of a step across the two other axes.
    thickness = one.grid.voxel_mm3 / one.grid.face_mm2
    return float(np.max(np.array(gaps) * thickness))


def overlap(one: Shape, two: Shape) -> int:
    """Number of voxels that two regions share."""
    window = _window(one, two, 0)
    if window is None:
        return 0
    return int(np.count_nonzero(_cut(one, window) & _cut(two, window)))


def contact_mm2(finding: Shape, other: Shape) -> float:
    """Area of the finding's surface that another region covers.

    The sum of the areas of those voxel faces of the finding's surface where the voxel on the outer side, or the voxel
    of the finding itself, belongs to the other region.
    """
    window = _window(finding, other, 1)
    if window is None:
        return 0.0
    inside, covered = _cut(finding, window), _cut(other, window)
    both = inside & covered
    area = 0.0
    for axis in range(3):
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        for near, far in ((tuple(ahead), tuple(behind)), (tuple(behind), tuple(ahead))):
            faces = inside[near] & ~inside[far] & (covered[far] | both[near])
            area += float(np.count_nonzero(faces)) * float(finding.grid.face_mm2[axis])
    return area


@dataclass(frozen=True)
class Place:
    """Which of several regions holds a finding.

    Attributes:
        index: of the region among those asked about.
        share: of the finding's voxels (`overlap`) or of its touched surface (`surface`) that is this region's.
        by: `overlap` where the regions and the finding share voxels; `surface` where the finding is cut out of them.
    """

    index: int
    share: float
    by: str


def places_of(finding: Shape, regions: Sequence[Shape]) -> list[Place]:
    """The regions that hold a finding, by share of its voxels, largest first; none where it touches none.

    In a label map a finding replaces the organ around it and shares no voxel with it. There the shares are those of
    the finding's surface that is in contact with each region.
    """
    voxels = [overlap(finding, region) for region in regions]
    if any(voxels):
        shares, by = [count / finding.voxels for count in voxels], "overlap"
    else:
        areas = [contact_mm2(finding, region) for region in regions]
        shares, by = [area / (sum(areas) or 1.0) for area in areas], "surface"
    order = sorted((i for i, share in enumerate(shares) if share > 0), key=lambda i: (-shares[i], i))
    return [Place(i, shares[i], by) for i in order]


def _touching(one: Shape, two: Shape) -> bool:
    """Two regions that share no voxel have voxels that are neighbours by face, edge or corner."""
    window = _window(one, two, 1)
    if window is None:
        return False
    grown = _cut(one, window)
    for axis in range(3):
        grown = _spread(grown, axis)
    return bool((grown & _cut(two, window)).any())


def _spread(bits: Bits, axis: int) -> Bits:
    wide = bits.copy()
    moved, source = np.moveaxis(wide, axis, 0), np.moveaxis(bits, axis, 0)
    moved[1:] |= source[:-1]
    moved[:-1] |= source[1:]
    return wide


_Window = tuple[tuple[int, int], ...]


def _window(one: Shape, two: Shape, margin: int) -> _Window | None:
    """Where both boxes, the first grown by a margin, meet, grown by the margin again; None where they do not."""
    window = []
    for a_start, a_stop, b_start, b_stop in zip(one.start, one.stop, two.start, two.stop, strict=True):
        first, last = max(a_start - margin, b_start), min(a_stop + margin, b_stop)
        if first >= last:
            return None
        window.append((first - margin, last + margin))
    return tuple(window)


def _cut(shape: Shape, window: _Window) -> Bits:
    """The region inside a window of the volume, which may reach beyond the region's box."""
    bits = np.zeros([last - first for first, last in window], dtype=bool)
    into, out_of = [], []
    for (first, last), start, stop in zip(window, shape.start, shape.stop, strict=True):
        low, high = max(first, start), min(last, stop)
        into.append(slice(low - first, max(high, low) - first))
        out_of.append(slice(low - start, max(high, low) - start))
    bits[tuple(into)] = shape.bits[tuple(out_of)]
    return bits
