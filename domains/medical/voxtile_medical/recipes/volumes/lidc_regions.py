"""Nodules of several readers to regions: one for each nodule, where at least half of those who marked it agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.orientation import LPS_TO_RAS
from voxtile_medical.recipes.volumes.lidc_readings import Nodule, Outline
from voxtile_medical.segmentations.contours import SelfCrossingError, fill
from voxtile_medical.segmentations.names import Structure
from voxtile_medical.segmentations.placement import Grid, Piece
from voxtile_medical.segmentations.regions import Found, Refused
from voxtile_medical.verdicts import Verdict

PHRASE = "pulmonary nodule"
_AXIAL = 0.999  # of the slice normal's part along the patient
_OFF = 0.25  # of a voxel: how far an outline may lie from the sample's own voxels

Voxels = npt.NDArray[np.int64]  # flat indices on the grid


@dataclass(frozen=True)
class Slices:
    """How the slices of a series lie, by the header of one of them.

    Attributes:
        position: ImagePositionPatient.
        orientation: ImageOrientationPatient.
        spacing: PixelSpacing: between rows, between columns, mm.
    """

    position: Sequence[float]
    orientation: Sequence[float]
    spacing: Sequence[float]

    def check(self) -> None:
        """Refuse slices that are not axial, on which an outline's place is not known from its z alone.

        Raises:
            Verdict: `mixed-orientations`.
        """
        along = np.array(self.orientation).reshape(2, 3)
        if abs(np.cross(along[0], along[1])[2]) < _AXIAL:
            raise Verdict("mixed-orientations", "the slices are not axial; outlines are placed on axial ones alone")

    def to_ras(self, outline: Outline) -> npt.NDArray[np.float64]:
        """The points of an outline, [N, 3] RAS+ mm."""
        along = np.array(self.orientation).reshape(2, 3)
        columns, rows = outline.points[:, :1], outline.points[:, 1:]
        lps = np.array(self.position) + columns * along[0] * self.spacing[1] + rows * along[1] * self.spacing[0]
        lps[:, 2] = outline.z
        ras: npt.NDArray[np.float64] = lps @ LPS_TO_RAS[:3, :3].T
        return ras


def place_nodules(readers: int, nodules: Sequence[Nodule], slices: Slices, grid: Grid) -> list[Found | Refused]:
    """One region for each nodule on a grid, and what gives none.

    Args:
        readers: how many read the scan.
        nodules: as each of them marked it.
        slices: how the slices of the series lie.
        grid: of the sample.
    """
    slices.check()
    found: list[Found | Refused] = []
    placed: list[tuple[Nodule, Voxels]] = []
    points = 0
    for nodule in nodules:
        if all(len(outline.points) < 2 for outline in nodule.outlines):
            points += 1
            continue
        try:
            voxels = _voxels(nodule, slices, grid)
        except Verdict as verdict:
            found.append(Refused(verdict.reason, f"{nodule.name} of reader {nodule.reader}: {verdict.detail}"))
            continue
        if len(voxels):
            placed.append((nodule, voxels))
        else:
            found.append(Refused("no-voxel", f"{nodule.name} of reader {nodule.reader} encloses no voxel centre"))
    if points:
        found.append(Refused("point-contour", f"{points} marks are points, of nodules under 3 mm"))
    for number, group in enumerate(_same_nodule(placed), start=1):
        found.append(Found(_structure(str(number), readers, [nodule for nodule, _ in group]), _agreed(group, grid)))
    return found


def _voxels(nodule: Nodule, slices: Slices, grid: Grid) -> Voxels:
    """What lies inside the outlines of one reader."""
    planes: dict[int, list[tuple[bool, npt.NDArray[np.float64]]]] = defaultdict(list)
    to_index = grid.to_index
    for outline in nodule.outlines:
        index = slices.to_ras(outline) @ to_index[:3, :3].T + to_index[:3, 3]
        whole = np.rint(index)
        if np.abs(index - whole).max() > _OFF:
            raise Verdict("other-series", "an outline lies between the voxels of the image: it is of another series")
        if not 0 <= whole[0, 2] < grid.shape[0]:
            raise Verdict("absent-slices", "an outline lies on a slice that the image does not have")
        planes[int(whole[0, 2])].append((outline.is_hole, whole[:, :2]))
    held: list[Voxels] = []
    plane = (grid.shape[1], grid.shape[2])
    for z, drawn in planes.items():
        try:
            inside, holes = (
                fill([points for is_hole, points in drawn if is_hole is wanted], plane, with_path=False)
                for wanted in (False, True)
            )
        except SelfCrossingError:
            raise Verdict("self-crossing-contour", "an outline crosses itself, so that its inside is unclear") from None
        y, x = np.nonzero(inside & ~holes)
        held.append(np.ravel_multi_index((np.full(len(y), z), y, x), grid.shape))
    return np.unique(np.concatenate(held)) if held else np.array([], np.int64)


def _same_nodule(placed: Sequence[tuple[Nodule, Voxels]]) -> list[list[tuple[Nodule, Voxels]]]:
    """Marks that share a voxel are of one nodule."""
    groups: list[list[tuple[Nodule, Voxels]]] = []
    for mark in placed:
        touching = [group for group in groups if any(len(np.intersect1d(mark[1], other[1])) for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([mark, *(other for group in touching for other in group)])
    return sorted(groups, key=lambda group: min(int(voxels[0]) for _, voxels in group))


def _agreed(group: Sequence[tuple[Nodule, Voxels]], grid: Grid) -> Piece:
    """The voxels that at least half of the readers marked who marked the nodule."""
    by_reader: dict[int, list[Voxels]] = defaultdict(list)
    for nodule, voxels in group:
        by_reader[nodule.reader].append(voxels)
    marked = [np.unique(np.concatenate(parts)) for parts in by_reader.values()]
    voxels, counts = np.unique(np.concatenate(marked), return_counts=True)
    places = np.stack(np.unravel_index(voxels[2 * counts >= len(marked)], grid.shape), axis=1)
    low = places.min(axis=0)
    array = np.zeros(tuple(places.max(axis=0) - low + 1), dtype=bool)
    array[tuple((places - low).T)] = True
    return Piece(array, tuple(int(v) for v in low))


def _structure(key: str, readers: int, nodules: Sequence[Nodule]) -> Structure:
    readings = [
        {"reader": nodule.reader, "name": nodule.name, **nodule.characteristics}
        for nodule in sorted(nodules, key=lambda nodule: (nodule.reader, nodule.name))
    ]
    attributes: Mapping[str, Any] = {
        "readers": readers,
        "marked_by": len({nodule.reader for nodule in nodules}),
        "readings": readings,
    }
    return Structure(key, PHRASE, attributes=attributes)
