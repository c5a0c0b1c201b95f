"""Planes that lie on no right-angled, evenly spaced grid, interpolated onto one: gantry tilt, steps that vary.

Within a plane they are shifted (the planes stay parallel), between planes interpolated, linearly in both. The step is
the smallest of at least half the usual one: where a head is scanned in two parts, the one between these may be tiny.
No plane is cut: the picture grows by what the planes are shifted, as of dcm2niix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.dicom_planes.pixels import PixelArray
from voxtile_medical.orientation import LPS_TO_RAS, Affine
from voxtile_medical.verdicts import Verdict

MOST_PLANES = 4  # times as many as there were
MOST_GROWTH = 2  # times as wide or high
_ON_GRID = 1e-3  # voxel; nearer than this is not interpolated

_Plane: TypeAlias = "tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]"  # values, and where there are none


@dataclass(frozen=True)
class Regular:
    """A volume on a regular grid.

    Attributes:
        values: [Z, Y, X], of the number type that was given; whole numbers are rounded.
        empty: [Z, Y, X], where no plane has a value (beside the shifted planes) or it is padding.
        affine: [4, 4], voxel (column, row, plane, 1) → RAS+ mm.
    """

    values: PixelArray
    empty: npt.NDArray[np.bool_]
    affine: Affine


def on_regular_grid(
    values: PixelArray, frames: Sequence[Frame], padding: npt.NDArray[np.bool_] | None, fill: float
) -> Regular:
    """Interpolate parallel planes onto a right-angled grid with equal steps.

    Args:
        values: [Z, Y, X], plane k of frame k.
        frames: in order along their normal, with one orientation and spacing.
        padding: [Z, Y, X], where values are padding, which is not blended with others; None where there is none.
        fill: what stands where no plane has a value.

    Raises:
        Verdict: `unequal-steps` or `tilted`, the grid would be many times larger than the planes.
    """
    columns_to, rows_to = np.array(frames[0].orientation[:3]), np.array(frames[0].orientation[3:])
    normal = np.cross(columns_to, rows_to)
    spacing = np.array([frames[0].spacing[1], frames[0].spacing[0]])
    places = np.array([frame.position for frame in frames], dtype=np.float64)
    within = (places - places[0]) @ np.stack([columns_to, rows_to], axis=1) / spacing  # shift in voxels (x, y)
    whole = np.round(within)
    within = np.where(np.abs(within - whole) < _ON_GRID, whole, within)
    heights = (places - places[0]) @ normal / np.linalg.norm(normal)
    start, stop = np.floor(within.min(axis=0)).astype(int), np.ceil(within.max(axis=0)).astype(int)
    size = np.array(values.shape[:0:-1]) + stop - start  # (x, y)
    if (size > MOST_GROWTH * np.array(values.shape[:0:-1])).any():
        raise Verdict("tilted", "the planes are shifted by more than their own width, so that they are not resampled")
    targets = _targets(heights, len(frames))
    shape = (len(targets), int(size[1]), int(size[0]))
    out, empty = np.empty(shape, dtype=values.dtype), np.empty(shape, dtype=bool)
    upright = _Upright(values, padding, within - start, (shape[1], shape[2]))
    for k, (below, share) in enumerate(targets):
        plane, void = upright.plane(below)
        if share:
            plane, void = _between((plane, void), upright.plane(below + 1), share)
        plane = np.where(void & ~np.isfinite(plane), np.float64(fill), plane)
        out[k] = np.rint(plane) if values.dtype.kind in "iu" else plane
        empty[k] = void
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = columns_to * spacing[0], rows_to * spacing[1]
    lps[:3, 2] = normal / np.linalg.norm(normal) * _step(heights)
    lps[:3, 3] = places[0] + lps[:3, 0] * start[0] + lps[:3, 1] * start[1]
    return Regular(out, empty, LPS_TO_RAS @ lps)


def _step(heights: npt.NDArray[np.float64]) -> float:
    """The smallest step of at least half the usual one, mm; the mean where they are equal, rounding aside."""
    steps = np.diff(heights)
    if np.ptp(steps) < 0.05 * steps.mean():
        return float(steps.mean())
    return float(steps[steps >= np.median(steps) / 2].min())


def _targets(heights: npt.NDArray[np.float64], count: int) -> list[tuple[int, float]]:
    """For each plane of the grid the plane below it, and its distance from that as a share of the way to the next."""
    step = _step(heights)
    planes = int(np.floor(heights[-1] / step + 0.01)) + 1
    if planes > MOST_PLANES * count:
        raise Verdict("unequal-steps", f"resampling to a step of {step:.4g} mm would make {planes} planes of {count}")
    if planes == count and np.ptp(np.diff(heights)) < 0.05 * step:
        return [(k, 0.0) for k in range(count)]
    found: list[tuple[int, float]] = []
    for k in range(planes):
        height = min(k * step, float(heights[-1]))
        below = min(int(np.searchsorted(heights, height, side="right")) - 1, count - 2)
        share = float((height - heights[below]) / (heights[below + 1] - heights[below]))
        below, share = (below + 1, 0.0) if share > 1 - _ON_GRID else (below, share if share > _ON_GRID else 0.0)
        found.append((below, share))
    return found


class _Upright:
    """Planes shifted to stand above one another; the last two are kept."""

    def __init__(
        self,
        values: PixelArray,
        padding: npt.NDArray[np.bool_] | None,
        shifts: npt.NDArray[np.float64],
        shape: tuple[int, int],
    ) -> None:
        self._values, self._padding, self._shifts, self._shape = values, padding, shifts, shape
        self._kept: dict[int, _Plane] = {}

    def plane(self, index: int) -> _Plane:
        """[Y, X] values (NaN beside the plane) and where there are none."""
        if index not in self._kept:
            self._kept = {k: plane for k, plane in self._kept.items() if k == index - 1}
            self._kept[index] = self._shifted(index)
        return self._kept[index]

    def _shifted(self, index: int) -> _Plane:
        rows, columns = self._values.shape[1:]
        values = np.full(self._shape, np.nan, dtype=np.float64)
        void = np.ones(self._shape, dtype=bool)
        values[:rows, :columns] = self._values[index]
        void[:rows, :columns] = False if self._padding is None else self._padding[index]
        plane: _Plane = values, void
        for axis, shift in ((1, self._shifts[index, 0]), (0, self._shifts[index, 1])):
            whole = int(np.floor(shift))
            moved = _moved(plane, whole, axis)
            plane = _between(moved, _moved(plane, whole + 1, axis), shift - whole) if shift > whole else moved
        return plane


def _moved(plane: _Plane, by: int, axis: int) -> _Plane:
    """Moved towards higher indices; nothing of a plane reaches beyond the grid, so that rolling brings in no value."""
    return np.roll(plane[0], by, axis), np.roll(plane[1], by, axis)


def _between(one: _Plane, other: _Plane, share: float) -> _Plane:
    """Linear interpolation; beside padding the nearer of the two, and nothing beside the end of a plane (NaN)."""
    nearer = one if share < 0.5 else other
    void = one[1] | other[1]
    blended = one[0] * np.float64(1 - share) + other[0] * np.float64(share)
    beyond = np.isnan(blended)
    return np.where(void & ~beyond, nearer[0], blended), (void & nearer[1]) | beyond
