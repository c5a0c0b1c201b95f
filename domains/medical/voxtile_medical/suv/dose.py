"""The injected dose and its nuclide, held to what can be."""

from __future__ import annotations

import re

from voxtile_medical.suv.header import PetHeader
from voxtile_medical.suv.refused import SuvRefusedError, missing, named

_SEQUENCE = "RadiopharmaceuticalInformationSequence"
_LEAST_BQ, _MOST_BQ = 1e6, 1e10
_HALF_LIFE_TOLERANCE = 0.03
# Seconds; the nuclides of CID 4020 (PS3.16) that PET is done with, and those of its calibration sources. Half-lives of
# the Decay Data Evaluation Project (BIPM Monographie 5).
HALF_LIVES: dict[str, tuple[int, float]] = {
    "carbon": (11, 1221.6), "nitrogen": (13, 597.9), "oxygen": (15, 122.2), "fluorine": (18, 6586.2),
    "scandium": (44, 14551.0), "iron": (52, 29790.0), "copper": (64, 45724.0), "gallium": (68, 4062.6),
    "germanium": (68, 2.341e7), "bromine": (76, 58320.0), "rubidium": (82, 75.6), "yttrium": (86, 53064.0),
    "zirconium": (89, 282_276.0), "iodine": (124, 360_806.0), "sodium": (22, 8.21e7), "copper-62": (62, 580.0),
}  # fmt: skip
_SYMBOLS = {
    "c": "carbon", "n": "nitrogen", "o": "oxygen", "f": "fluorine", "sc": "scandium", "fe": "iron", "cu": "copper",
    "ga": "gallium", "ge": "germanium", "br": "bromine", "rb": "rubidium", "y": "yttrium", "zr": "zirconium",
    "i": "iodine", "na": "sodium",
}  # fmt: skip
_MEANING = re.compile(r"\^?(\d{2,3})\^?[ -]*([A-Za-z]+)|([A-Za-z]+)\^?[ -]*\^?(\d{2,3})")


def dose_bq(header: PetHeader) -> tuple[float, bool]:
    """Injected dose in Bq, and whether it was stored in MBq.

    PET images state Bq, other objects MBq, and writers mix them up by a factor of 10⁶ (the IBSI chapter finds peaks at
    4·10² and 4·10⁸). A number that can be a dose of a person only in MBq is read so, and the caller says that it was;
    one that can be neither is refused.

    Raises:
        SuvRefusedError: it is missing, or no dose in either unit.
    """
    if not header.text(_SEQUENCE):
        raise missing(_SEQUENCE, "the SUV")
    stored = header.positive("RadionuclideTotalDose", "the SUV")
    if _LEAST_BQ <= stored <= _MOST_BQ:
        return stored, False
    if _LEAST_BQ <= stored * 1e6 <= _MOST_BQ:
        return stored * 1e6, True
    factor = " (10⁶ times too high: Bq taken for MBq?)" if stored > _MOST_BQ else ""
    raise SuvRefusedError(
        "implausible-value",
        named("RadionuclideTotalDose"),
        f"{named('RadionuclideTotalDose')} of {stored:g} is no dose of a person, in Bq or in MBq{factor}",
    )


def half_life_s(header: PetHeader) -> float:
    """Half-life of the nuclide, seconds.

    Raises:
        SuvRefusedError: it is missing, is that of no PET nuclide, or contradicts RadionuclideCodeSequence.
    """
    value = header.positive("RadionuclideHalfLife", "the decay of the dose")
    meaning = header.text("RadionuclideCodeSequence")
    known = nuclide_half_life(meaning)
    if known is not None and not _near(value, known):
        both = f"{named('RadionuclideHalfLife')}, {named('RadionuclideCodeSequence')}"
        raise SuvRefusedError(
            "contradictory-tags",
            both,
            f"{named('RadionuclideHalfLife')} of {value:g} s is not that of the nuclide in "
            f"{named('RadionuclideCodeSequence')} ({known:g} s)",
        )
    if known is None and not any(_near(value, seconds) for _, seconds in HALF_LIVES.values()):
        raise SuvRefusedError(
            "implausible-value",
            named("RadionuclideHalfLife"),
            f"{named('RadionuclideHalfLife')} of {value:g} s is that of no nuclide that PET is done with",
        )
    return value


def nuclide_half_life(meaning: str) -> float | None:
    """Half-life of a nuclide as codes spell it; None for one that is not known.

    >>> nuclide_half_life("^18^Fluorine"), nuclide_half_life("F-18"), nuclide_half_life("Technetium 99m")
    (6586.2, 6586.2, None)
    """
    match = _MEANING.search(meaning)
    if match is None:
        return None
    mass, word = int(match[1] or match[4]), (match[2] or match[3]).lower()
    name = _SYMBOLS.get(word, word)
    for key, (number, seconds) in HALF_LIVES.items():
        if key.split("-")[0] == name and number == mass:
            return seconds
    return None


def _near(value: float, known: float) -> bool:
    return abs(value - known) <= _HALF_LIFE_TOLERANCE * known
