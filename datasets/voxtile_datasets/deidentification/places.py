"""Addresses, wards, hospitals and other institutions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from voxtile_datasets.deidentification.identifier import Identifier
from voxtile_datasets.deidentification.word_classes import closed

_CAPITAL = r"[^\W\d_a-zà-öø-ÿ][\w'’.-]*"
_WARD = re.compile(
    r"\b(?:ward|bed|room|rm|bay|cubicle|suite|apt|apartment|cama|icu|nicu|picu|unit)\s*(?:no\.?|#"
    r"|:)?\s*#?((?:[A-Z]{1,6}-?)?\d{1,5}[A-Z]?)\b(?![.,/]\d|\s?(?:mm|cm|ml|mg|units))",
    re.IGNORECASE,
)
_POSTCODE = re.compile(r"\b(?:[A-Z]{1,2}\d[A-Z\d]?\s+\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)\b")  # British, Canadian
_BOX = re.compile(
    r"\b(?:P\.?\s?O\.?\s+Box|Box|RR|Plot|Flat|Unit|Apt\.?|Suite"
    r"|House No\.?)\s+#?\d+[A-Z]?(?:\s+Box\s+\d+)?(?:[ ,]+(?:No\.?\s*)?\d{1,5}[A-Za-z]?)?(?:,?\s+[A-Z][\w'’.-]+){0,4}"
)
_GERMAN = re.compile(
    r"(?<![\w-])[A-ZÄÖÜ][\wäöüß-]{0,40}(?:stra(?:ss|ß)e|str\.|gasse|weg|platz|allee|ring|damm|ufer|hof|markt|steig|straat"
    r"|laan|gracht|gatan|vägen|vej|gade|katu|utca)\s+\d{1,4}[a-z]?\b"
    r"|\b(?:Am|An der|An den|Im|In der|In den|Auf der|Auf dem|Zum|Zur|Unter den|Hinter der|Vor dem"
    r"|Bei der)\s+(?:[A-ZÄÖÜ][\wäöüß-]+\s+){1,3}\d{1,4}[a-z]?\b"
)
_ROMANCE = re.compile(
    r"\b(?:\d{1,4}(?:\s?(?:bis|ter))?,?\s+)?(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Cc]hemin|[Pp]lace|[Qq]uai"
    r"|[Ii]mpasse|[Aa]llée|Calle|Avenida|Avda\.?|C/|Paseo|Plaza|Via|Viale|Piazza|Corso|Rua|Travessa|Carrer)\s+"
    r"(?:(?:de|des|du|la|le|les|del|della|di|da|do|dos|d'|l'|el|los|las)\s*){0,3}[A-ZÀ-Ý][\w'’-]*(?:\s+(?:(?:de"
    r"|des|du|la|le|del|y|et)\s+)*[A-ZÀ-Ý][\w'’-]*)*(?:,?\s+\d{1,4}\b)?"
)
_NAME_PART = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_PLACING = re.compile(r"(?:\b(?:at|from|of|in|to|the|near|by|with|outside|via)[:\s]+|[,;|/]\s*|:\s*)$", re.IGNORECASE)
_CAPITAL_PREPOSITION = re.compile(r"\b(?:AT|FROM|IN|TO|BY|OF|VIA|NEAR|WITH|FOR)\s+(?!THE\b|MEDICAL\b)")
_TOWN = re.compile(rf",\s*{_CAPITAL}(?:\s+{_CAPITAL}){{0,2}}(?=\s*(?:[,.;)]|$|\n))")
_ZIP_TOWN = re.compile(rf"\b(?:in|from|at|,|-)\s*((?:[A-Z]{{1,2}}-)?\d{{4,5}}\s+{_CAPITAL}(?:\s+{_CAPITAL})?)")
_NEAR = 20  # characters before a row of capitals that say whether it is a place
_TAIL = re.compile(
    rf"(?:,?\s+(?:(?:N|S|E|W|NE|NW|SE|SW)\b\.?|(?:Apt|Unit|Suite|Flat"
    rf"|#)\.?\s*\w+))*(?:,\s*{_CAPITAL}(?:\s+{_CAPITAL})*(?![^,;.\n]*:))*(?:,?\s+(?:[A-Z]{{2}}\s+)?\d{{5}}(?:-\d{{4}})?\b)?"
)


def addresses(text: str) -> Iterator[Identifier]:
    """Where a text says a street with its number, a box, a post code, or a ward, a room or a bed."""
    for pattern in (_street(), _GERMAN, _ROMANCE, _BOX):
        for match in pattern.finditer(text):
            if any(c.isdigit() for c in match.group()) or pattern is _ROMANCE:
                tail = _TAIL.match(text, match.end())
                yield _place(text, match.start(), tail.end() if tail else match.end())
    yield from (Identifier(*match.span(1), "place") for match in _ZIP_TOWN.finditer(text))
    yield from (Identifier(*match.span(1), "place") for match in _WARD.finditer(text))
    yield from (Identifier(*match.span(), "place") for match in _POSTCODE.finditer(text))


def institutions(text: str) -> Iterator[Identifier]:
    """Where a text names a hospital, a practice, a home, a school or a firm: the row of capitals with such a word."""
    for start, end in _rows_of_capitals(text):
        words = [part for part in _NAME_PART.finditer(text, start, end) if part.group()[0].isupper()]
        kinds = [part for part in words if _plain(part) in closed("institutions") | closed("institution_heads")]
        named = [part for part in words if part not in kinds and _plain(part) not in closed("protected")]
        if not kinds or not named or all(_is_ordinary(part) for part in named):
            continue
        if all(_plain(part) in closed("ambiguous_institutions") for part in kinds) and not _PLACING.search(
            text, max(0, start - _NEAR), start
        ):
            continue
        tail = _TOWN.match(text, end)
        small = closed("protected") | closed("prepositions")
        first = next(part.start() for part in words if part in named or _plain(part) not in small)
        yield _place(text, first, tail.end() if tail else end)


def _place(text: str, start: int, end: int) -> Identifier:
    """Without the full stop or comma behind it."""
    return Identifier(start, start + len(text[start:end].rstrip(" .,")), "place")


def _rows_of_capitals(text: str) -> Iterator[tuple[int, int]]:
    """Rows of words with capitals; in a line of capitals, what stands behind the last preposition."""
    for match in _rows().finditer(text):
        start = match.start()
        if match.group().isupper():
            start += max((before.end() for before in _CAPITAL_PREPOSITION.finditer(match.group())), default=0)
        yield start, match.start() + len(match.group().rstrip(".,"))


def _plain(word: re.Match[str]) -> str:
    low = word.group().lower().replace("’", "'")
    return low if low in closed("institutions") else re.sub(r"'s?$", "", low)


def _is_ordinary(word: re.Match[str]) -> bool:
    return _plain(word) in closed("departments") or len(word.group()) < 2


@cache
def _street() -> re.Pattern[str]:
    kinds = "|".join(sorted((word.capitalize() for word in closed("streets")), key=len, reverse=True))
    return re.compile(
        rf"(?<![\w/.])(?:\d{{1,5}}(?:[/-]\d{{1,5}})?[A-Za-z]?,?\s+)(?:(?:[NSEW]{{1,2}}\.?|{_CAPITAL}"
        rf"|\d{{1,3}}(?:st|nd|rd|th)|The|de|la|of)\s+){{0,4}}(?:{kinds})\b\.?"
        rf"|(?:(?<=\bon )|(?<=\bin )|(?<=\bat )|(?<=\bof )|(?<=\bnear ))(?:{_CAPITAL}\s+){{1,3}}(?:Street|Road"
        rf"|Lane|Avenue|Drive|Highway|Terrace|Crescent|Boulevard)\b"
    )


@cache
def _rows() -> re.Pattern[str]:
    """A row of words with capitals, of which small words may stand between."""
    inside = "|".join(re.escape(word) for word in sorted(closed("places_inside"), key=len, reverse=True))
    word = r"(?:(?:St|Sta|Ste|Mt)\.|[^\W\d_a-zà-öø-ÿ][\w'’-]*(?:\.[\w'’-]+)*)"
    return re.compile(rf"(?<![\w]){word}(?:(?:\s+(?:{inside}))*[ -]{word})*", re.UNICODE)
