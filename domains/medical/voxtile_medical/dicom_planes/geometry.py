"""From planes to a volume: order, step and affine from position and orientation tags, or a verdict by name.

Source: DICOM PS3.3 C.7.6.2.1.1 (the image plane equation). File names, InstanceNumber and SliceLocation are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
MOST_TILT_DEGREES = 45.0  # no gantry tilts by more than 30

TiltedChoice: TypeAlias = Literal["refuse", "shear", "resample"]
UnequalChoice: TypeAlias = Literal["refuse", "resample"]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GridChoice:
    """What is made of planes that lie on no right-angled, evenly spaced grid.

    Attributes:
        tilted: stacked off their normal: refused, stored as they are with a sheared affine, or resampled.
        unequal: with steps that vary: refused or resampled; missing planes are always refused.
    """

    tilted: TiltedChoice = "refuse"
    unequal: UnequalChoice = "refuse"


REFUSE = GridChoice()


@dataclass(frozen=True)
class Stack:
    """Planes in order along their normal.

    Attributes:
        frames: ordered.
        affine: [4, 4], voxel (column, row, plane, 1) → RAS+ mm.
        steps: smallest and largest step between planes, mm, where they vary by more than rounding; else None.
        tilt: degrees between the stacking direction and the planes' normal, where it is more than rounding; else 0.
        irregular: the planes are to be resampled, and the affine is only a mean.
    """

    frames: tuple[Frame, ...]
    affine: Affine
    steps: tuple[float, float] | None = None
    tilt: float = 0.0
    irregular: bool = False


def stack_frames(frames: Sequence[Frame], min_slices: int, choice: GridChoice = REFUSE) -> Stack:
    """Order the planes of one volume and find its affine.

    Args:
        frames: planes of one volume, in any order.
        min_slices: fewest planes of a volume.
        choice: what is made of planes on no right-angled, evenly spaced grid.

    Raises:
        Verdict: `mixed-orientations`, `invalid-orientation`, `inconsistent-size`, `duplicates`, `too-few-slices`,
            `missing-slice`, `unequal-steps` or `tilted`.
    """
    columns_to, rows_to, normal = _directions(frames)
    spacings = [*dict.fromkeys(tuple(frame.spacing) for frame in frames)]
    if len(spacings) > 1 and np.ptp(spacings, axis=0).max() > 1e-3 * np.min(spacings):
        raise Verdict("inconsistent-size", "the pixel spacing differs between the planes of the volume")
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    steps = np.diff(positions @ normal)
    if len(steps) and steps.min() < SAME_PLACE_MM:
        raise Verdict("duplicates", "several planes lie at the same place and nothing in the header tells them apart")
    if len(frames) < min_slices:
        raise Verdict("too-few-slices", f"{len(frames)} planes; at least {min_slices} make a volume (--min-slices)")
    thickness = np.array([np.nan if frames[i].thickness is None else frames[i].thickness for i in order])
    unequal = _check_steps(steps, thickness, _rounding(positions), choice.unequal)
    alone = normal * (frames[0].thickness or 1.0)  # a single plane is as thick as it says
    step = (positions[-1] - positions[0]) / (len(positions) - 1) if len(positions) > 1 else alone
    unequal |= _check_grid(positions, step, choice.unequal if not unequal else "resample")
    tilt = _check_tilt(positions, step, normal, choice.tilted)
    lps = np.eye(4)
    lps[:3, 0] = columns_to * frames[0].spacing[1]
    lps[:3, 1] = rows_to * frames[0].spacing[0]
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    varying = _varying(steps, positions)
    unequal |= varying is not None and choice.unequal == "resample"
    irregular = unequal or (tilt > 0 and choice.tilted == "resample")
    return Stack(tuple(frames[i] for i in order), LPS_TO_RAS @ lps, varying, tilt, irregular)


def _directions(frames: Sequence[Frame]) -> tuple[Points, Points, Points]:
    """Unit vectors along increasing column index, along increasing row index, and normal to both."""
    orientations = np.array([*dict.fromkeys(tuple(frame.orientation) for frame in frames)], dtype=np.float64)
    if len(orientations) > 1 and np.ptp(orientations, axis=0).max() > ORIENTATION_TOLERANCE:
        raise Verdict("mixed-orientations", "the planes point in different directions, so they are not one volume")
    columns_to, rows_to = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm([columns_to, rows_to], axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(columns_to @ rows_to) > UNIT_TOLERANCE:
        raise Verdict("invalid-orientation", "the direction cosines are not two perpendicular unit vectors")
    normal = cross(columns_to, rows_to)
    return columns_to, rows_to, normal / np.linalg.norm(normal)


def cross(one: Sequence[float] | Points, other: Sequence[float] | Points) -> Points:
    """The product that is at right angles to two vectors; what `numpy.cross` gives, in a tenth of its time."""
    (a, b, c), (d, e, f) = map(float, one), map(float, other)
    return np.array([b * f - c * e, c * d - a * f, a * e - b * d])


def _varying(steps: Points, positions: Points) -> tuple[float, float] | None:
    """Steps that are not equal, though nearly; those of positions that were rounded to 0.1 mm are."""
    if len(steps) == 0:
        return None
    spread = float(np.ptp(steps))
    if spread <= max(EQUAL_STEPS * float(np.mean(steps)), _rounding(positions)):
        return None
    return float(steps.min()), float(steps.max())


def _rounding(positions: Points) -> float:
    """By how many mm steps differ because positions were rounded; 0 where they were not."""
    rounded = np.abs(positions * 10 - np.round(positions * 10)).max() < 1e-4
    return 2 * ROUNDED_MM + 1e-6 if rounded else 0.0


def _check_steps(steps: Points, thickness: Points, rounding: float, unequal: UnequalChoice) -> bool:
    """Whether steps are to be made equal; a gap of whole steps is a missing plane, unless slices get thicker.

    Raises:
        Verdict: `missing-slice`, or `unequal-steps` unless they are resampled.
    """
    if len(steps) == 0:
        return False
    spread = np.ptp(steps)
    if spread <= STEP_TOLERANCE * steps.min() or spread <= max(STEP_TOLERANCE * float(np.median(steps)), rounding):
        return False
    if np.nanmax(thickness, initial=0.0) > (1 + STEP_TOLERANCE) * np.nanmin(thickness, initial=np.inf):
        if unequal == "resample":
            return True
        raise Verdict(
            "unequal-steps",
            f"slices are {np.nanmin(thickness):.4g} to {np.nanmax(thickness):.4g} mm thick, and the step between them "
            f"varies from {steps.min():.4g} to {steps.max():.4g} mm; --unequal-steps resample makes them equal",
        )
    usual = float(np.median(steps))
    # Slices lie side by side, and a step is tiny: the second part of a scan begins there, and nothing is missing.
    are_beside = usual <= (1 + STEP_TOLERANCE) * thickness.min() and steps.max() < (2 - STEP_TOLERANCE) * usual
    in_steps = steps / steps.min()
    if not (are_beside and steps.min() < usual / 2) and np.abs(in_steps - np.round(in_steps)).max() <= STEP_TOLERANCE:
        missing = int(np.round(in_steps).sum() - len(steps))
        raise Verdict(
            "missing-slice",
            f"{missing} of {len(steps) + 1 + missing} planes are missing at a step of {steps.min():.4g} mm",
        )
    if unequal == "resample":
        return True
    raise Verdict(
        "unequal-steps",
        f"the step between planes varies from {steps.min():.4g} to {steps.max():.4g} mm; --unequal-steps resample "
        "makes them equal",
    )


def _check_tilt(positions: Points, step: Points, normal: Points, tilted: TiltedChoice) -> float:
    """Degrees between the stacking direction and the planes' normal; 0 where rounding explains them.

    Raises:
        Verdict: `tilted`, unless that is wanted.
    """
    if len(positions) < 2:
        return 0.0
    angle = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if angle <= TILT_DEGREES:
        return 0.0
    if tilted == "refuse" or angle > MOST_TILT_DEGREES:
        raise Verdict(
            "tilted",
            f"the planes are stacked {angle:.1f} degrees off their normal (gantry tilt without correction); --tilted "
            "shear stores them with a sheared affine, --tilted resample makes them upright",
        )
    return angle


def _check_grid(positions: Points, step: Points, unequal: UnequalChoice) -> bool:
    """Whether planes are to be brought onto a regular grid.

    Raises:
        Verdict: `unequal-steps`, unless they are resampled.
    """
    if len(positions) < 2:
        return False
    grid = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - grid, axis=1).max() <= GRID_TOLERANCE * float(np.linalg.norm(step)):
        return False
    if unequal == "refuse":
        raise Verdict("unequal-steps", "the planes do not lie on a regular grid; --unequal-steps resample makes them")
    return True
