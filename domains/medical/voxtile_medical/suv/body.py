"""What an SUV is normalised by: body weight, lean body mass, body surface area, ideal body weight.

Formulas as the IBSI chapter on SUV lists them (M. Vácha et al. 2026) for DICOM's SUVType (PS3.3 C.8.9.1.1.4). Lean body
mass and ideal weight are defined for PatientSex F and M only; for others there is no consensus, and we refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from voxtile_medical.suv.header import PetHeader
from voxtile_medical.suv.refused import SuvRefusedError, named

SuvType: TypeAlias = Literal["BW", "LBM", "LBMJAMES128", "LBMJANMA", "BSA", "IBW"]
UNITS: dict[SuvType, str] = {
    "BW": "SUVbw",
    "LBM": "SUVlbm",
    "LBMJAMES128": "SUVlbm",
    "LBMJANMA": "SUVlbm",
    "BSA": "SUVbsa",
    "IBW": "SUVibw",
}

_WEIGHT_KG = (0.3, 400.0)
_SIZE_M = (0.2, 2.6)


def weight_kg(header: PetHeader) -> tuple[float, bool]:
    """Body weight, and whether it was stored in grams.

    More than 1,000 cannot be kilograms: the IBSI chapter reads it as grams.

    Raises:
        SuvRefusedError: it is missing, or no weight of a person in either unit.
    """
    stored = header.positive("PatientWeight", "the SUV")
    in_grams = stored > 1000
    weight = stored / 1000 if in_grams else stored
    if not _WEIGHT_KG[0] <= weight <= _WEIGHT_KG[1]:
        raise SuvRefusedError(
            "implausible-value",
            named("PatientWeight"),
            f"{named('PatientWeight')} of {stored:g} is no body weight, in kilograms or in grams",
        )
    return weight, in_grams


def norm(header: PetHeader, kind: SuvType) -> float:
    """The norm in g (BSA: cm²): SUV = activity concentration (Bq/ml) · norm / dose (Bq).

    Raises:
        SuvRefusedError: weight, size or sex is missing or implausible.
    """
    weight, _ = weight_kg(header)
    if kind == "BW":
        return weight * 1000
    size = header.positive("PatientSize", f"the SUV of type {kind}")
    if not _SIZE_M[0] <= size <= _SIZE_M[1]:
        raise SuvRefusedError(
            "implausible-value", named("PatientSize"), f"{named('PatientSize')} of {size:g} is no body height in metres"
        )
    height = size * 100
    if kind == "BSA":
        return float(0.007184 * height**0.725 * weight**0.425 * 1e4)  # Du Bois and Du Bois 1916, m² to cm²
    mass = _BY_SEX[kind](_is_male(header, kind), weight, height)
    if mass <= 0:
        raise SuvRefusedError(
            "implausible-value",
            f"{named('PatientWeight')}, {named('PatientSize')}",
            f"{named('PatientWeight')} {weight:g} kg and {named('PatientSize')} {size:g} m give no {kind} mass",
        )
    return mass * 1000


def _is_male(header: PetHeader, kind: SuvType) -> bool:
    sex = header.text("PatientSex").upper()
    if sex not in ("F", "M"):
        raise SuvRefusedError(
            "missing-tag", named("PatientSex"), f"{named('PatientSex')} is neither F nor M, and type {kind} needs it"
        )
    return sex == "M"


def _morgan(male: bool, weight: float, height: float) -> float:
    """Morgan and Bray 1994."""
    return (1.10 * weight - 120 * (weight / height) ** 2) if male else (1.07 * weight - 148 * (weight / height) ** 2)


def _james(male: bool, weight: float, height: float) -> float:
    """James and Waterlow 1976."""
    return (1.10 * weight - 128 * (weight / height) ** 2) if male else (1.07 * weight - 148 * (weight / height) ** 2)


def _janmahasatian(male: bool, weight: float, height: float) -> float:
    """Janmahasatian et al., Clin Pharmacokinet 44:1051-1065, 2005."""
    index = weight / (height / 100) ** 2
    return 9270 * weight / ((6680 + 216 * index) if male else (8780 + 244 * index))


def _ideal(male: bool, weight: float, height: float) -> float:
    """Sugawara et al., Radiology 213:521-525, 1999."""
    return 48.0 + 1.06 * (height - 152) if male else 45.5 + 0.91 * (height - 152)


_BY_SEX: dict[str, Callable[[bool, float, float], float]] = {
    "LBM": _morgan,
    "LBMJAMES128": _james,
    "LBMJANMA": _janmahasatian,
    "IBW": _ideal,
}
