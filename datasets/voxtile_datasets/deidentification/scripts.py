"""Names as headers write them in the scripts of the world: how they may stand in a text.

Sources: DICOM PS3.5 6.1 (character repertoires and escapes) and annexes H to K (names in Japanese, Korean and Chinese).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

_ESCAPE = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]")  # ISO 2022; left where a reader knows the set but not its escape
# What a header that states no set, or a wrong one, was written in: it reads as Latin-1, which has a sign for each byte.
_MISTAKEN = ("utf-8", "gb18030", "euc_kr", "shift_jis")
# Kana, Hangul, ideographs, Thai, Lao, Khmer, Burmese: words may stand without spaces between them.
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f]"
)


_WITHIN = "[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff]*"  # accents as signs of their own, and what is not seen
_ALONE = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "ß": "s", "æ": "a", "œ": "o", "þ": "t"}
# Letters that headers without accents write as two, and these as one: Müller and MUELLER, Weiß and WEISS.
_AS_TWO = {"ä": "ae", "æ": "ae", "ö": "oe", "ø": "oe", "œ": "oe", "ü": "ue", "å": "aa", "ß": "ss", "þ": "th"}
_APOSTROPHES = "'’‘ʼ´`"
HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015"
_TITLES = "先生|女士|小姐|太太|氏|さん|様|殿|씨|님"  # what follows a family name without a space


def readings(text: str) -> Iterator[str]:
    """A header's text, without escapes, and what it says where its character set was not the one that was stated."""
    plain = _ESCAPE.sub("", text)
    yield plain
    if plain.isascii():
        return
    try:
        raw = plain.encode("latin-1")
    except UnicodeEncodeError:
        return
    for charset in _MISTAKEN:
        try:
            yield raw.decode(charset)
        except UnicodeDecodeError:
            continue


def stands_without_spaces(word: str) -> bool:
    """Whether a word may be written together with those beside it."""
    return _WITHOUT_SPACES.search(word) is not None


def spelling(word: str) -> str:
    """A pattern of a word however it is spelt: its letters with and without accents, as one sign or two.

    ``Müller``, ``MUELLER``, ``MULLER`` and ``Mu`` + diaeresis + ``ller`` are one name; so are ``O'Brien``, ``O’Brien``
    and ``OBrien``, and ``Smith-Jones`` and ``Smith Jones``. To be compiled without regard to case.
    """
    word = unicodedata.normalize("NFC", word).lower()
    if stands_without_spaces(word):
        return "|".join(dict.fromkeys(re.escape(unicodedata.normalize(form, word)) for form in ("NFC", "NFD", "NFKC")))
    found, at = [], 0
    while at < len(word):
        one = next((one for one, two in _AS_TWO.items() if word.startswith(two, at)), "")
        if one:
            ones = "".join(sign for sign, two in _AS_TWO.items() if two == word[at : at + 2])
            marks = "".join(f"|{re.escape(decomposed)}" for sign in ones if (decomposed := _decomposed(sign)) != sign)
            found.append(f"(?:{_letter(word[at])}{_letter(word[at + 1])}|[{ones}{ones.upper()}]{_WITHIN}{marks})")
            at += 2
            continue
        sign, at = word[at], at + 1
        if two := _AS_TWO.get(sign):
            found.append(f"(?:{''.join(map(_letter, two))}|{_letter(sign)})")
        elif sign.isspace():
            found.append(r"\s+")
        elif sign in HYPHENS:
            found.append(rf"[\s\u00ad{HYPHENS[1:]}-]*")
        elif sign in _APOSTROPHES:
            found.append(rf"[\s{_APOSTROPHES}]?")
        else:
            found.append(_letter(sign))
    return "".join(found)


def _decomposed(sign: str) -> str:
    return unicodedata.normalize("NFD", sign)


def _plain(sign: str) -> str:
    """A letter without its accents, in lower case."""
    return _ALONE.get(sign.lower(), _decomposed(sign)[0].lower())


@cache
def _latin() -> dict[str, str]:
    """Each plain letter with all that are it with accents (Latin-1, Extended-A and B, Additional)."""
    found: dict[str, str] = {}
    for sign in map(chr, [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]):
        if sign.isalpha():
            found[_plain(sign)] = found.get(_plain(sign), "") + sign
    return found


def _letter(sign: str) -> str:
    plain = _plain(sign)
    others = _latin().get(plain, "")
    return (f"[{re.escape(plain)}{others}]" if others else re.escape(sign)) + _WITHIN


def joined_names(person: str) -> Iterator[str]:
    """Family and given name written together, where the script has no spaces: 王^小东 is 王小东 in a text.

    Args:
        person: as in DICOM, groups apart by `=` and components by `^`.
    """
    for group in person.split("="):
        family, _, rest = group.partition("^")
        given = rest.partition("^")[0]
        if family and given and stands_without_spaces(family) and stands_without_spaces(given):
            yield family + given


def single_letter_names(parts: Iterable[str]) -> re.Pattern[str] | None:
    """Names of one letter (王, 김) where they are names: as a word of their own, or before a title.

    Within other words the letter says something else: 王 is a king, 金 is gold.

    Args:
        parts: parts of people's names, of any length.
    """
    letters = "".join(sorted(part for part in parts if len(part) == 1 and stands_without_spaces(part)))
    return re.compile(rf"(?<![^\W_])[{letters}](?=(?:{_TITLES})|[\W_]|$)") if letters else None
