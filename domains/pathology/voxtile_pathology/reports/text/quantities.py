"""Sizes in millimetres, percentages and counts in a text."""

from __future__ import annotations

import re

_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_UNIT = r"(?:mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)(?![\w²2/])"
SIZE = re.compile(
    rf"(?<![\w.,/])(?P<a>{_NUMBER})\s?(?P<ua>{_UNIT})?(?:\s?[x×*]\s?(?P<b>{_NUMBER})\s?(?P<ub>{_UNIT})?)?"
    rf"(?:\s?[x×*]\s?(?P<c>{_NUMBER})\s?(?P<uc>{_UNIT})?)?",
    re.IGNORECASE,
)
PERCENT = re.compile(
    r"(?P<sign>[<>≤≥~]?)\s?(?P<low>\d{1,3}(?:[.,]\d+)?)\s?(?:%\s?)?(?:[-–]\s?(?P<high>\d{1,3}(?:[.,]"
    r"\d+)?)\s?)?(?:%"
    r"|percent\b|per cent\b)"
)
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBER_WORDS = {word: number for number, word in enumerate(_WORDS.split())}
_LARGEST_MM = 1500.0  # a length of bowel; no finding is larger
_FRACTIONS = {"a quarter": 25.0, "a third": 33.0, "half": 50.0, "two thirds": 67.0, "three quarters": 75.0}
_FRACTION = re.compile("|".join(_FRACTIONS), re.IGNORECASE)


def size_of(match: re.Match[str]) -> tuple[float, ...]:
    """The dimensions of a match of SIZE in millimetres; empty where it has no unit or is larger than any specimen."""
    unit = next((match[name] for name in ("uc", "ub", "ua") if match[name]), None)
    if unit is None:
        return ()
    scale = 10.0 if unit.lower().startswith("c") else 1.0
    mm = tuple(round(float(match[name].replace(",", ".")) * scale, 4) for name in "abc" if match[name])
    return mm if all(0 < length <= _LARGEST_MM for length in mm) else ()


def sizes(text: str) -> list[tuple[int, int, tuple[float, ...]]]:
    """(start, end, millimetres) of the sizes in a text, in reading order."""
    found = [(match.start(), match.end(), size_of(match)) for match in SIZE.finditer(text)]
    return [size for size in found if size[2]]


def percent_in(text: str) -> tuple[float, str] | None:
    """The first percentage of a text and the words for it; of a range the lower end; of "a quarter" its percentage."""
    match = PERCENT.search(text)
    if match is not None:
        low = float(match["low"].replace(",", "."))
        return (low, match.group().strip()) if low <= 100 else None
    fraction = _FRACTION.search(text)
    return (_FRACTIONS[fraction.group().lower()], fraction.group()) if fraction is not None else None


def number(text: str) -> int | None:
    """A count in digits or in words up to twenty."""
    text = text.strip().lower()
    return int(text) if text.isdecimal() else NUMBER_WORDS.get(text)
