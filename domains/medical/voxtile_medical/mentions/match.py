"""One mention and one study: the region that it means, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtile_medical.mentions.growing import Grown, Seed, SuvVolume, grow, largest_in, seeds_in
from voxtile_medical.mentions.places import NoSuchPlaceError, PetSlices, pet_slices
from voxtile_medical.mentions.sentences import Mention

LEAST_CONFIDENCE = 0.3
_NEXT_SLICE, _UNNAMED, _NOT_SAID_MAX = 0.85, 0.85, 0.9
_MIDLINE_MM = 15.0
# Words for which left and right name a part of an organ, and not a side of the body.
_NOT_BODY_SIDES = re.compile(r"\b(?:atri(?:um|al)|ventric\w+|thyroid|colon)\b", re.IGNORECASE)
# The lobes of the liver part along Cantlie's line, from the gallbladder to the inferior vena cava: the right one lies
# to the right of the midline, the left one crosses it, and ends before the middle of the body's right half.
_LIVER = re.compile(r"\b(?:liver|hepatic)\b", re.IGNORECASE)
_LEFT_LOBE_TO = 0.5
_BODY_SUV = 0.15


@dataclass(frozen=True)
class Matched:
    """A region with the confidence that it is what the sentence means (0 to 1)."""

    mention: Mention
    grown: Grown
    confidence: float


@dataclass(frozen=True)
class Refused:
    """A mention that gives no region.

    Attributes:
        reason: `unknown-series`, `no-such-slice`, `no-agreement`, `ambiguous-seed`, `no-focus`,
            `side-contradicts`, `size-contradicts` or `low-confidence`.
    """

    mention: Mention
    reason: str
    detail: str


def match(
    mention: Mention, suv: SuvVolume, pet: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]
) -> Matched | Refused:
    """Find what a mention means.

    Args:
        mention: from a sentence of the study's report.
        suv: [Z, Y, X] of the PET.
        pet: its row.
        samples: rows of the study's volumes.
    """
    try:
        readings = pet_slices(mention.place, pet, samples)
    except NoSuchPlaceError as error:
        return Refused(mention, error.reason, error.detail)
    spacing = pet["spacing"]
    found: dict[tuple[int, int, int], tuple[Grown, float]] = {}
    flanks = 0
    for weight, seeds in _candidates(mention, suv, readings):
        for seed in seeds:
            grown = grow(suv, seed, mention.suv, mention.tolerance, spacing)
            if grown is None:
                flanks += 1
            elif not any(other.mask[seed.index] for other, _ in found.values()):
                found[seed.index] = (grown, weight)
        if found:
            break
    return _judge(mention, suv, pet, readings, list(found.values()), flanks)


def _candidates(mention: Mention, suv: SuvVolume, readings: list[PetSlices]) -> list[tuple[float, list[Seed]]]:
    """Seeds on the named slices of all readings, then on those beside them, each with a weight of the confidence."""
    named = 1.0 if all(reading.is_named for reading in readings) else _UNNAMED
    exact = sorted({z for reading in readings for z in reading.exact})
    near = sorted({z for reading in readings for z in reading.near} - set(exact))
    return [
        (named, seeds_in(suv, exact, mention.suv, mention.tolerance)),
        (named * _NEXT_SLICE, seeds_in(suv, near, mention.suv, mention.tolerance)),
    ]


def _judge(
    mention: Mention,
    suv: SuvVolume,
    pet: Mapping[str, Any],
    readings: list[PetSlices],
    found: list[tuple[Grown, float]],
    flanks: int,
) -> Matched | Refused:
    on_side = [item for item in found if not _contradicts_side(mention, item[0], suv, pet)]
    if found and not on_side:
        return Refused(mention, "side-contradicts", f"what has that SUV on that slice is not on the {mention.side}")
    if len(on_side) > 1:
        why = f"{len(on_side)} places of the named slices have an SUVmax of {mention.suv:g}"
        return Refused(mention, "ambiguous-seed", why)
    if not on_side:
        largest = largest_in(suv, [z for reading in readings for z in reading.exact])
        if flanks:
            why = f"what has an SUV of {mention.suv:g} there joins something hotter, or is a speck of noise"
            return Refused(mention, "no-focus", why)
        why = f"no maximum of the named slices is {mention.suv:g}; their largest value is {largest:.1f}"
        return Refused(mention, "no-agreement", why)
    grown, weight = on_side[0]
    extent = _extent_mm(grown, pet["spacing"])
    if mention.size_mm and not mention.size_mm / 4 <= extent <= 3 * mention.size_mm + 20:
        why = f"the sentence says {mention.size_mm:g} mm, and the region is {extent:.0f} mm long"
        return Refused(mention, "size-contradicts", why)
    confidence = grown.certainty * weight * (1.0 if mention.says_max else _NOT_SAID_MAX)
    if confidence < LEAST_CONFIDENCE:
        return Refused(mention, "low-confidence", f"confidence {confidence:.2f} is below {LEAST_CONFIDENCE:g}")
    return Matched(mention, grown, confidence)


def _contradicts_side(mention: Mention, grown: Grown, suv: SuvVolume, pet: Mapping[str, Any]) -> bool:
    """The region is clearly on the other side of the body's middle, or in the liver of where its lobes can part."""
    if mention.side is None or _NOT_BODY_SIDES.search(mention.phrase):
        return False
    z, y, x = grown.seed.index
    body = np.argwhere(suv[z] > _BODY_SUV)
    if not len(body):
        return False
    affine = np.array(pet["affine"]).reshape(4, 4)
    middle_y, middle_x = (body.min(axis=0) + body.max(axis=0)) / 2
    offset = np.array([x - middle_x, y - middle_y, 0.0])
    rightward = float(affine[0, :3] @ offset)  # RAS: x grows to the right
    if mention.side == "right":
        return rightward < -_MIDLINE_MM
    half_mm = float(np.ptp(body @ affine[0, [1, 0]])) / 2
    return rightward > (_LEFT_LOBE_TO * half_mm if _LIVER.search(mention.phrase) else _MIDLINE_MM)


def _extent_mm(grown: Grown, spacing: Sequence[float]) -> float:
    index = np.argwhere(grown.mask)
    return float(((index.max(axis=0) - index.min(axis=0) + 1) * np.asarray(spacing)).max())
