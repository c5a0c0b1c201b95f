"""From planes to a volume: order, step and affine from position and orientation tags, or a verdict by name.

Source: DICOM PS3.3 C.7.6.2.1.1 (the image plane equation). File names, InstanceNumber and SliceLocation are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.orientation import LPS_TO_RAS, Affine
from voxtile_medical.verdicts import Verdict

ORIENTATION_TOLERANCE = 1e-3  # largest difference of a direction cosine within a volume
UNIT_TOLERANCE = 1e-2  # of the length and the right angle of the direction cosines
SAME_PLACE_MM = 1e-3
STEP_TOLERANCE = 0.2  # of a step: positions are often rounded to 0.1 mm
EQUAL_STEPS = 0.05  # of a step: what varies less is not named
ROUNDED_MM = 0.1  # to which some writers round positions
GRID_TOLERANCE = 0.2  # of a step: how far a plane may lie from the regular grid
TILT_DEGREES = 0.5  # between the stacking direction and the planes' normal; more is a sheared volume

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Planes in order along their normal.

    Attributes:
        frames: ordered.
        affine: [4, 4], voxel (column, row, plane, 1) → RAS+ mm.
        steps: smallest and largest step between planes, mm, where they vary by more than rounding; else None.
    """

    frames: tuple[Frame, ...]
    affine: Affine
    steps: tuple[float, float] | None = None


def stack_frames(frames: Sequence[Frame], min_slices: int) -> Stack:
    """Order the planes of one volume and find its affine.

    Raises:
        Verdict: `mixed-orientations`, `invalid-orientation`, `inconsistent-size`, `duplicates`, `too-few-slices`,
            `missing-slice`, `unequal-steps` or `tilted`.
    """
    columns_to, rows_to, normal = _directions(frames)
    spacing = np.array([frame.spacing for frame in frames])
    if np.ptp(spacing, axis=0).max() > 1e-3 * spacing.min():
        raise Verdict("inconsistent-size", "the pixel spacing differs between the planes of the volume")
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    steps = np.diff(positions @ normal)
    if len(steps) and steps.min() < SAME_PLACE_MM:
        raise Verdict("duplicates", "several planes lie at the same place and nothing in the header tells them apart")
    if len(frames) < min_slices:
        raise Verdict("too-few-slices", f"{len(frames)} planes; at least {min_slices} make a volume (--min-slices)")
    _check_steps(steps, np.array([np.nan if frames[i].thickness is None else frames[i].thickness for i in order]))
    step = (positions[-1] - positions[0]) / (len(positions) - 1) if len(positions) > 1 else normal
    _check_grid(positions, step, normal)
    lps = np.eye(4)
    lps[:3, 0] = columns_to * frames[0].spacing[1]
    lps[:3, 1] = rows_to * frames[0].spacing[0]
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    return Stack(tuple(frames[i] for i in order), LPS_TO_RAS @ lps, _varying(steps, positions))


def _directions(frames: Sequence[Frame]) -> tuple[Points, Points, Points]:
    """Unit vectors along increasing column index, along increasing row index, and normal to both."""
    orientations = np.array([frame.orientation for frame in frames], dtype=np.float64)
    if np.ptp(orientations, axis=0).max() > ORIENTATION_TOLERANCE:
        raise Verdict("mixed-orientations", "the planes point in different directions, so they are not one volume")
    columns_to, rows_to = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm([columns_to, rows_to], axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(columns_to @ rows_to) > UNIT_TOLERANCE:
        raise Verdict("invalid-orientation", "the direction cosines are not two perpendicular unit vectors")
    normal = np.cross(columns_to, rows_to)
    return columns_to, rows_to, normal / np.linalg.norm(normal)


def _varying(steps: Points, positions: Points) -> tuple[float, float] | None:
    """Steps that are not equal, though nearly; those of positions that were rounded to 0.1 mm are."""
    if len(steps) == 0:
        return None
    spread = float(np.ptp(steps))
    rounded = np.abs(positions * 10 - np.round(positions * 10)).max() < 1e-4
    if spread <= max(EQUAL_STEPS * float(np.mean(steps)), 2 * ROUNDED_MM + 1e-6 if rounded else 0.0):
        return None
    return float(steps.min()), float(steps.max())


def _check_steps(steps: Points, thickness: Points) -> None:
    """Equal steps, or the name of what is wrong: a gap of whole steps is a missing plane, unless slices get thicker."""
    if len(steps) == 0:
        return
    typical = float(np.median(steps))
    if np.abs(steps - typical).max() <= STEP_TOLERANCE * typical:
        return
    if np.nanmax(thickness, initial=0.0) > (1 + STEP_TOLERANCE) * np.nanmin(thickness, initial=np.inf):
        raise Verdict(
            "unequal-steps",
            f"slices are {np.nanmin(thickness):.4g} to {np.nanmax(thickness):.4g} mm thick, and the step between them "
            f"varies from {steps.min():.4g} to {steps.max():.4g} mm",
        )
    in_steps = steps / steps.min()
    if np.abs(in_steps - np.round(in_steps)).max() <= STEP_TOLERANCE:
        missing = int(np.round(in_steps).sum() - len(steps))
        raise Verdict(
            "missing-slice",
            f"{missing} of {len(steps) + 1 + missing} planes are missing at a step of {steps.min():.4g} mm",
        )
    raise Verdict("unequal-steps", f"the step between planes varies from {steps.min():.4g} to {steps.max():.4g} mm")


def _check_grid(positions: Points, step: Points, normal: Points) -> None:
    """Planes above one another along their normal, on a regular grid."""
    length = float(np.linalg.norm(step))
    if len(positions) < 2:
        return
    angle = float(np.degrees(np.arccos(np.clip(step @ normal / length, -1, 1))))
    if angle > TILT_DEGREES:
        raise Verdict(
            "tilted", f"the planes are stacked {angle:.1f} degrees off their normal (gantry tilt without correction)"
        )
    grid = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - grid, axis=1).max() > GRID_TOLERANCE * length:
        raise Verdict("unequal-steps", "the planes do not lie on a regular grid")
