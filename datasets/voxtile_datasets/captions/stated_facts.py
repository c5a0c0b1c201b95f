"""What is stated of a sample, as sentences need it: facts with size, side and place, and what they are about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voxtile_datasets.captions.english import is_mass, is_plural
from voxtile_datasets.captions.places import names_place
from voxtile_datasets.captions.sizes import size_text

_LOCATION_KEYS = ("location", "lobe", "segment", "region")
_LEVEL = re.compile(r"[CTLS]\d{1,2}([/-][CTLS]?\d{1,2})?$")  # of the spine: T12, L5/S1


@dataclass(frozen=True)
class Fact:
    """A fact as sentences need it.

    Attributes:
        concept, polarity: as in the facts table.
        size: with its unit, e.g. `8 mm`.
        side: left, right or bilateral.
        location: e.g. `right upper lobe`.
        levels: of the spine, e.g. `T12`; more than one means one finding a level.
        number: how many, as a word (`two`, `multiple`); empty for several of which nobody says how many, None for one.
        is_minor: it fills less than half of the picture.
    """

    concept: str
    polarity: str
    size: str | None = None
    side: str | None = None
    location: str | None = None
    levels: tuple[str, ...] = ()
    number: str | None = None
    is_minor: bool = False

    @property
    def is_detailed(self) -> bool:
        """Whether more is known than that it is there."""
        return bool(self.size or self.side or self.location or self.levels or self.number)


@dataclass(frozen=True)
class Subject:
    """What the facts are about.

    Attributes:
        uid: the key of all choices.
        modality: of the sample.
        body: body part or scene, if known.
        facts: stated facts.
        implied: concepts that closed scopes say are absent, in order.
        likely: concepts that are easily taken for something that is there; their absence says most.
        seen: concepts that other samples have; what none has is not worth a denial before all others were.
    """

    uid: str
    modality: str | None
    body: str | None
    facts: tuple[Fact, ...]
    implied: tuple[str, ...] = field(default=())
    likely: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()


def fact_from_row(row: Mapping[str, Any]) -> Fact:
    """Read a row of the facts table by itself, whose attributes may be parsed already."""
    attributes = mapping_of(row.get("attributes"))
    value, unit = row.get("value"), row.get("unit")
    size = size_text([float(value)], unit) if value is not None and unit else None
    location = next((str(attributes[key]) for key in _LOCATION_KEYS if attributes.get(key)), None)
    side = attributes.get("laterality")
    return placed(Fact(row["concept"], row["polarity"], size, str(side) if side else None), location)


def placed(fact: Fact, location: str | None) -> Fact:
    """The fact with its place: a level of the spine, or a part of an organ with the side of the finding in front.

    Args:
        fact: with its side, if it has one.
        location: as in the attributes; one on the other side than the finding is not said.
    """
    words = (location or "").replace("_", " ").split()
    sides = {word.casefold() for word in words} & {"left", "right"}
    if not words or (fact.side and sides and fact.side not in sides):
        return fact
    name = fact.concept.replace("_", " ")
    has_side = bool(fact.side or sides)
    if names_place(fact.concept, words) and not (has_side and (is_mass(name) or is_plural(name))):
        return fact if fact.side or not sides else replace(fact, side=sides.pop() if len(sides) == 1 else None)
    pieces = " ".join(words).replace(" and ", ", ").split(", ")
    if all(_LEVEL.match(piece) for piece in pieces):
        return replace(fact, levels=tuple(pieces))
    return replace(fact, location=" ".join(words))


def body_part(attributes: str | None) -> str | None:
    """The body part that a sample's attributes name, in lower case."""
    value = mapping_of(attributes).get("body_part")
    return str(value).casefold() if value else None


def mapping_of(text: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The attributes of a row, given as JSON or as a mapping."""
    if text is None or isinstance(text, Mapping):
        return text or {}
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
