"""English that sentences about places need: numbers, articles, rounded measures, points of the compass."""

from __future__ import annotations

import math
from collections.abc import Sequence

_WORDS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_VOWEL_SOUNDS = ("hour", "honest", "heir")
_CONSONANT_SOUNDS = ("uni", "use", "euro", "one")
POINTS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
"""The eight points of the compass, clockwise."""
# Counts that words other than numbers stand for: word → (lowest, highest count).
VAGUE_COUNTS: dict[str, tuple[int, float]] = {
    "a pair of": (2, 2), "a few": (3, 5), "several": (4, 9), "many": (10, math.inf), "dozens of": (24, 99),
    "more than a hundred": (101, math.inf),
}  # fmt: skip


def number_word(count: int) -> str:
    """One to twelve in words, more in digits with thousands separated."""
    return _WORDS[count] if 0 <= count <= 12 else f"{count:,}"


def vague_words(count: int) -> list[str]:
    """The words of `VAGUE_COUNTS` that are true of a count."""
    return [word for word, (low, high) in VAGUE_COUNTS.items() if low <= count <= high]


def with_article(noun: str) -> str:
    """`a building`, `an airport`."""
    first = noun.casefold()
    vowel = first.startswith(_VOWEL_SOUNDS) or (first[0] in "aeiou" and not first.startswith(_CONSONANT_SOUNDS))
    return f"{'an' if vowel else 'a'} {noun}"


def rounded(value: float) -> float:
    """A positive measure to two significant digits."""
    if value <= 0:
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    return round(value, digits)


def share_percent(share: float) -> tuple[int, float]:
    """A share in per cent as people say it, and half the step that it is rounded to, both in per cent.

    Steps of 5 % from 10 to 90 %, and of 1 % below and above: 2.7 % is about 3 %, since 5 % would nearly double it, and
    97.4 % leaves 3 %.
    """
    step = 5 if 0.1 <= share <= 0.9 else 1
    return step * round(100 * share / step), step / 2


def area_text(square_metres: float) -> str:
    """`2,300 m²`, `4.5 ha` from one hectare on, `1.2 km²` from one square kilometre on; two significant digits."""
    for unit, size in (("km²", 1e6), ("ha", 1e4)):
        if rounded(square_metres) >= size:
            return f"{_plain(rounded(square_metres / size))} {unit}"
    return f"{_plain(rounded(square_metres))} m²"


def length_text(metres: float) -> str:
    """`340 m`, `1.2 km` from one kilometre on; two significant digits."""
    if rounded(metres) >= 1000:
        return f"{_plain(rounded(metres / 1000))} km"
    return f"{_plain(rounded(metres))} m"


def compass_point(east: float, north: float) -> str:
    """The one of eight points of the compass that a displacement points to."""
    return POINTS[round(math.degrees(math.atan2(east, north)) / 45) % 8]


def place_word(east: float, north: float) -> str:
    """The ninth of the tile that a place lies in: `centre`, `north-east`, …; each axis from -1 to 1 in thirds."""
    column = "" if abs(east) <= 1 / 3 else "east" if east > 0 else "west"
    row = "" if abs(north) <= 1 / 3 else "north" if north > 0 else "south"
    return "-".join(part for part in (row, column) if part) or "centre"


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(text: str) -> str:
    """With a capital at the start."""
    return text[:1].upper() + text[1:]


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"
