"""T category of a carcinoma of the pancreas from its size and its contact with arteries.

AJCC Cancer Staging Manual, 8th edition, exocrine pancreas: T1 up to 2 cm (T1a up to 0.5 cm, T1b over 0.5 and under
1 cm, T1c from 1 to 2 cm), T2 over 2 and up to 4 cm, T3 over 4 cm, T4 with involvement of the coeliac axis, the superior
mesenteric artery or the common hepatic artery, whatever the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxtile_medical.measurements.vessel_contact import HALF

STAGING_ARTERIES = ("coeliac axis", "superior mesenteric artery", "common hepatic artery")


@dataclass(frozen=True)
class TStage:
    """A T category.

    Attributes:
        name: T1a, T1b, T1c, T2, T3 or T4.
        number: 1 to 4.
        basis: what decided.
        firm: no artery is touched by 180 degrees or less, which the manual's "involvement" leaves open, and all three
            arteries were looked at.
    """

    name: str
    number: int
    basis: str
    firm: bool


def pancreas_t_stage(size_mm: float, degrees: Mapping[str, float]) -> TStage:
    """Category of a tumour.

    Args:
        size_mm: its longest diameter.
        degrees: artery → contact angle; 0 where it is not touched, absent where the artery has no mask.
    """
    around = {artery: degrees[artery] for artery in STAGING_ARTERIES if artery in degrees}
    encased = [artery for artery in around if around[artery] > HALF]
    if encased:
        return TStage("T4", 4, f"{around[encased[0]]:.0f} degrees around the {encased[0]}", True)
    name, number = _by_size(size_mm)
    touched = any(around.values())
    return TStage(name, number, f"size {size_mm:.1f} mm", not touched and len(around) == len(STAGING_ARTERIES))


def _by_size(size_mm: float) -> tuple[str, int]:
    if size_mm <= 5:
        return "T1a", 1
    if size_mm < 10:
        return "T1b", 1
    if size_mm <= 20:
        return "T1c", 1
    return ("T2", 2) if size_mm <= 40 else ("T3", 3)
