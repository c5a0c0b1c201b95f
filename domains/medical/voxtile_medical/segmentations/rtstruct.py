"""RT structure sets (PS3.3 A.19): contours in the patient to masks on a sample's grid.

Contours are taken to voxel indices by the sample's affine. Those of an ROI that lie on one plane are combined there
(`contours.fill`); a plane of the grid takes the contour plane on it, or, where the contours were drawn on other planes,
the nearest one that is no farther than half a contour plane's thickness.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from voxtile_medical.archives.stored import stored
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.orientation import LPS_TO_RAS
from voxtile_medical.segmentations.coded import code_of, side_of
from voxtile_medical.segmentations.contours import SelfCrossingError, fill
from voxtile_medical.segmentations.identifiers import identifiers_of
from voxtile_medical.segmentations.names import Identifiers, Structure, laterality_of, phrase_of
from voxtile_medical.segmentations.placement import SAME_VOXEL, Grid, Piece, bounds
from voxtile_medical.segmentations.regions import Found, Refused
from voxtile_medical.verdicts import Verdict

RULE = "rtstruct@1"
CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
OFF_PLANE = 0.5  # of a step: how far a contour's points may lie from its plane; they are moved onto it
_CONTOUR_DATA = Tag(0x3006, 0x0050)
# Defined terms of RTROIInterpretedType (PS3.3 C.8.8.8.1) that say what a structure is.
_INTERPRETED = frozenset(("EXTERNAL", "PTV", "CTV", "GTV", "ORGAN", "AVOIDANCE", "BOLUS", "CAVITY", "SUPPORT"))
_REGULAR = 1.1  # largest over smallest step between contour planes that counts as a stack

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contour:
    """One contour.

    Attributes:
        kind: ContourGeometricType.
        points: [N, 3] RAS+ mm; a repeated end point is left out.
    """

    kind: str
    points: Points


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Attributes:
        number: ROINumber.
        structure: what it is.
        contours: in the file's order.
    """

    number: int
    structure: Structure
    contours: tuple[Contour, ...]


class StructureSet:
    """An RTSTRUCT object, read once and placed on one grid or several.

    Args:
        path: the file.
        hides: remove identifiers from names.
        known: identifiers that the images name, see `identifiers_of`.

    Raises:
        Verdict: `unreadable-header` or `unreadable-contours`.
    """

    def __init__(self, path: Path, hides: bool, known: Mapping[str, Sequence[str]]) -> None:
        with quiet_pydicom():
            try:
                dataset = pydicom.dcmread(stored(path))
                self.rois = tuple(_rois(dataset, identifiers_of(dataset, hides, known)))
            except Verdict:
                raise
            except Exception as error:  # a parser on hostile bytes: anything can happen, and it is reported by name
                raise Verdict(
                    "unreadable-header", f"the structure set cannot be parsed ({type(error).__name__})"
                ) from error

    def place(self, grid: Grid, frames: Mapping[str, str]) -> list[Found | Refused]:
        """The ROIs on a grid; those without a contour are left out.

        Args:
            grid: the sample's.
            frames: ROI number → what stands for the ROI's frame of reference.
        """
        return [_place(roi, grid, frames.get(str(roi.number), "")) for roi in self.rois if roi.contours]


def _place(roi: Roi, grid: Grid, frame: str) -> Found | Refused:
    called = f"'{roi.structure.phrase}'" if roi.structure.phrase else f"ROI {roi.number}"
    if frame and grid.frame and frame != grid.frame:
        return Refused(
            "other-frame-of-reference",
            f"{called} is drawn in another frame of reference than the image's; register them first",
        )
    kinds = {contour.kind for contour in roi.contours}
    if kinds - CLOSED:
        kind = sorted(kinds - CLOSED)[0]
        reason = "point-contour" if kind == "POINT" else "open-contour"
        return Refused(reason, f"{called} has {kind or 'unnamed'} contours, which enclose nothing")
    to_index = grid.to_index
    drawn = [
        contour.points @ to_index[:3, :3].T + to_index[:3, 3] for contour in roi.contours if len(contour.points) > 2
    ]
    if not drawn:
        return Refused("open-contour", f"{called} has only contours of fewer than three points, which enclose nothing")
    try:
        return _fill(roi, called, drawn, grid)
    except Verdict as verdict:
        return Refused(verdict.reason, verdict.detail)


def _fill(roi: Roi, called: str, drawn: Sequence[Points], grid: Grid) -> Found:
    """The mask of closed contours, given in voxel indices (x, y, z)."""
    axis = int(np.argmin(np.max([np.ptp(points, axis=0) for points in drawn], axis=0)))
    flat = [axis_ for axis_ in range(3) if axis_ != axis]
    for points in drawn:
        if np.abs(points[:, axis] - points[:, axis].mean()).max() > OFF_PLANE:
            raise Verdict("not-planar", f"a contour of {called} does not lie in a plane of the image")
    planes = _planes([float(points[:, axis].mean()) for points in drawn])
    sizes = grid.shape[::-1]
    chosen, absent, resampled = _assign(planes, sizes[axis])
    if absent:
        raise Verdict(
            "absent-slices",
            f"{absent} contour planes of {called} lie on slices that the image does not have; convert the whole series",
        )
    shape = (sizes[flat[1]], sizes[flat[0]])
    _refuse_outside(called, [drawn[i][:, flat] for i in range(len(drawn))], shape)
    try:
        filled = {k: fill([drawn[i][:, flat] for i in planes[plane]], shape) for k, plane in chosen.items()}
    except SelfCrossingError:
        raise Verdict("self-crossing-contour", f"a contour of {called} crosses itself; draw it again") from None
    return Found(roi.structure, _piece(filled, axis, resampled))


def _planes(places: Sequence[float]) -> dict[float, list[int]]:
    """Contours by the plane that they lie on: those within a tenth of a step of the first are together."""
    planes: dict[float, list[int]] = defaultdict(list)
    current = -np.inf
    for index in np.argsort(places, kind="stable"):
        if places[index] - current > SAME_VOXEL / 2:
            current = places[index]
        planes[float(current)].append(int(index))
    return planes


def _assign(planes: Mapping[float, Sequence[int]], count: int) -> tuple[dict[int, float], int, bool]:
    """Grid plane → contour plane; number of contour planes off the grid; whether they were drawn on other planes."""
    places = np.array(list(planes))
    nearest = np.rint(places).astype(int)
    if np.abs(places - nearest).max() <= SAME_VOXEL and len(set(nearest)) == len(nearest):
        inside = (nearest >= 0) & (nearest < count)
        chosen = {int(k): float(p) for k, p in zip(nearest[inside], places[inside], strict=True)}
        return chosen, int((~inside).sum()), False
    steps = np.diff(places)
    is_stack = len(steps) > 1 and steps.max() <= _REGULAR * steps.min()
    reach = float(steps.min()) / 2 if is_stack or (len(steps) and steps.min() < 1) else 0.5
    absent = int(((places < -0.5 - reach) | (places > count - 0.5 + reach)).sum())
    chosen = {}
    for k in range(max(0, int(np.floor(places[0] - reach))), min(count, int(np.ceil(places[-1] + reach)) + 1)):
        closest = float(places[np.argmin(np.abs(places - k))])
        if abs(closest - k) <= reach + 1e-6:
            chosen[k] = closest
    return chosen, absent, True


def _refuse_outside(called: str, contours: Sequence[Points], shape: tuple[int, int]) -> None:
    """Contours that run beyond the image by more than a pixel show that they are of another one."""
    reach = max(float(max(-points.min(), (points - np.array(shape[::-1]) + 1).max())) for points in contours)
    if reach > 1.5:
        raise Verdict(
            "outside-image",
            f"the contours of {called} reach {reach:.0f} voxels beyond the image; give the one that they are of",
        )


def _piece(filled: Mapping[int, npt.NDArray[np.bool_]], axis: int, resampled: bool) -> Piece | None:
    """The filled planes as the smallest box round them."""
    kept = {k: plane for k, plane in filled.items() if plane.any()}
    if not kept:
        return None
    low, high = min(kept), max(kept)
    union = np.logical_or.reduce(list(kept.values()))
    rows, columns = bounds(union) or (slice(0, 0), slice(0, 0))
    stack = np.zeros((high - low + 1, rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    for k, plane in kept.items():
        stack[k - low] = plane[rows, columns]
    corner = [rows.start, columns.start]
    corner.insert(2 - axis, low)
    return Piece(np.ascontiguousarray(np.moveaxis(stack, 0, 2 - axis)), tuple(corner), 0, resampled)


def _rois(dataset: Dataset, identifiers: Identifiers) -> Iterator[Roi]:
    contours = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or ()}
    observed: dict[int, Dataset] = {}
    for item in dataset.get("RTROIObservationsSequence") or ():
        observed.setdefault(int(item.ReferencedROINumber), item)
    for item in dataset.get("StructureSetROISequence") or ():
        number = int(item.ROINumber)
        structure = _structure(item, observed.get(number, Dataset()), number, identifiers)
        drawn = contours.get(number, Dataset()).get("ContourSequence") or ()
        yield Roi(number, structure, tuple(_contour(contour, number) for contour in drawn))


def _structure(item: Dataset, observed: Dataset, number: int, identifiers: Identifiers) -> Structure:
    code = code_of(observed, "RTROIIdentificationCodeSequence", identifiers)
    region = code_of(observed, "AnatomicRegionSequence", identifiers)
    phrase = phrase_of(
        item.get("ROIName"), identifiers, [observed.get("ROIObservationLabel"), code.meaning if code else None]
    )
    known: dict[str, Any] = {"roi": number}
    known |= {"anatomic_region": region.packed()} if region else {}
    interpreted = str(observed.get("RTROIInterpretedType") or "")
    if interpreted in _INTERPRETED:
        known["interpreted_type"] = interpreted
    if item.get("ROIGenerationAlgorithm") in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"):
        known["algorithm"] = str(item.ROIGenerationAlgorithm)
    return Structure(str(number), phrase, side_of(observed) or laterality_of(phrase), code, known)


def _contour(item: Dataset, number: int) -> Contour:
    """A contour in RAS+ mm. The numbers are read as bytes: one object a coordinate would take ten times as long."""
    element = item.get_item(_CONTOUR_DATA)
    raw = element.value if isinstance(element, RawDataElement) else None
    try:
        texts = raw.split(b"\\") if isinstance(raw, bytes) else list(item.get("ContourData") or ())
        numbers = np.array([float(text) for text in texts], dtype=np.float64)
        if numbers.size % 3 or not np.isfinite(numbers).all():
            raise ValueError
    except (TypeError, ValueError):
        raise Verdict("unreadable-contours", f"a contour of ROI {number} is not a list of points x, y, z") from None
    points = numbers.reshape(-1, 3) @ LPS_TO_RAS[:3, :3].T
    if len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    return Contour(str(item.get("ContourGeometricType", "")), points)
