"""What a structure is called: a phrase for people, the side, and codes, none of which may identify a patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxtile_datasets.deidentification.scrub import BLANK, clean_control_characters, scrub

MAX_PHRASE = 120
_GENERIC = re.compile(r"(?:segment|label|structure|region|roi|object|unknown|unnamed)?[ #]*\d*", re.IGNORECASE)
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "lt": "left", "rt": "right"}
_SHORT_SIDES = frozenset({"l", "r", "lt", "rt"})
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 8.8).

    Attributes:
        scheme: coding scheme designator: SCT (SNOMED CT), FMA, RADLEX, DCM, UMLS, …
        value: the code.
        meaning: in words.
    """

    scheme: str
    value: str
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"

    def packed(self) -> list[str]:
        """JSON-able form: scheme, value, meaning."""
        return [self.scheme, self.value, self.meaning]


@dataclass(frozen=True)
class Structure:
    """What a mask shows.

    Attributes:
        key: what sets it apart in its file: a segment number, an ROI number, label values.
        phrase: name for people; None where the file gives none.
        laterality: left, right or None.
        code: what it is.
        attributes: more of what its file says, JSON-able.
    """

    key: str
    phrase: str | None
    laterality: str | None = None
    code: Code | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Identifiers:
    """What a file's header says of people, numbers and places, to be removed from names.

    Attributes:
        people, numbers, places: as `scrub` takes them.
        hides: identifiers are removed; False keeps names as they are.
    """

    people: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    hides: bool = True

    def clean(self, text: str) -> str | None:
        """A name without identifiers; None where nothing else is left."""
        text = " ".join(clean_control_characters(text).split())
        if self.hides:
            # Names are joined by underscores (`Doe_Tumor`), which would hide their parts.
            parted = text.replace("_", " ")
            scrubbed = scrub(parted, self.people, self.numbers, self.places)
            if BLANK in scrubbed:
                text = " ".join(scrubbed.replace(BLANK, " ").split())
        return text.strip(" -_.,:;()")[:MAX_PHRASE] or None


def phrase_of(label: str | None, identifiers: Identifiers, meanings: Iterable[str | None] = ()) -> str | None:
    """The name of a structure for people.

    Args:
        label: as its author wrote it (`kidney_left`, `Left kidney`, `Lung_R`).
        identifiers: what may not be in it.
        meanings: taken in turn where the label says nothing (`Segment 3`).

    Returns:
        Words with spaces, the side first: `left kidney`. Case stays, but for all-lowercase joined names.
    """
    for text in (label, *meanings):
        cleaned = identifiers.clean(text) if text else None
        words = _words(cleaned) if cleaned else []
        if words and not _GENERIC.fullmatch(" ".join(words)):
            return " ".join(_side_first(words))
    return None


def laterality_of(phrase: str | None) -> str | None:
    """Left or right, where the phrase names one side and not both."""
    sides = {word for word in re.findall(r"[a-z]+", (phrase or "").lower()) if word in ("left", "right")}
    return sides.pop() if len(sides) == 1 else None


def _words(text: str) -> list[str]:
    """`kidney_left` → kidney, left; `LeftLung` → Left, Lung; texts with spaces keep their words and hyphens."""
    if " " in text:
        return text.replace("_", " ").split()
    return [word for word in re.split(r"[_\s]+|-(?=[A-Za-z])", _CAMEL.sub("_", text)) if word]


def _side_first(words: list[str]) -> list[str]:
    """The side in front: `kidney left` → `left kidney`, `Lung R` → `right Lung`, `rib left 4` → `left rib 4`."""
    if len(words) < 2:
        return words
    for place, word in enumerate(words[1:], 1):
        side = _SIDES.get(word.lower())
        if side and (word.lower() not in _SHORT_SIDES or place == len(words) - 1):
            return [side, *words[:place], *words[place + 1 :]]
    first = _SIDES.get(words[0].lower())
    return [first, *words[1:]] if first and words[0].lower() not in _SHORT_SIDES else words
