"""What a sentence says of a lesion: its SUVmax, the slices that show it, its side, and its name without those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from voxtile_medical.reports.text.sections import sentences

Picture: TypeAlias = Literal["PT", "CT"]
_NOT_FINDINGS = frozenset({"indication", "comparison", "technique"})

_NUMBER = r"(?P<value>\d{1,3}(?:[.,]\d{1,2})?)(?![\d.,]*\d)(?!\s*(?:mm|cm|%))"
# "from 9.1 to 4.2": the later of the two is today's.
_LATER = r"(?:\s+to\s+(?:SUV[-_ ]?max\s+)?(?P<later>\d{1,3}(?:[.,]\d{1,2})?)(?![\d.,]*\d)(?!\s*(?:mm|cm|%)))?"
_SUV = re.compile(
    r"(?<!peak )(?<!mean )(?:(?P<max>max(?:imum|imal)?)\.?\s+)?"
    r"\b(?:SUV|standardi[sz]ed uptake values?)(?![ -]?(?:mean|avg|average|peak|ratio))"
    r"[-_ ]?\(?(?P<max2>max(?:imum)?\b|max)?\)?"
    r"(?:\s*(?:values?|of|is|was|at|up to|approximately|about|measures|measuring|now|currently)\b|\s*[:=~≈])*"
    r"\s*(?:(?:de|in)creased|changed|rose|fell)?\s*(?:from\s+\d{1,3}(?:[.,]\d{1,2})?\s+to\s+)?" + _NUMBER + _LATER,
    re.IGNORECASE,
)
_FROM = re.compile(r"\bfrom\s+(?:an?\s+)?$", re.IGNORECASE)
_EARLIER = re.compile(
    r"(?:prior|previous|previously|earlier|formerly|compared (?:to|with)|versus|vs\.?|last)"
    r"\s*(?:an?|the|its|study)?\s*$",
    re.IGNORECASE,
)
_SERIES = r"(?:series|ser\.?|se\.?)\s*[:#]?\s*(?P<series>\d{1,4})"
_IMAGE = (
    r"(?:images?|img\.?|im\.?|slices?|sl\.?)\s*(?:number|no\.?|#)?\s*[:#]?\s*"
    r"(?P<first>\d{1,4})(?:\s*(?:-|–|to)\s*(?P<last>\d{1,4}))?"
)
_NO_LENGTH = r"(?!\d)(?!\.\d)(?!\s*(?:mm|cm|thick|min|second)\b)"
_PLACES = (
    re.compile(rf"\b{_SERIES}\s*[,;/-]?\s*(?:and\s+|on\s+)?{_IMAGE}{_NO_LENGTH}", re.IGNORECASE),
    re.compile(rf"\b{_IMAGE}\s*[,;/]?\s*(?:of|on|in|from)?\s*(?:the\s+)?{_SERIES}\b", re.IGNORECASE),
    re.compile(r"(?<=\()(?P<series>\d{1,3})\s*[/:]\s*(?P<first>\d{1,4})(?P<last>)(?=\))"),
    re.compile(
        r"\b(?:(?P<before>PET|CT|fused|fusion)[ -]?)?(?:(?:axial|transaxial|transverse)\s+)?"
        r"(?P<between>(?:PET|CT|fused)\s+)?"
        rf"{_IMAGE}{_NO_LENGTH}(?:\s+(?:of|on|in)\s+(?:the\s+)?(?P<after>PET|CT|fused))?",
        re.IGNORECASE,
    ),
)
_DENIED = re.compile(r"^\s*(?:there (?:is|are|was|were) )?(?:no|without|neither|negative for)\b", re.IGNORECASE)
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_SIZE = re.compile(
    r"(?P<size>\d{1,3}(?:\.\d)?)(?:\s*(?:mm|cm)?\s*[x×]\s*\d{1,3}(?:\.\d)?){0,2}\s*(?P<unit>mm|cm)\b", re.IGNORECASE
)
_PARTING = (re.compile(";"), re.compile(r"\band\b|\bas well as\b|\bwhile\b", re.IGNORECASE), re.compile(","))
_MOST_SUV = 150.0  # a bladder reaches that; no lesion more


@dataclass(frozen=True)
class SlicePlace:
    """Slices that a sentence names.

    Attributes:
        series: SeriesNumber, where it names one.
        picture: PT or CT, where it says so.
        first, last: image numbers, from 1.
    """

    series: int | None
    picture: Picture | None
    first: int
    last: int


@dataclass(frozen=True)
class Mention:
    """A lesion with an SUVmax and a place.

    Attributes:
        sentence: as it stands.
        phrase: the lesion's name, without numbers.
        suv: the value.
        tolerance: half of the last digit that is written.
        says_max: the sentence says that it is the largest value, and not only "SUV".
        place: the slices.
        side: left, right or None.
        size_mm: diameter, where it is named.
    """

    sentence: str
    phrase: str
    suv: float
    tolerance: float
    says_max: bool
    place: SlicePlace
    side: str | None
    size_mm: float | None


@dataclass(frozen=True)
class Unusable:
    """A sentence that names an SUV and gives no mention, and why."""

    sentence: str
    reason: str
    detail: str


def mentions_of(report: str) -> Iterator[Mention | Unusable]:
    """Read the findings and impression of a report, in order; sentences without an SUV are passed over."""
    for sentence in sentences(report):
        if sentence.section not in _NOT_FINDINGS:
            yield from mentions_in(sentence.text)


def mentions_in(sentence: str) -> Iterator[Mention | Unusable]:
    """The mentions of one sentence: each SUV with the slices that it stands beside."""
    values = [match for match in _SUV.finditer(sentence) if not _EARLIER.search(sentence[: match.start()])]
    if not values:
        return
    if _DENIED.match(sentence):
        yield Unusable(sentence, "denied", "the sentence denies uptake")
        return
    places = list(_places(sentence))
    if not places:
        yield Unusable(sentence, "no-slice", "the sentence names an SUV and no slice")
    elif len(values) not in (1, len(places)) or (len(values) == 1 and len(places) > 1):
        why = f"the sentence names {len(values)} SUV and {len(places)} slices, and not which goes with which"
        yield Unusable(sentence, "unclear-pairing", why)
    else:
        own = _parts(
            sentence, [(min(v.start(), a), max(v.end(), b)) for v, ((a, b), _) in zip(values, places, strict=True)]
        )
        for value, (_, place), part in zip(values, places, own, strict=True):
            yield _mention(sentence, value, place, [span for span, _ in places], values, part)


def _parts(sentence: str, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The part of a sentence about each of its pairs of a value and a place; all of it where they interleave."""
    ends = []
    for (_, end), (start, _) in pairwise(pairs):
        if start < end:
            return [(0, len(sentence))] * len(pairs)
        mark = next((m for mark in _PARTING if (m := mark.search(sentence, end, start))), None)
        ends.append(end if mark is None else mark.start())
    return list(zip([0, *ends], [*ends, len(sentence)], strict=True))


def _mention(
    sentence: str,
    value: re.Match[str],
    place: SlicePlace,
    spans: list[tuple[int, int]],
    values: list[re.Match[str]],
    part: tuple[int, int],
) -> Mention | Unusable:
    later = value["later"] if _FROM.search(sentence[: value.start()]) else None
    text = (later or value["value"]).replace(",", ".")
    suv, decimals = float(text), len(text.partition(".")[2])
    if not 0 < suv <= _MOST_SUV:
        return Unusable(sentence, "implausible-suv", f"an SUV of {text} is not plausible")
    if place.last < place.first:
        return Unusable(sentence, "no-such-slice", f"images {place.first} to {place.last} are no range")
    taken = [*spans, *(v.span() for v in values)]
    first, last = part
    own = sentence[first:last]
    phrase = phrase_of(own, [(a - first, b - first) for a, b in taken if first <= a and b <= last])
    if not phrase:  # "nodules with SUVmax 3.1 (image 4) and SUVmax 5.2 (image 9)"
        own, phrase = sentence, phrase_of(sentence, taken)
    sides = {side.lower() for side in _SIDE.findall(own)}
    size = _SIZE.search(own)
    if not phrase:
        return Unusable(sentence, "no-name", "the sentence does not say what has that SUV")
    return Mention(
        sentence=sentence,
        phrase=phrase,
        suv=suv,
        tolerance=0.5 * 10.0**-decimals,
        says_max=bool(value["max"] or value["max2"]),
        place=place,
        side=sides.pop() if len(sides) == 1 else None,
        size_mm=float(size["size"]) * (10 if size["unit"].lower() == "cm" else 1) if size else None,
    )


def _places(sentence: str) -> Iterator[tuple[tuple[int, int], SlicePlace]]:
    """Spans and places in the order of the sentence; the most explicit form of each counts."""
    taken: list[tuple[tuple[int, int], SlicePlace]] = []
    for pattern in _PLACES:
        for match in pattern.finditer(sentence):
            if all(match.end() <= start or match.start() >= end for (start, end), _ in taken):
                taken.append((match.span(), _place(match)))
    yield from sorted(taken, key=lambda item: item[0])


def _place(match: re.Match[str]) -> SlicePlace:
    groups = match.groupdict()
    word = next((groups[k].strip().upper() for k in ("before", "between", "after") if groups.get(k)), "")
    picture: Picture | None = "PT" if word == "PET" else "CT" if word == "CT" else None
    first = int(match["first"])
    return SlicePlace(
        int(groups["series"]) if groups.get("series") else None, picture, first, int(groups.get("last") or first)
    )


_FILLERS = re.compile(
    r"^(?:there (?:is|are)|is|are|an?|the|again|also|noted is|and|in(?= the\b)|as well as|another(?= in\b))\s+|"
    r"^[\s,;:.)-]+|[\s,;:.(-]+$|"
    r"[\s,;:(]*\b(?:with|on|at|of|in|to|and|is seen|are seen|now|now has|"
    r"measuring|measures|demonstrates?|shows?|has|having|up to|from|a|an|the|axial|fused)$",
    re.IGNORECASE,
)
_EARLIER_VALUE = re.compile(
    r"[,(]?\s*\b(?:previously|formerly|prior|was|compared (?:to|with))\b[^,.;()]*\d[\d.,]*\)?", re.IGNORECASE
)
_OTHER_SUV = re.compile(r"\bSU[VL]\S*(?:\s*(?:of|is|was|:|=))?\s*\d[\d.,]*\d?", re.IGNORECASE)


def phrase_of(sentence: str, spans: list[tuple[int, int]]) -> str:
    """The lesion's name: the sentence without the spans, sizes and other values; empty where nothing is left.

    >>> phrase_of("FDG-avid nodule, 14 mm, with SUVmax 8.3 (image 12), left lung.", [(29, 39), (41, 49)])
    'FDG-avid nodule, left lung'
    """
    text = sentence
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]}|{text[end:]}"
    for pattern in (_EARLIER_VALUE, _OTHER_SUV, _SIZE):
        text = pattern.sub("|", text)
    pieces = [_trimmed(piece) for piece in re.split(r"\|+", text.replace("(|", "|").replace("|)", "|"))]
    return ", ".join(dict.fromkeys(piece for piece in pieces if re.search(r"[A-Za-z]{3}", piece)))


def _trimmed(text: str) -> str:
    text = " ".join(text.split())
    while (shorter := _FILLERS.sub("", text).strip()) != text:
        text = shorter
    return text
