"""Texts without what identifies: blanks as in MIMIC, or surrogates that read like what they stand for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

from voxtile.corpus.identity import KeyedHash
from voxtile_datasets.deidentification.find import identifiers
from voxtile_datasets.deidentification.identifier import Identifier, without_overlaps
from voxtile_datasets.deidentification.scrub import BLANK, composed, spans_of_form, spans_of_header
from voxtile_datasets.deidentification.vocabulary import report_words
from voxtile_datasets.deidentification.word_classes import closed, given_names
from voxtile_datasets.plain_text import plain_text

OLD_AGE = "90+"
_COMMON = 500  # names that surrogates are drawn from
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_LONG_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_NUMERIC = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{2,4})")
_SPELT = re.compile(r"(\d{1,2})([ .-]+)([A-Za-z]{3,9})(\.?,?[ .-]+)(\d{4})|([A-Za-z]{3,9})(\.? )(\d{1,2})(,? )(\d{4})")


@dataclass(frozen=True)
class Surrogates:
    """Made-up names and shifted dates of one subject: the same name and the same interval wherever they stand.

    Attributes:
        hasher: the corpus's key; without it nobody can tell which surrogate stands for which name.
        subject: the subject's own identifier.
    """

    hasher: KeyedHash
    subject: str

    def of(self, text: str, kind: str) -> str:
        """What is written for an identifier; a blank where nothing true can be."""
        if kind == "name":
            return _words().sub(lambda match: self._name(match.group()), text)
        return (self._date(text) or BLANK) if kind == "date" else BLANK

    def _name(self, word: str) -> str:
        low = word.lower()
        if low in closed("particles"):
            return word
        number = int(self.hasher.hash("surrogate name", f"{self.subject}\0{low}")[:8], 16)
        if len(word) == 1:
            return chr(ord("A") + number % 26)
        drawn = _drawn(low in given_names())
        chosen = drawn[number % len(drawn)]
        if chosen == low:
            chosen = drawn[(number + 1) % len(drawn)]
        return chosen.upper() if word.isupper() else chosen.capitalize() if word[0].isupper() else chosen

    def _date(self, text: str) -> str | None:
        """The day moved as the dates of the subject's headers are; None where the text does not say which day."""
        shift = timedelta(days=self.hasher.date_shift_days(self.subject))
        for pattern, moved in ((_NUMERIC, _moved_numeric), (_SPELT, _moved_spelt)):
            match = pattern.fullmatch(text)
            if match:
                try:
                    return moved(match, shift)
                except (ValueError, OverflowError):
                    return None
        return None


def deidentified(
    text: str,
    people: Iterable[str] = (),
    numbers: Iterable[str] = (),
    places: Iterable[str] = (),
    surrogates: Surrogates | None = None,
) -> str:
    """A report's text without what identifies.

    Args:
        text: of a report; markup of RTF and HTML is taken off, since letters are codes in it.
        people: names that the study's own headers hold, as `scrub` takes them.
        numbers: such numbers and dates.
        places: such institutions and addresses.
        surrogates: write made-up names and shifted dates; blanks where it is None. An age over 89 becomes "90+".
    """
    text = composed(plain_text(text))
    written, end = [], 0
    for item in without_overlaps(_found(text, people, numbers, places)):
        written.append(text[end : item.start])
        identifier = text[item.start : item.end]
        if item.kind == "age":
            written.append(OLD_AGE)
        else:
            written.append(surrogates.of(identifier, item.kind) if surrogates else BLANK)
        end = item.end
    return ("".join(written) + text[end:]).strip()


def _found(text: str, people: Iterable[str], numbers: Iterable[str], places: Iterable[str]) -> Iterator[Identifier]:
    known = (*spans_of_header(text, people, numbers, places), *spans_of_form(text))
    # A name beside a title is among those of `identifiers`, which leave the title.
    titled = {span for span in spans_of_form(text) if span[0] == "name"}
    yield from (Identifier(start, end, kind) for kind, start, end in known if (kind, start, end) not in titled)
    yield from identifiers(text, report_words())


@cache
def _words() -> re.Pattern[str]:
    """Words with the vowels and tones that are signs of their own (Thai, Devanagari, pointed Hebrew and Arabic)."""
    signs = "".join(sign for sign in map(chr, range(0x300, 0x10000)) if unicodedata.category(sign)[0] == "M")
    return re.compile(rf"[^\W\d_](?:[^\W\d_]|[{signs}])*(?:['’](?:[^\W\d_]|[{signs}])+)*")


@cache
def _drawn(given: bool) -> tuple[str, ...]:
    """The most common family names, or given names, which name no finding: Murphy has a sign, and NASH is a liver."""
    names = ("dist.female.first", "dist.male.first") if given else ("dist.all.last",)
    lists = [
        (files("names") / name).read_text(encoding="ascii").splitlines()[: _COMMON // len(names)] for name in names
    ]
    found = {line.split()[0].lower() for group in lists for line in group}
    return tuple(sorted(found - report_words()))


def _moved_numeric(match: re.Match[str], shift: timedelta) -> str | None:
    first, stroke, second, third = match.groups()
    if len(first) == 4:
        day = date(int(first), int(second), int(third)) + shift
        return f"{day.year}{stroke}{day.month:0{len(second)}d}{stroke}{day.day:0{len(third)}d}"
    year = int(third) + (0 if len(third) == 4 else 2000 if int(third) < 69 else 1900)  # POSIX's pivot
    day_first, month_first = int(second) <= 12, int(first) <= 12
    if day_first == month_first and stroke != "." and first != second:
        return None  # 03/04/2021 is March in one country and April in another
    day_first = day_first or stroke == "."
    day = date(year, *((int(second), int(first)) if day_first else (int(first), int(second)))) + shift
    parts = (day.day, day.month) if day_first else (day.month, day.day)
    last = f"{day.year}" if len(third) == 4 else f"{day.year % 100:02d}"
    return f"{parts[0]:0{len(first)}d}{stroke}{parts[1]:0{len(second)}d}{stroke}{last}"


def _moved_spelt(match: re.Match[str], shift: timedelta) -> str | None:
    day, gap, month, gap2, year, month2, gap3, day2, gap4, year2 = match.groups()
    name = month or month2
    number = _MONTHS.index(name[:3].lower()) + 1
    moved = date(int(year or year2), number, int(day or day2)) + shift
    spelt = _LONG_MONTHS[moved.month - 1]
    # "22 Apr" is read for an abdominoperineal resection where it stands in small letters as in capitals.
    spelt = spelt[:3] if len(name) < 5 and name.lower() not in ("june", "july") and moved.month != 4 else spelt
    spelt = spelt.upper() if name.isupper() else spelt
    if month:
        return f"{moved.day}{gap}{spelt}{gap2}{moved.year}"
    return f"{spelt}{gap3}{moved.day}{gap4}{moved.year}"
