"""What the numbers of a medical header can be, by modality: spacing, scale and place that no scanner gives are refused.

The limits are wide: they are there for damage and for lies (a slope of 0, a voxel of 1e30 mm), and not to judge a
protocol. A value outside is the file's failure by name, never a silent default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxtile_medical.verdicts import Verdict


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that can be."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside; NaN does not."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Plausible:
    """What can be of one modality.

    Attributes:
        spacing_mm: between voxels or pixels in their plane, and between planes.
        slope: size of the factor from stored to physical values.
        falls: the slope may be negative: bright is little.
        intercept: physical value of the stored 0.
    """

    spacing_mm: Range
    slope: Range
    intercept: Range
    falls: bool = False


# A scanner's bed travels 2 m and a gantry is 1 m across; frames of reference lie within some metres (PS3.3 C.7.4.1).
MOST_POSITION_MM = 1e5

LIMITS: Mapping[str, Plausible] = {
    # Spacing: micro-CT of specimens has 1 µm, localizers and survey stacks up to 0.1 m. Slope: CT numbers are stored
    # at 1 HU a step (PS3.3 C.8.2.1.1.7), spectral maps at down to 0.0001 of their unit, none beyond 1,000. Intercept:
    # -1024 as a rule, -8192 for extended scales; metal reaches 30,000 HU.
    "CT": Plausible(Range(1e-3, 1e2), Range(1e-6, 1e3), Range(-1e5, 1e5)),
    # Spacing: MR microscopy has 10 µm, survey stacks 0.1 m. Slope: a stored value is a signal without a unit, or a
    # map: diffusion in m²/s is 1e-9, field maps in Hz and T1 in ms reach 1e5.
    "MR": Plausible(Range(1e-3, 2e2), Range(1e-13, 1e6), Range(-1e9, 1e9)),
    # Spacing: small-animal scanners have 0.2 mm, clinical ones 2 to 6 mm. Slope: 15 bits hold up to 1e9 Bq/ml (3e4 a
    # step) and down to 1e-4 SUV (3e-9 a step). The intercept is 0 (PS3.3 C.8.9.1), a few writers shift it.
    "PT": Plausible(Range(1e-2, 2e2), Range(1e-12, 1e8), Range(-1e9, 1e9)),
    # Radiographs, at the detector: mammography 0.05 mm, computed radiography 0.2 mm, dental scans down to 0.01 mm. The
    # slope may be negative: film density falls with exposure (PS3.3 C.11.1).
    "radiograph": Plausible(Range(1e-3, 1e1), Range(1e-6, 1e6), Range(-1e9, 1e9), falls=True),
    # Anything else, as NIfTI files hold it: from microscopy (0.1 µm) to grids of a landscape in metres.
    "other": Plausible(Range(1e-4, 1e5), Range(1e-15, 1e15), Range(-1e15, 1e15), falls=True),
}
_RADIOGRAPHS = frozenset({"CR", "DX", "MG", "RG", "PX", "IO"})


def limits_of(modality: str) -> Plausible:
    """The limits of a DICOM modality."""
    return LIMITS["radiograph" if modality in _RADIOGRAPHS else modality if modality in LIMITS else "other"]


def check_scale(slope: float, intercept: float, modality: str, *, slope_name: str = "RescaleSlope") -> None:
    """Refuse a scale from stored to physical values that cannot be.

    Raises:
        Verdict: `implausible-scale`.
    """
    limits = limits_of(modality)
    size = abs(slope) if limits.falls else slope
    if not limits.slope.holds(size):
        raise Verdict(
            "implausible-scale",
            f"{slope_name} is {slope:g}, and {modality or 'an image'} has {_range(limits.slope)}; write the file again",
        )
    if not limits.intercept.holds(intercept):
        raise Verdict(
            "implausible-scale",
            f"the physical value of a stored 0 is {intercept:g}, and {modality or 'an image'} has "
            f"{_range(limits.intercept)}; write the file again",
        )


def check_spacing(spacing: Sequence[float], modality: str, *, name: str = "PixelSpacing") -> None:
    """Refuse distances between voxels (mm) that cannot be.

    Raises:
        Verdict: `implausible-spacing`.
    """
    limits = limits_of(modality).spacing_mm
    wrong = next((value for value in spacing if not limits.holds(value)), None)
    if wrong is not None:
        raise Verdict(
            "implausible-spacing",
            f"{name} is {wrong:g} mm, and {modality or 'an image'} has {_range(limits)} mm; write the file again",
        )


def check_position(position: Sequence[float]) -> None:
    """Refuse a place (mm) that no room holds.

    Raises:
        Verdict: `implausible-position`.
    """
    wrong = next((value for value in position if not abs(value) <= MOST_POSITION_MM), None)
    if wrong is not None:
        raise Verdict(
            "implausible-position",
            f"a plane lies {wrong:g} mm from the origin, more than {MOST_POSITION_MM / 1000:g} m; write the file again",
        )


def is_finite(value: object) -> bool:
    """The value is a number, and neither NaN nor infinite."""
    return isinstance(value, int | float) and math.isfinite(value)


def _range(limits: Range) -> str:
    return f"{limits.low:g} to {limits.high:g}"
