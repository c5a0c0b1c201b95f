"""Names of people, addresses, numbers of people and records, and dates in a text.

Known identifiers are found as they are; others by their form: titles, capitals in the middle of a sentence that no word
of the vocabulary explains, numbers after `patient` or `accession`, streets, e-mail addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from voxtile.words.tokens import normal_form
from voxtile_datasets.captions.checker.extraction.grammar import Grammar, load_grammar
from voxtile_datasets.deidentification.scrub import BLANK, spans_of_form, spans_of_known

IdentityKind: TypeAlias = Literal["name", "place", "number", "address", "date", "known"]
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NAME = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)[\"'(\[]?$")
_STREET = re.compile(
    r"\b\d{1,5}[a-z]?,?\s+(?:(?:[A-Z][\w'’-]+|de|la|le|du|des|del|von|van)\s+){0,4}"
    r"(?:Street|St|Lane|Road|Rd|Avenue|Ave|Drive|Court|Square|Boulevard|Blvd|Way|Close|Terrace|Place|Crescent|Strasse|Straße|Weg|Allee|Platz)\b"
    r"|\b\d{1,5}\s+(?:Rue|Via|Calle|Avenida|Boulevard|Chemin|Place|Piazza|Rua|Ulica)\s+\w+(?:\s+[A-Z]\w+)*"
    r"|\b[A-Z][\w'’]+(?:strasse|straße|gasse|weg|platz|straat|gatan|vej)\s+\d{1,4}\b"
)
# 0031-BX, B-20-11873, ACC-2019-44871, S-014: three digits or more, and a letter or a hyphen.
_CODE = re.compile(r"\b(?=[\w/-]*\d)(?:[A-Za-z]{1,6}[-/_]?\d[\w]*|\d[\w]*)(?:[-/_][\w]+)+\b|\b[A-Za-z]{1,4}\d{4,}\b")
# Counts a field or an area, arms of chromosomes, ratios of genes: "11/mm2", "1p/19q-codeleted", "HER2/CEP17".
_OF_TESTS = re.compile(
    r"\d+/\d*(?:mm2|hpfs?)|\d{1,2}[pq](?:[-/]\d{1,2}[pq])+(?:-\w+)?|HER-?2/C[EH][PR]-?17", re.IGNORECASE
)
_DIGITS = re.compile(r"\d")
_NUMBERED = re.compile(
    r"\b([^\W\d_]+)\b\.?\s*(?:(?:number|no\.?|nr\.?|id|code|#|:|=)\s*){0,3}([A-Za-z]{0,4}[-/]?\d[\w/-]*)", re.IGNORECASE
)
_PHONE = re.compile(r"\+\d{1,3}(?:[ /-]?\d{2,5}){2,4}\b")
_SURNAME = re.compile(r"\b[A-Z][a-z'’-]+, [A-Z]\.(?!\w)")  # Smith, J.
_BLANKED = re.compile(rf"\w+\.?(?:\s+{BLANK})+(?!\s+[A-Z][a-z])")  # Dr. ___, as de-identified reports say it
_BIRTH = re.compile(r"\b(?:born|birth|d\.?o\.?b\.?|died|deceased)\b", re.IGNORECASE)
_DATE_SAID = re.compile(
    r"\b(?P<year>(?:19|20)\d{2})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?\b"
    r"|\b(?P<day3>\d{1,2})[./](?P<month3>\d{1,2})[./](?P<year3>(?:19|20)\d{2})\b"
    r"|\b(?P<month4>0[1-9]|1[0-2])[/.](?P<year4>(?:19|20)\d{2})\b"
    r"|\b(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[\s-]+(?:of\s+)?)?(?P<name>january|february|march|april|may|june|july|august|september"
    r"|october|november|december|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?(?=[\s-]+[\d']))"
    r"(?:[\s-]+(?P<d2>\d{1,2})(?!\d)(?!\s*(?:%|percent\b|per\s+cent\b))(?:st|nd|rd|th)?,?)?(?:,?[\s-]+(?:of\s+)?(?P<y>(?:19|20)\d{2}))?\b"
    r"|\b(?:in|of|from|year|since|during|by|the|this|a|spring|summer|autumn|fall|winter)\s+(?P<alone>(?:19|20)\d{2})\b"
    r"(?!\s*(?:m|km|ha|cars?|houses?|buildings?|trees?|people|metres?|meters?|%)\b)"
    r"|(?<![\w.,-])(?P<bare>(?:19|20)\d{2})(?=\s*(?:[:;,)–—]|and\b|to\b|versus\b|vs\b|\.(?!\d)|$))"
    r"|\b(?:spring|summer|autumn|fall|winter|in|of|since|from|by)\s+['’](?P<short>\d\d)\b"
    r"|\b(?P<decade>(?:19|20)\d)0s\b",
    re.IGNORECASE,
)
_VERBS = ("may", "march")
_LINKING = frozenset(["de", "la", "van", "von", "der", "den", "di", "da", "el", "al", "bin", "du", "del"])
_PLACING = frozenset(["in", "near", "at", "from", "of", "for", "by", "with", "to", "and"])
_CENTURY = 50  # of years in two digits: from here on of the last
_LONG_NUMBER = 3  # digits; shorter numbers name no record by themselves
_LONG_WORD, _FEWEST_IN_TITLE = 4, 3


@dataclass(frozen=True)
class Leak:
    """Something that identifies: its kind, and where it stands in the text."""

    kind: IdentityKind
    start: int
    end: int


@dataclass(frozen=True)
class SaidDate:
    """A date: ISO 8601 as far as it is said (`2023-04`, `--04` for a month alone), and where it stands."""

    text: str
    start: int
    end: int


def leaks(
    text: str,
    known_words: frozenset[str],
    allowed: frozenset[str],
    identifiers: Sequence[str] = (),
    *,
    is_english: bool = True,
    of_places: bool = False,
) -> list[Leak]:
    """What identifies a person, a place of living or a record, in the order of the text, without overlaps.

    Args:
        text: a caption.
        known_words: of the vocabulary, in normal form; a capital does not make names of them.
        allowed: further such words.
        identifiers: names and numbers known of the sample's subject.
        is_english: capitals tell names; in German every noun has one.
        of_places: one word with a capital in the middle of a sentence names a place ("the grey Danube").
    """
    found = [Leak("known", *span) for span in spans_of_known(text, _parts(identifiers))]
    found += [Leak("date" if kind == "date" else _kind(kind), start, end) for kind, start, end in spans_of_form(text)]
    if any(character.isdecimal() for character in text):
        found += [Leak("address", *match.span()) for match in _STREET.finditer(text)]
        found += _numbers(text)
    found += [Leak("name", *match.span()) for match in _SURNAME.finditer(text)]
    if is_english:
        found += _names(text, known_words, allowed, of_places=of_places)
    chosen: list[Leak] = []
    for leak in sorted(found, key=lambda item: (item.start, -item.end)):
        if not chosen or leak.start >= chosen[-1].end:
            chosen.append(leak)
    return [leak for leak in chosen if not ((blank := _BLANKED.match(text, leak.start)) and blank.end() >= leak.end)]


def dates(text: str) -> list[SaidDate]:
    """Dates, months and years that a text says."""
    found = []
    for match in _DATE_SAID.finditer(text):
        part = match.groupdict()
        if part["decade"]:
            found.append(SaidDate(part["decade"], *match.span()))
            continue
        if part["short"]:
            century = "19" if int(part["short"]) >= _CENTURY else "20"
            found.append(SaidDate(century + part["short"], match.start("short") - 1, match.end("short")))
            continue
        if part["bare"]:
            found.append(SaidDate(part["bare"], *match.span()))
            continue
        if part["alone"]:
            found.append(SaidDate(part["alone"], match.start("alone"), match.end("alone")))
            continue
        if part["year3"] or part["year4"]:
            said = _of_numbers(part)
            found += [SaidDate(said, *match.span())] if said else []
            continue
        name = part["name"]
        is_alone = not (part["y"] or part["d"] or part["d2"])
        if name and is_alone and name.lower() in _VERBS and (name[0].islower() or not match.start()):
            continue
        spelt = normal_form(name.rstrip(".")) if name else ""
        month = part["month"] or f"{load_grammar().months[spelt]:02d}"
        year, day = part["year"] or part["y"], part["day"] or part["d"] or part["d2"]
        said = f"{year or '-'}-{month}" + (f"-{int(day):02d}" if day else "")
        found.append(SaidDate(said, *match.span()))
    return found


def _of_numbers(part: Mapping[str, str | None]) -> str | None:
    """ISO 8601 of 14.09.2021, 9/14/2021 and 09/2021; the month is the number that can be one."""
    if part["year4"]:
        return f"{part['year4']}-{part['month4']}"
    day, month = int(part["day3"] or 0), int(part["month3"] or 0)
    if month > 12 >= day:
        day, month = month, day
    return f"{part['year3']}-{month:02d}-{day:02d}" if 1 <= month <= 12 and 1 <= day <= 31 else None


def is_of_birth(text: str) -> bool:
    """Whether a text speaks of a birth or a death."""
    return bool(_BIRTH.search(text))


def _kind(kind: str) -> IdentityKind:
    return "name" if kind == "name" else "number"


@lru_cache(maxsize=4096)
def _split(identifier: str) -> tuple[str, ...]:
    parts = [part for part in re.split(r"[\^=\s,]+", identifier) if len(part) > 2 and not part.islower()]
    whole = " ".join(re.split(r"[\^=\s]+", identifier))
    return (whole, *(parts if len(parts) > 1 else ()))


def _parts(identifiers: Sequence[str]) -> list[str]:
    return [part for identifier in identifiers for part in _split(identifier)]


def _numbers(text: str) -> Iterator[Leak]:
    grammar = load_grammar()
    yield from (Leak("number", *match.span()) for match in _PHONE.finditer(text))
    for match in _CODE.finditer(text):
        if _is_code(match.group(), text[match.end() :]):
            yield Leak("number", *match.span())
    for match in _NUMBERED.finditer(text):
        is_long = len(_DIGITS.findall(match.group(2))) >= _LONG_NUMBER or re.search(r"[A-Za-z]|-", match.group(2))
        if normal_form(match.group(1)) in grammar.records and is_long and not _has_unit(text[match.end() :]):
            yield Leak("number", match.start(2), match.end(2))


def _is_code(code: str, after: str) -> bool:
    """Whether letters, digits and hyphens are the number of a record, and no range, size, sequence or instrument."""
    if len(_DIGITS.findall(code)) < _LONG_NUMBER or _has_unit(after) or _OF_TESTS.fullmatch(code):
        return False
    head = re.split(r"[-/_\d]", code)[0].lower()
    if head in load_grammar().capitals:
        return False
    if re.fullmatch(r"\d+[-/]\d+", code):
        first, second = (int(part) for part in re.split(r"[-/]", code))
        return len(code) > 7 and not (1900 <= first <= second <= 2100)
    return not re.fullmatch(r"\d+-[a-z]+(?:-[a-z]+)*|(?:19|20)\d\d-\d\d(?:-\d\d)?|\d+x\d+|[CTLS]\d+-[CTLS]?\d+", code)


def _has_unit(after: str) -> bool:
    return bool(re.match(r"\s*(?:[x×]\s*\d|mm|cm|m\b|km|ml|HU|%|°|µm|um)", after))


def _names(text: str, known_words: frozenset[str], allowed: frozenset[str], *, of_places: bool) -> Iterator[Leak]:
    words = list(_WORD.finditer(text))
    if not any(match.group()[0].isupper() for match in words):
        return
    is_title = _is_title(text, words)
    grammar = load_grammar()
    explained = _explained(known_words, allowed, grammar)
    index = 0
    while index < len(words):
        run = _run(text, words, index)
        if run is None:
            index += 1
            continue
        yield from _judged(text, words, index, run, explained, grammar, is_title=is_title, of_places=of_places)
        index = run


def _is_title(text: str, words: Sequence[re.Match[str]]) -> bool:
    """Whether a text is written as a title, in which a capital tells nothing: "View Of A Lake And Its Shore"."""
    long_words = [match for match in words if len(match.group()) >= _LONG_WORD]
    inside = [m for m in long_words if not _SENTENCE_START.search(text[: m.start()])]
    return len(inside) >= _FEWEST_IN_TITLE and all(match.group()[0].isupper() for match in inside)


def _explained(known_words: frozenset[str], allowed: frozenset[str], grammar: Grammar) -> Callable[[str], bool]:
    def explains(word: str) -> bool:
        form = normal_form(re.sub(r"['’](?:s|d|ll|m|ve|re)$", "", word))
        return any(form in words for words in (known_words, allowed, grammar.known_words, grammar.capitals))

    return explains


def _run(text: str, words: Sequence[re.Match[str]], index: int) -> int | None:
    """End of the row of capitalised words that begins at a word; None where it has no capital."""
    end = index
    while end < len(words):
        word = words[end].group()
        if end > index and text[words[end - 1].end() : words[end].start()] not in (" ", "-", " -", "- ", ". "):
            break
        if end > index and text[words[end - 1].end() : words[end].start()] == ". " and len(words[end - 1].group()) > 1:
            break
        if _is_capitalised(word) or (
            end > index and word in _LINKING and end + 1 < len(words) and _is_capitalised(words[end + 1].group())
        ):
            end += 1
        else:
            break
    return end if end > index else None


def _is_capitalised(word: str) -> bool:
    is_acronym = word.isupper() or (len(word) > 2 and word[-1] == "s" and word[:-1].isupper())  # WTGs
    return word[0].isupper() and bool(_NAME.fullmatch(word)) and (len(word) == 1 or not is_acronym)


def _judged(
    text: str,
    words: Sequence[re.Match[str]],
    start: int,
    end: int,
    explains: Callable[[str], bool],
    grammar: Grammar,
    *,
    is_title: bool,
    of_places: bool,
) -> Iterator[Leak]:
    """Whether a row of capitalised words is a name: by a role before it, or by two words that nothing explains."""
    first = start
    opens = bool(_SENTENCE_START.search(text[: words[start].start()]))
    if opens:
        opener = words[start].group()
        if len(opener) > 1 and (normal_form(opener) in grammar.roles or explains(opener)):
            first += 1
        elif end - start == 1:
            return
    strange = [i for i in range(first, end) if not explains(words[i].group())]
    if not strange:
        return
    if of_places and opens and first == start and end - start > 1 and not is_title and strange == [start]:
        # "Greenfield Academy has a track": a common noun with a capital inside a sentence is part of a name
        if not words[end - 1].group().isupper() and len(words[start].group()) > 1:
            yield Leak("place", words[start].start(), words[end - 1].end())
        return
    earlier = first - 1
    while earlier > 0 and words[earlier].group() in _LINKING:  # in van der Berg
        earlier -= 1
    before = normal_form(words[earlier].group()) if first else ""
    following = normal_form(words[end].group()) if end < len(words) else ""
    after_role = before in grammar.roles or following in ("family", "household", "estate")
    long_words = [i for i in strange if len(words[i].group()) > 1]
    telling = [i for i in long_words if not (opens and i == start)]  # a sentence opens with a capital
    is_pair = end - first > 1 and len(telling) > 0 and not is_title
    is_place = (
        end - first == 1
        and (before in _PLACING or (of_places and (not opens or first > start)))
        and first > start - 1
        and not is_title
        and bool(long_words)
    )
    if after_role and long_words:
        yield Leak("name", words[first].start(), words[end - 1].end())
    elif is_pair or is_place:  # the Gui River, near Barrelan
        kind: IdentityKind = "place" if is_place or explains(words[end - 1].group()) else "name"
        yield Leak(kind, words[first].start(), words[end - 1].end())
