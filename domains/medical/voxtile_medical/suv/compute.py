"""From the headers of a PET series to the factor that makes each slice's values an SUV.

After the IBSI chapter on SUV (M. Vácha et al. 2026) and the vendor-neutral pseudo-code of QIBA's FDG-PET profile. What
they leave open is refused: a wrong SUV looks like a right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from voxtile_medical.suv.body import UNITS, SuvType, norm, weight_kg
from voxtile_medical.suv.dose import dose_bq, half_life_s
from voxtile_medical.suv.header import PHILIPS_ACTIVITY, PHILIPS_SUV, PetHeader
from voxtile_medical.suv.refused import SuvRefusedError, missing, named
from voxtile_medical.suv.times import acquisition_time, injection_time, reference_time

SuvChoice: TypeAlias = Literal["bw", "lbm", "lbm-james", "bsa", "none"]
WANTED: dict[str, SuvType] = {"bw": "BW", "lbm": "LBMJANMA", "lbm-james": "LBMJAMES128", "bsa": "BSA"}

# What all slices of a series must share.
_SHARED = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex",
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime",
    "RadionuclideCodeSequence", "SeriesDate", "SeriesTime", PHILIPS_SUV,
)  # fmt: skip


@dataclass(frozen=True)
class Suv:
    """How to turn a series into SUV.

    Attributes:
        units: SUVbw, SUVlbm or SUVbsa.
        factors: a slice each: SUV = (stored · slope + intercept) · factor.
        evidence: what was read and how it was taken, JSON-able.
    """

    units: str
    factors: tuple[float, ...]
    evidence: dict[str, Any]


def suv_of(headers: Sequence[PetHeader], kind: SuvType) -> Suv:
    """Compute the factors of a series.

    Args:
        headers: one a slice.
        kind: which SUV, as a value of SUVType.

    Raises:
        SuvRefusedError: a tag is missing, contradicts another or cannot be; it names the tag.
    """
    for keyword in _SHARED:
        if len({header.text(keyword) for header in headers}) > 1:
            raise SuvRefusedError("contradictory-tags", named(keyword), f"slices differ in {named(keyword)}")
    for header in headers:
        _check_rescale(header)
    first = headers[0]
    units = first.text("Units").upper()
    if not units:
        raise missing("Units", "the SUV")
    if units in ("GML", "CM2ML"):
        factors, evidence = _from_suv(headers, _stated_type(first, units), kind)
    elif units == "CNTS":
        factors, evidence = _from_counts(headers, kind)
    elif units == "BQML":
        factors, evidence = _from_activity(headers, kind)
    else:
        raise SuvRefusedError("unsupported", named("Units"), f"{named('Units')} of {units} cannot be made an SUV")
    return Suv(UNITS[kind], factors, {"type": kind, "units": units, **evidence})


def _check_rescale(header: PetHeader) -> None:
    if header.number("RescaleSlope") is None:
        raise missing("RescaleSlope", "the SUV")
    if header.number("RescaleIntercept"):
        raise SuvRefusedError(
            "implausible-value", named("RescaleIntercept"), f"{named('RescaleIntercept')} is not 0, as PET requires"
        )


def _check_corrections(header: PetHeader, decay: str) -> None:
    """Attenuation must be corrected for, and DecayCorrection agree with the list of corrections."""
    done = header.text("CorrectedImage").upper().split("\\")
    if done == [""]:
        raise missing("CorrectedImage", "the SUV")
    if "ATTN" not in done:
        raise SuvRefusedError(
            "contradictory-tags",
            named("CorrectedImage"),
            f"{named('CorrectedImage')} lacks ATTN: attenuation was not corrected for",
        )
    if ("DECY" in done or "DECAY" in done) == (decay == "NONE"):
        both = f"{named('CorrectedImage')}, {named('DecayCorrection')}"
        raise SuvRefusedError("contradictory-tags", both, f"{both} disagree about whether decay was corrected for")


def _stated_type(header: PetHeader, units: str) -> SuvType:
    """The type of values that are SUV already; body weight where g/ml does not say (PS3.3 C.8.9.1.1.4)."""
    stated = header.text("SUVType").upper() or ("BW" if units == "GML" else "BSA")
    if stated not in UNITS or (stated == "BSA") != (units == "CM2ML"):
        both = f"{named('Units')}, {named('SUVType')}"
        raise SuvRefusedError("contradictory-tags", both, f"{both} do not go together: {units} and {stated}")
    return stated


def _from_suv(headers: Sequence[PetHeader], stated: SuvType, kind: SuvType) -> tuple[tuple[float, ...], dict[str, Any]]:
    first = headers[0]
    factor = 1.0 if stated == kind else norm(first, kind) / norm(first, stated)
    return (factor,) * len(headers), {"stated_type": stated}


def _from_counts(headers: Sequence[PetHeader], kind: SuvType) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Philips counts: by its SUV factor, or else by its activity factor to Bq/ml."""
    to_suv = headers[0].number(PHILIPS_SUV)
    if to_suv:
        factors, evidence = _from_suv(headers, "BW", kind)
        return tuple(factor * to_suv for factor in factors), evidence | {"philips_suv_factor": to_suv}
    to_activity = [header.number(PHILIPS_ACTIVITY) for header in headers]
    if not all(to_activity):
        tags = f"{PHILIPS_SUV}, {PHILIPS_ACTIVITY}"
        why = f"{tags} are missing, and one is needed for {named('Units')} of CNTS"
        raise SuvRefusedError("missing-tag", tags, why)
    factors, evidence = _from_activity(headers, kind)
    scaled = tuple(factor * float(own or 0) for factor, own in zip(factors, to_activity, strict=True))
    return scaled, evidence | {"philips_activity_factor": to_activity[0]}


def _from_activity(headers: Sequence[PetHeader], kind: SuvType) -> tuple[tuple[float, ...], dict[str, Any]]:
    first = headers[0]
    decay = first.text("DecayCorrection").upper()
    if not decay:
        raise missing("DecayCorrection", "the SUV")
    if decay not in ("ADMIN", "START", "NONE"):
        why = f"{named('DecayCorrection')} is none of ADMIN, START and NONE"
        raise SuvRefusedError("implausible-value", named("DecayCorrection"), why)
    _check_corrections(first, decay)
    weight, in_grams = weight_kg(first)
    size = norm(first, kind)
    dose, in_mbq = dose_bq(first)
    evidence: dict[str, Any] = {"decay_correction": decay, "weight_kg": weight, "dose_bq": dose}
    evidence |= {"weight_read_as": "g"} if in_grams else {}
    evidence |= {"dose_read_as": "MBq"} if in_mbq else {}
    if decay == "ADMIN":
        return (size / dose,) * len(headers), evidence
    half_life = half_life_s(first)
    evidence["half_life_s"] = half_life
    rate = math.log(2) / half_life
    if decay == "START":
        reference, source = reference_time(headers, half_life)
        uptake = reference - injection_time(first, reference, source, half_life)
        evidence |= {"uptake_s": round(uptake, 3), "reference": source}
        return (size / dose * math.exp(rate * uptake),) * len(headers), evidence
    factors = []
    for header in headers:
        start = acquisition_time(header)
        uptake = start - injection_time(header, start, "AcquisitionTime", half_life)
        x = rate * header.positive("ActualFrameDuration", "values that decay was not corrected for") / 1000
        factors.append(size / dose * math.exp(rate * uptake) * x / -math.expm1(-x))
    return tuple(factors), evidence | {"reference": "AcquisitionTime"}
