"""How far around a vessel a tumour lies, in degrees of the vessel's circumference, slice by slice.

NCCN Guidelines, Pancreatic Adenocarcinoma, "Criteria defining resectability status": contact of up to 180 degrees of
the vessel's circumference (abutment) is told from more than 180 (encasement).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile_medical.measurements.grid import Points
from voxtile_medical.measurements.neighbours import box_distance
from voxtile_medical.measurements.shape import Bits, Shape

DIRECTIONS = 360
HALF = 180.0
_ALL_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class VesselContact:
    """The slice in which the tumour reaches farthest around the vessel.

    Attributes:
        degrees: of the 360 directions from the centre of the vessel's section, those in which the tumour touches it.
        slice_index: z of the slice.
        slices: number of slices in which they touch.
    """

    degrees: float
    slice_index: int
    slices: int


def vessel_contact(tumour: Shape, vessel: Shape) -> VesselContact | None:
    """Largest contact angle over the slices; None where the tumour touches the vessel in none.

    In every slice each connected section of the vessel is looked at by itself. From the centroid of the section a ray
    goes out in every whole degree to the section's last pixel; the tumour touches there if it shares that pixel or
    begins within half a pixel's diagonal beyond it, so that one free pixel parts them. The angle is the number of rays
    that touch.
    """
    if box_distance(tumour, vessel) > float(vessel.grid.spacing.max()) * 2:
        return None
    best = VesselContact(0.0, 0, 0)
    touched = 0
    for plane in range(max(tumour.start[0], vessel.start[0]), min(tumour.stop[0], vessel.stop[0])):
        degrees = _slice_contact(_plane(tumour, vessel, plane), vessel.bits[plane - vessel.start[0]], vessel)
        touched += degrees > 0
        if degrees > best.degrees:
            best = VesselContact(degrees, plane, 0)
    return VesselContact(best.degrees, best.slice_index, touched) if touched else None


def _plane(tumour: Shape, vessel: Shape, plane: int) -> Bits:
    """The tumour in a slice, in the vessel's box grown by `_MARGIN` pixels."""
    sizes = [size + 2 * _MARGIN for size in vessel.bits.shape[1:]]
    bits = np.zeros(sizes, dtype=bool)
    into, out_of = [], []
    for axis, size in zip((1, 2), sizes, strict=True):
        first = vessel.start[axis] - _MARGIN
        low, high = max(first, tumour.start[axis]), min(first + size, tumour.stop[axis])
        if low >= high:
            return bits
        into.append(slice(low - first, high - first))
        out_of.append(slice(low - tumour.start[axis], high - tumour.start[axis]))
    bits[tuple(into)] = tumour.bits[plane - tumour.start[0]][tuple(out_of)]
    return bits


_MARGIN = 3  # pixels round the vessel's box that a ray may look into


def _slice_contact(tumour: Bits, vessel: Bits, shape: Shape) -> float:
    if not tumour.any() or not vessel.any():
        return 0.0
    sections, count = ndimage.label(np.pad(vessel, _MARGIN), _ALL_NEIGHBOURS)
    basis = shape.grid.in_plane()
    return max(_section_contact(tumour, sections == number + 1, basis) for number in range(count))


def _section_contact(tumour: Bits, section: Bits, basis: Points) -> float:
    """Number of whole-degree directions in which the tumour touches one section of the vessel."""
    pixels = np.argwhere(section)
    centre = pixels.mean(axis=0)
    gap = float(np.hypot(np.linalg.norm(basis[0]), np.linalg.norm(basis[1]))) / 2
    reach = float(np.linalg.norm((pixels - centre) @ basis, axis=1).max()) + 3 * gap
    step = float(np.linalg.norm(basis, axis=1).min()) / 4
    radii = np.arange(0.0, reach + step, step)
    angles = np.deg2rad(np.arange(DIRECTIONS))
    ways = np.stack([np.cos(angles), np.sin(angles)], 1) @ np.linalg.inv(basis)
    at = np.rint(centre + radii[None, :, None] * ways[:, None, :]).astype(np.int64)
    inside_box = ((at >= 0) & (at < np.array(section.shape))).all(axis=2)
    at = np.where(inside_box[..., None], at, 0)
    in_vessel = section[at[..., 0], at[..., 1]] & inside_box
    in_tumour = tumour[at[..., 0], at[..., 1]] & inside_box
    return float(np.count_nonzero(_touches(in_vessel, in_tumour, radii, gap)))


def _touches(in_vessel: Bits, in_tumour: Bits, radii: Points, gap: float) -> npt.NDArray[np.bool_]:
    """[rays] bool: the tumour holds the ray's last piece of vessel, or begins within the gap beyond it."""
    last = in_vessel.shape[1] - 1 - in_vessel[:, ::-1].argmax(axis=1)
    met = in_vessel.any(axis=1)
    edge = radii[np.where(met, last, 0)][:, None]
    near = (radii[None, :] >= edge) & (radii[None, :] <= edge + gap)
    touched: npt.NDArray[np.bool_] = np.logical_and((in_tumour & near).any(axis=1), met)
    return touched
