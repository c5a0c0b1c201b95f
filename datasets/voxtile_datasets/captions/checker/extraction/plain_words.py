"""Words of a sentence with contractions and abbreviated points of the compass written out: "isn't", "NE of"."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from voxtile.words.tokens import Words, words_of

_NOT = {"won": "will", "can": "can", "shan": "shall", "ain": "is"}  # "won't"
_COMPASS = {
    "NE": "northeast", "NW": "northwest", "SE": "southeast", "SW": "southwest", "NNE": "northeast",
    "ENE": "northeast", "NNW": "northwest", "WNW": "northwest", "SSE": "southeast", "ESE": "southeast",
    "SSW": "southwest", "WSW": "southwest",
}  # fmt: skip
_ONE_LETTER = {"N": "north", "S": "south", "E": "east", "W": "west"}
_AFTER_LETTER = frozenset(
    [
        "of",
        "edge",
        "corner",
        "part",
        "side",
        "half",
        "third",
        "end",
        "margin",
        "quarter",
        "sector",
        "quadrant",
        "zone",
        "bank",
        "shore",
        ")",
    ]
)
_BEFORE_LETTER = frozenset(["the", "to", "lies", "due", "km", "m", "("])


@lru_cache(maxsize=50_000)
def plain_words(sentence: str, *, has_compass: bool) -> Words:
    """Split a sentence into words; places in the text stay what they are.

    Args:
        sentence: a sentence of a caption.
        has_compass: "NE" is north-east; in bodies it is not.
    """
    words = words_of(sentence)
    found = list(words.words)
    for position in range(1, len(found)):
        gap = sentence[words.ends[position - 1] : words.starts[position]]
        before = found[position - 1]
        if found[position] == "t" and gap in ("'", "’") and before.endswith("n"):
            found[position - 1 : position + 1] = [_NOT.get(before, before[:-1]), "not"]
    if has_compass:
        for position in range(len(found)):
            written = sentence[words.starts[position] : words.ends[position]]
            if written in _COMPASS:
                found[position] = _COMPASS[written]
            elif written in _ONE_LETTER and _is_direction(found, position):
                found[position] = _ONE_LETTER[written]
    return replace(words, words=tuple(found)) if tuple(found) != words.words else words


def _is_direction(words: list[str], position: int) -> bool:
    before, after = words[max(0, position - 1) : position], words[position + 1 : position + 2]
    return bool(_BEFORE_LETTER.intersection(before)) or after == ["of"] or bool(_AFTER_LETTER.intersection(after))
