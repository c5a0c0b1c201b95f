"""Removing identifiers from short texts: those known from a study's headers, and what has an identifier's form.

A form is that of a date, a number or an address, or a name beside a title, a degree or a role ("signed by"). Every hit
becomes `___`, as in MIMIC. For names of structures and the like; reports, whose names no header need hold, go through
`voxtile_datasets.deidentification.replace`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from voxtile_datasets.deidentification.identifier import IdentifierKind
from voxtile_datasets.deidentification.scripts import (
    HYPHENS,
    joined_names,
    readings,
    single_letter_names,
    spelling,
    stands_without_spaces,
)

BLANK = "___"
MIN_NUMBER_LENGTH = 4  # an identifier shorter than this ("12") would blank half of a report
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DATES = re.compile(
    rf"\b(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}"  # 2020-03-12
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}"  # 12/03/2020, 12.03.2020
    rf"|\d{{1,2}}/\d{{1,2}}/\d{{2}}"  # 12/03/20
    rf"|(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 20200312
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ .-]+(?:of )?{_MONTH}[ ,-]+\d{{2,4}}"  # 12 March 2020, 12-Mar-20
    rf"|{_MONTH} +\d{{1,2}}(?:st|nd|rd|th)?,? +\d{{4}})\b",  # March 12, 2020
    re.IGNORECASE,
)
_FORMS = (
    re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.-]+\b"),  # e-mail
    re.compile(r"\bhttps?://\S+", re.IGNORECASE),
    re.compile(r"(?<![\w.])(?:\+\d{1,3}[ -]?)?\(?\d{3}\)?[ -]\d{3}[ -]\d{4}\b"),  # telephone
    re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),  # US social security number
    re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}\b"),  # UID
    re.compile(r"\b(?:MRN|accession(?: (?:number|no\.?))?|patient id)\s*[:#]?\s*[A-Z]*\d[\w-]*", re.IGNORECASE),
)
# A title and the one or two names after it, of which some may be blanked already.
_NAME = rf"(?:{BLANK}[\w'’-]*|[A-Z][\w'’-]+)"
_TITLED = re.compile(
    rf"\b(?:Dr|Prof|Mr|Mrs|Ms|DR|PROF)\b\.?\s+(?:[A-Z]\.\s*)*{_NAME}(?:\s+(?:{BLANK}[\w'’-]*|[A-Z][\w'’-]*[a-z]+))?"
)
_GIVEN = r"(?:[A-Z]\.|[A-Z][\w'’-]*)"  # a name or an initial
_PERSON = rf"{_GIVEN}(?:(?:,?[^\S\n]+|,){_GIVEN}){{0,4}}"  # "SMITH, Jane A."
_DEGREE = (
    r"(?:M\.D\.|MD|D\.O\.|DO|Ph\.D\.|PhD|MBBS|FRCR|FRCPath|FRANZCR|FACR|PA-C|RN)"
    r"(?:,?[^\S\n]+(?:Ph\.D\.|PhD|FRCR|FACR))?"
)
_ACTS = (
    r"(?:electronically |digitally )?(?:signed|dictated|reported|transcribed|verified|approved|authenticated"
    r"|finali[sz]ed|interpreted|read|reviewed|ordered|requested|performed|added) by|(?:discussed|communicated) with"
    r"|communicated to|notified|telephoned to|called to|spoke (?:to|with)"
)
# Words that a finding may stand behind, too, need a colon: "attending: …", and not "the attending physician was".
_ROLES = (
    r"signed|attending|resident|registrar|consultant|fellow|cc|name|patient(?: name)?"
    r"|(?:(?:attending|consultant|referring|reading|resident) )?(?:radiologist|pathologist|physician|clinician|surgeon"
    r"|technologist|sonographer|doctor)"
)
_SIGNED = re.compile(
    rf"(?P<role>\b(?:(?i:{_ACTS})[^\S\n]*:?|(?i:{_ROLES})[^\S\n]*:)[^\S\n]*)"
    rf"{_PERSON}(?:,?[^\S\n]+{_DEGREE}(?!\w))?"
)
_WITH_DEGREE = re.compile(rf"\b(?:{_GIVEN}[^\S\n]+){{1,3}}[A-Z][\w'’-]+,?[^\S\n]+{_DEGREE}(?!\w)")
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")  # hyphens and breaks that PDF and web pages leave within words
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def scrub(text: str, people: Iterable[str] = (), numbers: Iterable[str] = (), places: Iterable[str] = ()) -> str:
    """Remove identifiers from a text.

    Args:
        text: a report.
        people: person names as in DICOM (`Family^Given^Middle`); each part of two letters or more is removed by itself.
        numbers: identifiers such as the patient's and the accession number, dates in the headers' form included.
        places: institutions and addresses, removed as whole phrases.
    """
    text = composed(text)
    for _, pattern in _known(tuple(sorted(set(people))), tuple(sorted(set(numbers))), tuple(sorted(set(places)))):
        text = pattern.sub(BLANK, text)
    text = _DATES.sub(BLANK, text)
    for pattern in (*_FORMS, _TITLED, _WITH_DEGREE):
        text = pattern.sub(BLANK, text)
    return _SIGNED.sub(rf"\g<role>{BLANK}", text).strip()


def spans_of_header(
    text: str, people: Iterable[str] = (), numbers: Iterable[str] = (), places: Iterable[str] = ()
) -> Iterator[tuple[IdentifierKind, int, int]]:
    """Where a text holds what the headers of its study hold, as `scrub` takes it: kind, start and end."""
    for kind, pattern in _known(tuple(sorted(set(people))), tuple(sorted(set(numbers))), tuple(sorted(set(places)))):
        yield from ((kind, *match.span()) for match in pattern.finditer(text))


def spans_of_form(text: str) -> Iterator[tuple[IdentifierKind, int, int]]:
    """What has an identifier's form: its kind (`date`, `name` after a title, or `number`), and where it stands."""
    forms: tuple[tuple[IdentifierKind, tuple[re.Pattern[str], ...]], ...] = (
        ("date", (_DATES,)),
        ("number", _FORMS),
        ("name", (_TITLED,)),
    )
    for kind, patterns in forms:
        for pattern in patterns:
            yield from ((kind, *match.span()) for match in pattern.finditer(text))


def spans_of_known(text: str, names: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where a text holds one of some names or numbers, as whole words and in any case."""
    pattern = _whole_names(frozenset(" ".join(name.split()) for name in names if len(name.strip()) > 1))
    if pattern is not None:
        yield from (match.span() for match in pattern.finditer(text))


@lru_cache(maxsize=4096)
def _whole_names(names: frozenset[str]) -> re.Pattern[str] | None:
    return _any_of(set(names), re.IGNORECASE)


def composed(text: str) -> str:
    """A text whose letters with accents are one sign each: of two, a pattern would read the first as a word's end."""
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text))


def clean_control_characters(text: str) -> str:
    """Remove NUL and other control characters; line breaks and tabs stay."""
    return _CONTROL.sub("", text)


@lru_cache(maxsize=4096)
def _known(
    people: tuple[str, ...], numbers: tuple[str, ...], places: tuple[str, ...]
) -> tuple[tuple[IdentifierKind, re.Pattern[str]], ...]:
    """Patterns for the identifiers of a study, longest first."""
    people = tuple(reading for person in people for reading in readings(person))
    split = {part for person in people for part in re.split(r"[\^=\s,.]+", person)}
    parts = {part for part in split if len(part) > 1}
    parts |= {name for person in people for name in joined_names(person)}
    parts |= {half for part in split for half in re.split(f"[{HYPHENS[1:]}-]", part) if len(half) > 2}
    parts |= {
        re.sub(r"\s", "", name) for person in people for name in re.split(r"[\^=,]", person) if " " in name.strip()
    }
    parts |= {plain for part in parts if len(part) == 2 and (plain := _without_accents(part)) != part}
    long_parts = {part for part in parts if len(part) > 2}
    # Two letters are a name only where they are written as one: "Li" and "LI", but not the "no" of "no effusion".
    short_parts = {form for part in parts - long_parts for form in (part.capitalize(), part.upper())}
    codes = {number for number in numbers if len(number) >= MIN_NUMBER_LENGTH}
    told = (reading for place in places for reading in readings(place))
    phrases = {re.sub(r"\s+", " ", place) for place in told if len(place) >= MIN_NUMBER_LENGTH}
    patterns: list[tuple[IdentifierKind, re.Pattern[str] | None]] = [
        ("number", _any_of(codes, re.IGNORECASE)),
        ("place", _any_of(phrases, re.IGNORECASE)),
        ("name", _any_of(long_parts, re.IGNORECASE, "(?:['’]s)?", spelling)),
        ("name", _any_of(short_parts, re.NOFLAG)),
        ("name", single_letter_names(split)),
    ]
    return tuple((kind, pattern) for kind, pattern in patterns if pattern is not None)


def _as_written(word: str) -> str:
    return re.escape(word).replace(r"\ ", r"\s+")


def _any_of(
    words: set[str], flags: re.RegexFlag, ending: str = "", written: Callable[[str], str] = _as_written
) -> re.Pattern[str] | None:
    if not words:
        return None
    apart, together = (
        "|".join(
            written(word)
            for word in sorted(words, key=lambda w: (-len(w), w))
            if stands_without_spaces(word) == spaceless
        )
        for spaceless in (False, True)
    )
    whole = [rf"(?<![^\W_])(?:{apart}){ending}(?![^\W_])"] if apart else []
    return re.compile("|".join([*whole, *([together] if together else [])]), flags)


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
