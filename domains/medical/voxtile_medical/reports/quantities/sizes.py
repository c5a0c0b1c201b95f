"""Sizes in a sentence, in millimetres; one to three dimensions, ranges, and what is no size of a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1e6, "um": 1e-3, "µm": 1e-3, "in": 25.4}
_UNIT_NAMES = {
    "millimeter": "mm", "millimeters": "mm", "millimetre": "mm", "millimetres": "mm",
    "centimeter": "cm", "centimeters": "cm", "centimetre": "cm", "centimetres": "cm",
    "mms": "mm", "cms": "cm", "inch": "in", "inches": "in", "meter": "m", "meters": "m", "metre": "m", "metres": "m",
}  # fmt: skip
_NUMBER = r"(?:\d{1,6}(?:[.,]\d{1,4})?|\.\d{1,4})"
_UNIT = r"(?:mms?|cms?|km|µm|um|m|millimet(?:er|re)s?|centimet(?:er|re)s?|met(?:er|re)s?|inch(?:es)?)(?![\w/²³^])"
# Which diameter it is, before or behind its number: "3.2 (AP) x 2.8 (TR) x 2.5 cm (CC)", "AP 3.2 x TR 2.8 cm".
_AXIS = (
    r"\(?(?:AP|TR|TRV|TV|TRANS|CC|SI|ML|LL|LR|RL|HF|IS|CR|W|L|H|D|transverse|trans|craniocaudal|cranio-caudal"
    r"|anteroposterior|antero-posterior|sagittal|coronal|axial|long|wide|high|deep|length|width|height|depth)\b\)?"
)
_BEHIND = rf"(?:\s{{0,2}}{_AXIS})?"
_JOIN = rf"{_BEHIND}\s{{0,2}}(?:[x×*]|by)\s{{0,2}}(?:{_AXIS}\s{{0,2}})?"
_SIZE = re.compile(
    rf"(?<![\w.,])(?P<a>{_NUMBER})[\s-]{{0,2}}(?P<ua>{_UNIT})?"
    rf"(?:{_JOIN}(?P<b>{_NUMBER})[\s-]{{0,2}}(?P<ub>{_UNIT})?)?"
    rf"(?:{_JOIN}(?P<c>{_NUMBER})[\s-]{{0,2}}(?P<uc>{_UNIT})?)?",
    re.IGNORECASE,
)
# "12/9 mm" is long and short axis; "1/2 cm" and "3 1/2 cm" are a share of one.
_SLASHED = re.compile(rf"(?<![\w.,/])(?P<a>{_NUMBER})\s?/\s?(?P<b>{_NUMBER})\s?(?P<unit>{_UNIT})", re.IGNORECASE)
_SHARED = re.compile(
    r"(?<![\w.,/])(?:(?P<whole>\d{1,2})(?:\s|-| and ))?(?P<part>[1-7])/(?P<of>[248])\s?-?(?P<unit>cms?|inch(?:es)?)\b",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"(?<![\w.,])(?P<a>{_NUMBER})\s{{0,2}}(?P<first>{_UNIT})?\s{{0,2}}(?:-|–|to)\s{{0,2}}(?P<b>{_NUMBER})"
    rf"\s?(?P<unit>{_UNIT})",
    re.IGNORECASE,
)
# By how much it has changed, which is no size: "grown by 3 mm to 8 mm", "a 2 mm increase".
_BY = re.compile(
    r"\b(?:(?:gr[eo]w\w*|increas\w+|decreas\w+|enlarg\w+|shr[aiu]nk\w*|reduc\w+|diminish\w+|progress\w+|larger|smaller"
    r"|bigger|longer|shorter|thicker|thinner)(?:\s+(?:in|of)\s+\w+)?\s+by"
    r"|(?:has|have)\s+(?:grown|increased|decreased|shrunk|enlarged)(?:\s+in\s+\w+)?)"
    r"\s+(?:about|approximately|approx\.?|circa|another|some|only|~)?\s{0,2}$",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"^[\s-]{0,2}(?:(?:interval|net)\s)?(?:increase|decrease|growth|reduction)\b|^\s{0,2}(?:larger|smaller|bigger|longer"
    r"|shorter|thicker|thinner|more|less)\s(?:than|since|compared)\b",
    re.IGNORECASE,
)
# How far a size may be off, which is no size: "20 ± 5 mm", "20 mm (+/- 5 mm)".
_MARGIN = re.compile(
    rf"\s{{0,2}}\(?(?:±|\+/?-|plus (?:or )?minus)\s{{0,2}}{_NUMBER}[\s-]{{0,2}}(?P<unit>{_UNIT}|%)?\)?", re.IGNORECASE
)
# A distance from a landmark, a thickness of slices, a dose of contrast: no size of a finding.
_DISTANCE = re.compile(
    r"^\W{0,3}(?:above|below|from(?!\s+\d)|superior to|inferior to|proximal|distal|cephalad|caudal|away|beyond"
    r"|slices?|sections?|collimation|interval|thick slices)\b",
    re.IGNORECASE,
)
_MEASURED = re.compile(r"(?:measur\w+|diameter of|size of|up to|size:)\s*(?:approximately |about )?$", re.I)
# What was measured at an earlier examination, by the words before or after it; the weak ones only beside another size.
_EARLIER = re.compile(
    r"(?:prior|previous(?:ly)?|prev\.?|earlier|formerly|before|baseline|having been|had been|used to be"
    r"|compared (?:to|with)|vs\.?|versus|last (?:time|exam|scan|study|week|month|year)|initially|originally|old|nadir)"
    r"[\s:(]{0,2}(?:measure[ds]?|measuring|measurement|size|of|at|was|up to|approximately|about|approx\.?|study|scan"
    r"|exam|ct|mr|~|[\s:(]){0,4}$",
    re.IGNORECASE,
)
_EARLIER_AFTER = re.compile(
    r"^\s{0,2}(?:-{1,2}>|=>|→)|^[\s,(]{0,2}(?:(?:which (?:it )?)?(?:was|were) )?(?:at baseline|yesterday"
    r"|(?:on|at) (?:the )?(?:prior|previous|last|earlier|first|initial|preceding)"
    r"|(?:prior|prev\.?|previous|old)(?=\s?[)\]])|in (?:\w+ )?(?:19|20)\d\d"
    r"|last (?:week|month|year|time)|on admission|(?:\w+ ){1,2}ago"
    r"|(?:previously|before|earlier|formerly|initially|originally)"
    r"(?!\W{0,3}(?:(?:measur\w+|at|was|of|size|about|approximately)\W+)?\d))\b",
    re.IGNORECASE,
)
_WEAKLY_EARLIER = re.compile(
    r"\b(?:was|were|measured|from|then|than|against)[\s:(]{0,2}(?:about |approximately )?$", re.I
)
_WEAKLY_EARLIER_AFTER = re.compile(r"^[\s,(]{0,2}then\b", re.I)
_NOW = re.compile(r"\b(?:now|currently|today|current|presently|this time)\W{0,2}(?:\w+\W+){0,2}$", re.IGNORECASE)
# Between two sizes of one finding: "the 8 mm nodule in the right upper lobe now measures 11 mm".
_NOW_IS = re.compile(
    r"^(?:(?!\b(?:and|or|while|whereas|but|with|another|second)\b)[^;:.,])*,?\s{0,2}(?:which |has |is )?"
    r"(?:now|currently|today|presently)\s(?:(?:measur\w+|is|at|up to|has grown to|has increased to)[\s\w]{0,16})?$",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"\bfrom\s*$", re.IGNORECASE)
_RANGING = re.compile(r"\b(?:rang|var)\w*\s+(?:\w+\s+){0,2}from\s*$", re.IGNORECASE)
_LOOK_BACK = 48  # characters
# No finding of a human body is larger; smaller is not resolved by any of the modalities.
LARGEST_MM, SMALLEST_MM = 600.0, 0.05


@dataclass(frozen=True)
class Size:
    """A size of a finding.

    Attributes:
        start, end: characters of the sentence, half-open.
        mm: one to three dimensions as said, in millimetres.
        problem: why it is not taken (`size-without-unit`, `absurd-size`), or None.
        is_earlier: it was measured at an earlier examination.
    """

    start: int
    end: int
    mm: tuple[float, ...]
    problem: str | None = None
    is_earlier: bool = False


def current(found: Sequence[Size]) -> list[Size]:
    """The sizes of this examination."""
    return [size for size in found if not size.is_earlier]


def sizes(sentence: str) -> list[Size]:
    """Sizes of a sentence in reading order; of a range ("3-5 mm") the larger, of a change ("from 7 to 9") the later."""
    found = list(_found(sentence))
    marked = [replace(size, is_earlier=_is_earlier(sentence, size, _EARLIER, _EARLIER_AFTER)) for size in found]
    for index, size in enumerate(marked):
        if not size.is_earlier and _is_earlier(sentence, size, _WEAKLY_EARLIER, _WEAKLY_EARLIER_AFTER):
            others = (*marked[:index], *marked[index + 1 :])
            marked[index] = replace(size, is_earlier=any(not other.is_earlier and other.mm for other in others))
    for index, later in enumerate(marked[1:]):
        if not marked[index].is_earlier and _NOW_IS.search(sentence[marked[index].end : later.start]):
            marked[index] = replace(marked[index], is_earlier=True)
    return marked


def _is_earlier(sentence: str, size: Size, before: re.Pattern[str], after: re.Pattern[str]) -> bool:
    upto = sentence[max(0, size.start - _LOOK_BACK) : size.start]
    if _NOW.search(upto):
        return False
    return before.search(upto) is not None or after.match(sentence[size.end : size.end + _LOOK_BACK]) is not None


def _found(sentence: str) -> Iterator[Size]:
    taken = 0
    ranges = {match.start(): match for match in _RANGE.finditer(sentence)}
    slashed = {match.start(): match for match in _SLASHED.finditer(sentence)}
    shared = {match.start(): match for match in _SHARED.finditer(sentence)}
    for match in _SIZE.finditer(sentence):
        if match.start() < taken:
            continue
        span = ranges.get(match.start())
        if span is not None:
            upto = sentence[: match.start()]
            is_change = _CHANGED.search(upto) is not None and _RANGING.search(upto) is None
            first, last = _number(span["a"]), _number(span["b"])
            unit, numbers, end = span["unit"], [last if is_change else max(first, last)], span.end()
            if span["first"] and _length(first, span["first"]) > _length(last, unit) and not is_change:
                unit, numbers = span["first"], [first]
        elif part := shared.get(match.start()):
            unit, end = part["unit"], part.end()
            numbers = [int(part["whole"] or 0) + int(part["part"]) / int(part["of"])]
        elif both := slashed.get(match.start()):
            unit, numbers, end = both["unit"], [_number(both["a"]), _number(both["b"])], both.end()
        else:
            numbers = [_number(match[name]) for name in "abc" if match[name]]
            unit = next((match[name] for name in ("uc", "ub", "ua") if match[name]), None)
            end = match.end()
        if margin := _MARGIN.match(sentence, end):
            unit, end = unit or (margin["unit"] if margin["unit"] != "%" else None), margin.end()
        if _DISTANCE.match(sentence[end : end + 24]):
            continue
        if unit and _BY.search(sentence[max(0, match.start() - _LOOK_BACK) : match.start()]):
            taken = span.start("b") if span else end  # "grown by 3 mm to 8 mm"
            continue
        if unit and not span and _MORE.match(sentence[end : end + _LOOK_BACK]):
            taken = end
            continue
        if unit is None:
            if len(numbers) > 1 or _MEASURED.search(sentence[max(0, match.start() - 30) : match.start()]):
                yield Size(match.start(), end, (), "size-without-unit")
            continue
        taken = end
        yield _judged(match.start(), end, numbers, unit)


def _judged(start: int, end: int, numbers: list[float], unit: str) -> Size:
    mm = tuple(round(_length(number, unit), 4) for number in numbers)
    absurd = not all(SMALLEST_MM <= length <= LARGEST_MM for length in mm)
    return Size(start, end, mm, "absurd-size" if absurd else None)


def _length(number: float, unit: str) -> float:
    """A length in millimetres."""
    name = unit.lower()
    return number * _UNITS_MM[_UNIT_NAMES.get(name, name)]


def _number(text: str) -> float:
    """A decimal comma counts as a point: no finding needs a thousands separator."""
    return float(text.replace(",", "."))
