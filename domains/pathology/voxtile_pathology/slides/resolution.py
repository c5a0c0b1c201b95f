"""Micrometres a pixel: what the file states, and whether that can be."""

from __future__ import annotations

import math

from voxtile_pathology.slides.protocol import Slide, SlideError, SlideWarning

# Light microscopy resolves about 0.2 µm and scanners sample it at 0.1 to 4 µm a pixel. 352.8 µm is the 72 dpi that
# programs write who do not know the scale.
_LEAST_MPP, _MOST_MPP = 0.02, 100.0
# A 10x objective on the usual 10 µm camera pixel gives 1 µm, 20x 0.5 µm, 40x 0.25 µm.
_MPP_OF_ONE_FOLD = 10.0
_ALLOWED_DISAGREEMENT = 1.5
# From macro lenses to oil immersion at 150x.
_OBJECTIVES = 0.1, 200.0


def checked_mpp(
    x: float | None, y: float | None, objective: float | None
) -> tuple[tuple[float, float] | None, tuple[SlideWarning, ...]]:
    """What the tags say of the scale, if it is possible.

    Args:
        x: micrometres a pixel along x, or None where the file is silent; the other axis then stands for it.
        y: the same along y.
        objective: magnification, or None.

    Returns:
        The scale, or None where it is absent or impossible, and what is odd about it.
    """
    stated_x, stated_y = (x if x is not None else y), (y if y is not None else x)
    if stated_x is None or stated_y is None:
        return None, ()
    if not all(math.isfinite(value) and _LEAST_MPP <= value <= _MOST_MPP for value in (stated_x, stated_y)):
        detail = f"the file states {stated_x:g} x {stated_y:g} µm a pixel, which no microscope gives"
        return None, (SlideWarning("impossible-mpp", detail),)
    warnings: tuple[SlideWarning, ...] = ()
    if objective is not None and math.isfinite(objective) and objective > 0:
        usual = _MPP_OF_ONE_FOLD / objective
        ratio = (stated_x * stated_y) ** 0.5 / usual
        if max(ratio, 1 / ratio) > _ALLOWED_DISAGREEMENT:
            detail = (
                f"the file states {stated_x:g} µm a pixel and a {objective:g}x objective, "
                f"which usually gives {usual:g}; the stated µm are used"
            )
            warnings = (SlideWarning("mpp-objective-mismatch", detail),)
    return (stated_x, stated_y), warnings


def possible_objective(magnification: float | None) -> float | None:
    """The magnification that a file states, or None where it states none that an objective has."""
    least, most = _OBJECTIVES
    return magnification if magnification is not None and least <= magnification <= most else None


def slide_mpp(slide: Slide, assume: float | None = None) -> tuple[float, float]:
    """The scale of level 0 to work with, in micrometres a pixel (x, y).

    Args:
        slide: an open slide.
        assume: what the user says; counts only where the file states nothing possible.

    Raises:
        SlideError: neither the file nor the user says it.
    """
    if slide.mpp is not None:
        return slide.mpp
    if assume is not None:
        if not (math.isfinite(assume) and _LEAST_MPP <= assume <= _MOST_MPP):
            raise SlideError(f"--assume-mpp {assume:g} is not a scale; give micrometres a pixel, such as 0.25 or 0.5")
        return assume, assume
    odd = [warning.detail for warning in slide.warnings if warning.reason == "impossible-mpp"]
    reason = odd[0].removeprefix("the file ") if odd else "does not say how many micrometres a pixel is"
    raise SlideError(f"{slide.path.name} {reason}; if you know it, give --assume-mpp (0.25 for 40x, 0.5 for 20x)")
