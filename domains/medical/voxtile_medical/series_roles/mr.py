"""Weighting and contrast of an MR series.

Times in ms. The limits are the textbook ones: short TR and TE weigh by T1, long ones by T2, long TR with a short TE by
proton density (Westbrook and Talbot, MRI in Practice, 5th ed., chapter 2); an inversion at 1,700 to 3,000 ms with a
long TE nulls fluid (Hajnal et al. 1992, J Comput Assist Tomogr 16:841), at 80 to 260 ms fat (Bydder and Young 1985,
9:659).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile_medical.series_roles.role import SeriesRole, between, picked

_TIMES = ("echo_time_ms", "repetition_time_ms", "inversion_time_ms", "scanning_sequence", "mr_sequence")
# Enhanced MR says it outright: Acquisition Contrast (PS3.3 C.8.13.3.1.1).
_STATED = {
    "T1": "t1",
    "T2": "t2",
    "T2_STAR": "t2star",
    "PROTON_DENSITY": "pd",
    "FLUID_ATTENUATED": "flair",
    "STIR": "stir",
    "DIFFUSION": "dwi",
}
_DIFFUSION_TYPES = frozenset({"DIFFUSION", "TRACEW"})
_LOWEST_B = 50.0  # s/mm²; below, a volume of a diffusion series is its T2-weighted reference


def mr_roles(attributes: Mapping[str, Any]) -> list[SeriesRole]:
    """Roles of an MR sample, from its attributes (`voxtile_medical.dicom_header.attributes`)."""
    words = frozenset(attributes.get("described_as", ()))
    weighting, evidence = _weighting(attributes)
    claimed = _claimed(words)
    if weighting is None:
        if claimed is None:
            return []
        evidence = picked(attributes, "described_as")
    agreed = weighting is not None and (claimed is None or claimed == weighting)
    role = weighting or str(claimed)
    roles = []
    contrast = bool(attributes.get("contrast"))
    contrast_agreed = not (words & {"contrast"} and not contrast) and not (words & {"no-contrast"} and contrast)
    if role == "t1":
        role = "t1-post" if contrast or (weighting is None and "contrast" in words) else "t1"
        evidence |= picked(attributes, "contrast")
        agreed = agreed and contrast_agreed
    if not agreed or not contrast_agreed:
        evidence |= picked(attributes, "described_as")
    roles.append(SeriesRole(role, "weighting", evidence, certain=agreed))
    if contrast:
        roles.append(SeriesRole("contrast", "contrast", picked(attributes, "contrast"), certain=contrast_agreed))
    return roles


def _weighting(attributes: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Weighting by elements other than the description, and those that decide it."""
    types = frozenset(attributes.get("image_type", ()))
    if "ADC" in types:
        return "adc", picked(attributes, "image_type")
    stated = _STATED.get(str(attributes.get("acquisition_contrast", "")))
    b_value = attributes.get("b_value_s_mm2")
    if types & _DIFFUSION_TYPES or between(b_value, _LOWEST_B, 1e6):
        return "dwi", picked(attributes, "image_type", "b_value_s_mm2")
    if stated is not None:
        return stated, picked(attributes, "acquisition_contrast")
    return _by_times(attributes), picked(attributes, *_TIMES)


def _by_times(attributes: Mapping[str, Any]) -> str | None:
    echo, repetition = attributes.get("echo_time_ms"), attributes.get("repetition_time_ms")
    inversion = attributes.get("inversion_time_ms")
    techniques = frozenset(attributes.get("scanning_sequence") or [attributes.get("mr_sequence")])
    if between(inversion, 1_700, 3_000) and between(echo, 60, 700):
        return "flair"
    if between(inversion, 80, 260):
        return "stir"
    if between(inversion, 300, 1_500) and between(echo, 0, 30):
        return "t1"  # inversion recovery, or a magnetisation-prepared gradient echo
    if "GR" in techniques:
        if between(echo, 12, 80):
            return "t2star"
        return "t1" if between(echo, 0, 10) and between(repetition, 2, 700) else None
    if between(repetition, 200, 1_000) and between(echo, 0, 35):
        return "t1"
    if between(repetition, 1_800, 20_000):
        if between(echo, 60, 400):
            return "t2"
        return "pd" if between(echo, 0, 45) else None
    return None


def _claimed(words: frozenset[str]) -> str | None:
    """Weighting that the description claims; the more special word counts ("T2 FLAIR", "ADC of DWI", "T2 GRE")."""
    return next((w for w in ("adc", "dwi", "flair", "stir", "t2star", "pd", "t2", "t1") if w in words), None)
