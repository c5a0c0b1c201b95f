"""Vertebrae and ribs that a sentence names one by one, in lists and in ranges: "T9, T10 and L3", "ribs 4 through 7"."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_medical.reports.assertion.grammar import Modifier

_COUNTS = (("C", 7), ("T", 12), ("L", 5))
VERTEBRAE = tuple(f"{letter}{number}" for letter, count in _COUNTS for number in range(1, count + 1))
# Discs, and what is said of the spine from one vertebra to the next.
DISCS = tuple(f"{upper}-{lower}" for upper, lower in itertools.pairwise((*VERTEBRAE, "S1")))
RIBS = tuple(f"rib {number}" for number in range(1, 13))
_PLACE = {name.lower(): index for index, name in enumerate(VERTEBRAE)}
_THROUGH = frozenset({"through", "thru", "to", "till", "until"})
_LISTING = frozenset({",", "and", "&", "/", "or"})
# What T1 and T2 are followed by where they are sequences of MR and no vertebrae.
_WEIGHTINGS = frozenset({"t1", "t2"})
_OF_SEQUENCES = frozenset(
    {"dark", "bright", "high", "low", "intermediate", "signal", "shortening", "prolongation", "flair", "fat", "fs",
     "star", "shine", "relaxation", "image", "imaging", "sequence", "w", "wi", "stir", "postcontrast", "contrast"}
)  # fmt: skip
_ENDINGS = frozenset({"th", "st", "nd", "rd"})
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")
_ORDINAL = {word: number for number, word in enumerate((*_ORDINALS, "twelfth"), start=1)}
_UNITS = frozenset({"mm", "cm", "millimeter", "centimeter", "percent", "%", "x", "×", "month", "week", "day", "year"})
_HYPHEN = re.compile(r"\s?[-–—]\s?")


def levels(words: Words) -> list[Match[Modifier]]:
    """The vertebrae, discs and ribs of a sentence, each where its number stands; those within a range at its end."""
    found = [*_vertebrae(words), *_discs(words)]
    if "rib" in words.words:
        found += _ribs(words)
    return found


def is_sequence(words: Sequence[str], position: int) -> bool:
    """Whether "T1" or "T2" says how the picture was weighted, and names no vertebra: "T2 dark lesion"."""
    following = words[position + 1] if position + 1 < len(words) else ""
    is_said = following in _OF_SEQUENCES or following.startswith(("hyper", "hypo", "iso", "weight"))
    return is_said and words[position] in _WEIGHTINGS


def is_level(place: str) -> bool:
    """Whether a place is one vertebra, one disc or one rib."""
    return place in _LEVELS


def _vertebrae(words: Words) -> Iterator[Match[Modifier]]:
    previous: tuple[int, int] | None = None  # index among VERTEBRAE, and the word after it
    for position, word in enumerate(words.words):
        index = None if is_sequence(words.words, position) else _PLACE.get(word)
        if index is None and previous is not None and _is_number(words, position):
            same_part = f"{VERTEBRAE[previous[0]][0].lower()}{word}"
            index = _PLACE.get(same_part) if _links(words, previous[1], position) else None
        if index is None:
            continue
        first = index
        if previous is not None and _is_range(words, previous[1], position) and previous[0] < index:
            first = previous[0] + 1
        for place in range(first, index + 1):
            yield Match(position, position + 1, ("location", VERTEBRAE[place]))
        previous = (index, position + 1)


def _discs(words: Words) -> Iterator[Match[Modifier]]:
    """Discs by the vertebrae above and below: "L4-5", "L4/L5", "L5-S1", "L3/4 to L5/S1"."""
    previous: tuple[int, int] | None = None  # index among DISCS, and the word after it
    for position, word in enumerate(words.words):
        index = _PLACE.get(word)
        following = position + 1
        if index is None or following >= len(words):
            continue
        following += words.words[following] == "/"
        if following > position + 1 or _HYPHEN.fullmatch(words.text[words.ends[position] : words.starts[following]]):
            lower = DISCS[index].split("-")[1].lower()
            next_words = words.words[following : following + 2]
            end = following + (2 if next_words == ("s", "1") else 1)
            if next_words[:1] not in ((lower,), (lower[1:],)) and next_words != ("s", "1"):
                continue
            first = index
            if previous is not None and previous[0] < index and words.words[previous[1]] in _THROUGH:
                first = previous[0] + 1 if previous[1] + 1 == position else index
            for disc in range(first, index + 1):
                yield Match(position, end, ("location", DISCS[disc]))
            previous = (index, end)


def _ribs(words: Words) -> Iterator[Match[Modifier]]:
    previous: tuple[int, int] | None = None
    for position, word in enumerate(words.words):
        number = _ORDINAL.get(word) or (int(word) if word.isdecimal() and len(word) <= 2 else 0)
        if not 1 <= number <= len(RIBS) or not (word in _ORDINAL or _is_of_rib(words, position, previous)):
            continue
        end = position + (2 if _is_ending(words, position) else 1)
        first = number
        if previous is not None and _is_range(words, previous[1], position) and previous[0] < number:
            first = previous[0] + 1
        for rib in range(first, number + 1):
            yield Match(position, end, ("location", RIBS[rib - 1]))
        previous = (number, end)


def _is_of_rib(words: Words, position: int, previous: tuple[int, int] | None) -> bool:
    """Whether a number counts ribs: "4th", "rib 4", "ribs 4 and 7"."""
    if _is_ending(words, position):
        return True
    if not _is_number(words, position):
        return False
    if position and words.words[position - 1] == "rib":
        return True
    return previous is not None and (_links(words, previous[1], position) or _is_range(words, previous[1], position))


def _is_ending(words: Words, position: int) -> bool:
    is_followed = position + 1 < len(words) and words.words[position + 1] in _ENDINGS
    return is_followed and words.ends[position] == words.starts[position + 1]


def _is_number(words: Words, position: int) -> bool:
    following = words.words[position + 1] if position + 1 < len(words) else ""
    return words.words[position].isdecimal() and following not in _UNITS


def _links(words: Words, start: int, position: int) -> bool:
    """Whether only marks of a list or a range stand between two numbers."""
    between = words.words[start:position]
    if not between:
        return _HYPHEN.fullmatch(words.text[words.ends[start - 1] : words.starts[position]]) is not None
    return len(between) <= 2 and all(word in _LISTING or word in _THROUGH for word in between)


def _is_range(words: Words, start: int, position: int) -> bool:
    between: Sequence[str] = words.words[start:position]
    if not between:
        return _links(words, start, position)
    return len(between) == 1 and (between[0] in _THROUGH or between[0] in "-–—")


_LEVELS = frozenset((*VERTEBRAE, *DISCS, *RIBS))
