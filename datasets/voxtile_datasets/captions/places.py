"""Where a finding is, in words: the phrase for a place with its side, and whether the finding's name says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from voxtile_datasets.captions.english import is_plural, joined
from voxtile_datasets.captions.wordings import normalise

_SHORTEST_STEM = 4  # letters: spleen and splenic
# Words of a place that tell no other place than the organ's own.
_OF_PLACES = frozenset(["left", "right", "the", "of", "surface", "tissue", "fat", "wall", "gland"])


def names_place(concept: str, place: Sequence[str]) -> bool:
    """Whether the name of a concept says already where it is: endometrial carcinoma, in the endometrium.

    Args:
        concept: as facts call it.
        place: the words of its location.
    """
    name = concept.casefold().replace("_", " ").split()
    told = [word for word in map(str.casefold, place) if word not in _OF_PLACES]
    return bool(told) and all(any(_same_stem(word, own) for own in name) for word in told)


def beside_place(names: Sequence[str], location: str | None) -> tuple[str, ...]:
    """Names as they stand beside a numbered place of their own kind: a fracture, of the 7th rib.

    Args:
        names: of a concept.
        location: where it is: `rib 7`.
    """
    kind, _, number = (location or "").rpartition(" ")
    word = kind.rsplit(" ", 1)[-1].casefold()
    if not word or not number.isdecimal():
        return tuple(names)
    bare = (re.sub(rf"\b{re.escape(word)} ", "", name) for name in names)
    return tuple(dict.fromkeys(name for name in bare if word not in name.split())) or tuple(names)


def _same_stem(one: str, other: str) -> bool:
    """Whether two words are of one stem: ovarian and ovary, omental and omentum."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    return one == other or alike >= max(_SHORTEST_STEM, min(len(one), len(other)) - 2)


def place_of(
    location: str | None, levels: Sequence[str], side: str | None, places: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Where a finding is, with its side: `in the left lower lobe`, and without the preposition.

    Args:
        location: parts of an organ, joined by "and".
        levels: of the spine, in place of a location.
        side: of the finding.
        places: the bank's phrases for places, with `default`.
    """
    if levels:
        return f"at {joined(levels)}", joined(levels)
    if not location:
        return None, None
    pieces = location.split(" and ")
    side = None if side == "bilateral" and len(pieces) > 1 else side  # one on each side, perhaps
    found = [_sided(piece, side, places) for piece in pieces]
    patterns = [places.get(normalise(piece)) or places.get("default", "in the {location}") for piece in found]
    phrases = [pattern.replace("{location}", piece) for pattern, piece in zip(patterns, found, strict=True)]
    return joined(list(dict.fromkeys(phrases))), joined(list(dict.fromkeys(found)))


def _sided(location: str, side: str | None, places: Mapping[str, str]) -> str:
    """The location with the finding's side, both sides only where the bank has a phrase for them."""
    if not side or {"left", "right"} & set(location.casefold().split()) or is_plural(location):
        return location
    sided = f"{side} {location}"
    follows = normalise(sided) in places or (side != "bilateral" and normalise(location) not in places)
    return sided if follows else location
