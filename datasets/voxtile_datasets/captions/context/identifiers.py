"""The last look at a prompt before it is sent: whether it names a sample, a patient, a file or a day.

Strategies are given nothing of the kind (see `SampleContext`); this finds what has got into texts by another way, such
as a name in a report. A prompt that holds one is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from voxtile_datasets.captions.stated_facts import mapping_of

_PIECES = re.compile(r"[^0-9A-Za-z]+")
_FEWEST = 5  # characters of a piece with digits: shorter ones (T12, 3D, 5 mm) are words of the field
_FEWEST_LETTERS = 4
_CODED = ("uid", "subject", "study", "source", "sha256", "region_id", "caption_id", "datetime")


@dataclass(frozen=True)
class Identifiers:
    """What names one sample.

    Attributes:
        whole: texts as they stand, in lower case.
        pieces: words of them that could not be anything else, in lower case.
    """

    whole: frozenset[str]
    pieces: frozenset[str]

    def found_in(self, text: str) -> str | None:
        """The first identifier that a text holds, or None."""
        folded = text.casefold()
        for whole in self.whole:
            if whole in folded:
                return whole
        return next((word for word in _PIECES.split(folded) if word in self.pieces), None)


def identifiers_of(rows: Iterable[Mapping[str, Any]], paths: Iterable[str], common: frozenset[str]) -> Identifiers:
    """Gather the identifiers of a sample.

    Args:
        rows: of the samples, regions and captions tables.
        paths: what the key map knows of its sources: folders and files that may bear a patient's name.
        common: words that may stand in any prompt, in lower case.
    """
    values = {str(row[name]) for row in rows for name in _CODED if row.get(name)}
    values |= {value for row in rows for value in _coded_attributes(row.get("attributes"))}
    whole, pieces = set(), set()
    for value in (folded.casefold() for folded in values):
        if len(value) >= _FEWEST and (any(letter.isdecimal() for letter in value) or len(_PIECES.split(value)) > 1):
            whole.add(value)
        pieces |= {piece for piece in _PIECES.split(value) if _is_coded(piece)}
    named = [value for value in values if "^" in value]  # a patient's name as DICOM writes it (PS3.5, 6.2.1.2)
    for path in (path.casefold() for path in (*paths, *named)):
        whole.add(path)
        for piece in _PIECES.split(path):
            if _is_coded(piece) or (len(piece) >= _FEWEST_LETTERS and piece.isalpha() and piece not in common):
                pieces.add(piece)
    dates = [match for value in values for match in re.findall(r"\b(\d{4})-(\d{2})-(\d{2})", value)]
    whole |= {sep.join(parts) for parts in dates for sep in ("-", "/", ".", "")}
    return Identifiers(frozenset(whole), frozenset(pieces))


def _is_coded(piece: str) -> bool:
    return len(piece) >= _FEWEST and any(letter.isdecimal() for letter in piece)


def _coded_attributes(text: str | None) -> Iterable[str]:
    """Values of a sample's attributes that hold a long number, such as the UID of its series."""
    for value in mapping_of(text).values():
        if isinstance(value, str) and any(_is_coded(piece) for piece in _PIECES.split(value)):
            yield value
