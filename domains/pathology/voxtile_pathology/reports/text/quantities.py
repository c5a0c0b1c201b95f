"""Sizes in millimetres, percentages and counts in a text."""

from __future__ import annotations

import re

from voxtile_pathology.reports.fact import Percent

_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_UNIT = r"(?:mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)(?![\w²2/])"
SIZE = re.compile(
    rf"(?<![\w.,/])(?P<a>{_NUMBER})\s?(?P<ua>{_UNIT})?(?:\s?[x×*]\s?(?P<b>{_NUMBER})\s?(?P<ub>{_UNIT})?)?"
    rf"(?:\s?[x×*]\s?(?P<c>{_NUMBER})\s?(?P<uc>{_UNIT})?)?",
    re.IGNORECASE,
)
# "Less than", "at least" and their signs make a bound of the number behind them.
_BELOW = r"(?:(?:less|fewer|lower|not? more|not? greater) than|below|under|up to|at most|not exceeding|<=?|≤)"
_ABOVE = r"(?:(?:more|greater|higher|not? less|not? fewer) than|above|over|exceeding|at least|>=?|≥)"
_SHARE = r"\d{1,3}(?:[.,]\d+)?"
_UNIT_OF_SHARE = r"(?:%|per ?cent\b)"
PERCENT = (
    rf"(?:(?:{_BELOW}|{_ABOVE}|~|≈|\bbetween)\s*)?(?<![\d.,]){_SHARE}\s?(?:%\s?)?"
    rf"(?:(?:[-–]|to|and)\s*{_SHARE}\s?)?{_UNIT_OF_SHARE}"
)
_PERCENT = re.compile(PERCENT, re.IGNORECASE)
_IS_BELOW, _IS_ABOVE = re.compile(_BELOW, re.IGNORECASE), re.compile(_ABOVE, re.IGNORECASE)
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


def percent_in(text: str) -> Percent | None:
    """The first percentage of a text: "5 %", "less than 5 %", "20 to 30 %", "a quarter"."""
    match = _PERCENT.search(text)
    if match is not None:
        said = match.group().strip()
        low, *rest = (float(digits.replace(",", ".")) for digits in re.findall(_SHARE, said))
        high = rest[0] if rest else low
        if not low <= high <= 100:
            return None
        return Percent(None if _IS_BELOW.match(said) else low, None if _IS_ABOVE.match(said) else high, said)
    fraction = _FRACTION.search(text)
    if fraction is None:
        return None
    share = _FRACTIONS[fraction.group().lower()]
    return Percent(share, share, fraction.group())


def number(text: str) -> int | None:
    """A count in digits or in words up to twenty."""
    text = text.strip().lower()
    return int(text) if text.isdecimal() else NUMBER_WORDS.get(text)
