"""Sizes as a report gives them: rounded to what was measured, in millimetres or centimetres."""

from __future__ import annotations

import math
from collections.abc import Sequence

LENGTHS_MM = {"um": 0.001, "µm": 0.001, "mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1_000_000.0}
_STEPS_MM = (10.0, 5.0, 1.0, 0.1)
_FEWEST_MM_IN_CM = 10.0  # below, the field says millimetres


def rounded_mm(length_mm: float, spacing_mm: float | None = None) -> float:
    """A measured length, rounded to a step no finer than the grid that it was measured on.

    Args:
        length_mm: as computed.
        spacing_mm: of the voxels in the plane, where known; one millimetre is meant where it is not. The steps are 0.1,
            1, 5 and 10 mm: the largest that is not larger than the spacing, but 1 mm from 0.3 mm on.
    """
    grid = 1.0 if spacing_mm is None or 0.3 <= spacing_mm < 1 else spacing_mm
    step = next((step for step in _STEPS_MM if step <= grid), _STEPS_MM[-1])
    return max(step, round(math.floor(length_mm / step + 0.5) * step, 6))


def size_text(lengths: Sequence[float], unit: str, *, in_cm: bool = False) -> str | None:
    """`67 mm`, `6.7 cm` or `34 x 21 mm`; None where there is no length.

    Args:
        lengths: one a direction.
        unit: of the lengths: µm, mm, cm, m or km.
        in_cm: say centimetres where the field would say either, and nothing is lost by it.
    """
    if unit not in LENGTHS_MM or not lengths or not all(math.isfinite(value) and value > 0 for value in lengths):
        return None
    if unit in ("mm", "cm"):
        millimetres = [value * LENGTHS_MM[unit] for value in lengths]
        whole = all(abs(value - round(value)) < 1e-6 for value in millimetres)
        in_cm = in_cm and whole and min(millimetres) >= _FEWEST_MM_IN_CM
        unit = "cm" if in_cm else "mm"
        lengths = [value / 10 for value in millimetres] if in_cm else millimetres
    decimals = 1 if unit in ("mm", "cm") else 0
    texts = [_plain(value, decimals) for value in lengths]
    return f"{' x '.join(texts)} {unit}" if all(float(text) > 0 for text in texts) else None


def _plain(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
