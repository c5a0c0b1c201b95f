"""Names as headers write them in the scripts of the world: how they may stand in a text.

Sources: DICOM PS3.5 6.1 (character repertoires and escapes) and annexes H to K (names in Japanese, Korean and Chinese).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ESCAPE = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]")  # ISO 2022; left where a reader knows the set but not its escape
# What a header that states no set, or a wrong one, was written in: it reads as Latin-1, which has a sign for each byte.
_MISTAKEN = ("utf-8", "gb18030", "euc_kr", "shift_jis")
# Kana, Hangul, ideographs, Thai, Lao, Khmer, Burmese: words may stand without spaces between them.
_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f]"
)


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
