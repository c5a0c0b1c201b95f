"""Slips of the pen in reports: a word that no list knows becomes the one word of the field that is near to it.

A word that English or the field knows is never changed; nothing is changed where two words of the field are as near, or
where the change would turn a word's beginning or ending into one of another meaning (hypo- and hyper-); see
`spelling.yaml`. Distances are Damerau-Levenshtein's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from symspellpy import SymSpell, Verbosity
from symspellpy.editdistance import DistanceAlgorithm, EditDistance

from voxtile.bounded_text import load_yaml
from voxtile.words.tokens import Words, normal_form

TABLE = Path(__file__).with_name("spelling.yaml")
_SHORTEST, _LONG, _LONGEST = 5, 8, 25  # letters; from _LONG on two slips are corrected, below one
_MOST_SLIPS = 2
_INFLECTIONS = ("ed", "ing", "ly")
# Beginnings that are words of English too, but none of a report: "hyper expanded".
_PARTS = frozenset(
    {"hyper", "hypo", "non", "peri", "para", "sub", "supra", "intra", "inter", "extra", "retro", "pneumo", "cardio"}
)


class Speller:
    """Corrects slips towards the words of a field.

    Args:
        field: its words in normal form; what is corrected becomes one of them.
    """

    def __init__(self, field: Iterable[str]) -> None:
        self._field = frozenset(word for word in field if word.isalpha() and len(word) >= _SHORTEST)
        self._near = SymSpell(max_dictionary_edit_distance=_MOST_SLIPS, prefix_length=7)
        for word in self._field:
            self._near.create_dictionary_entry(word, 1)
        self._found: dict[str, str] = {}

    def corrected(self, words: Words) -> Words:
        """The words with slips corrected, where they stand; a word that was written as two becomes one."""
        words = self._put_together(words)
        if not any(self._is_asked(word) and self._of(word) != word for word in words.words):
            return words
        found = tuple(self._of(word) if self._is_asked(word) else word for word in words.words)
        return Words(words.text, found, words.starts, words.ends)

    def _put_together(self, words: Words) -> Words:
        """The words, those of the field that were written in two parts of which one is no word put together."""
        ends = [i for i, (a, b) in enumerate(itertools.pairwise(words.words)) if self._is_split(a, b)]
        if not ends:
            return words
        found, starts, stops = list(words.words), list(words.starts), list(words.ends)
        for i in reversed(ends):
            found[i : i + 2] = [f"{found[i]}{found[i + 1]}"]
            starts[i : i + 2] = [starts[i]]
            stops[i : i + 2] = [stops[i + 1]]
        return Words(words.text, tuple(found), tuple(starts), tuple(stops))

    def _is_split(self, first: str, second: str) -> bool:
        if first + second not in self._field or not (first.isalpha() and second.isalpha()):
            return False
        if first in _PARTS:
            return True
        return any(part not in _known() and part not in self._field for part in (first, second))

    def _is_word(self, word: str) -> bool:
        return word in _known() or word in self._field

    def _is_asked(self, word: str) -> bool:
        return _SHORTEST <= len(word) <= _LONGEST and word not in self._field and word.isalpha()

    def _of(self, word: str) -> str:
        if word not in self._found:
            self._found[word] = self._nearest(word)
        return self._found[word]

    def _nearest(self, word: str) -> str:
        if not word.isascii() or word in _known() or word.rstrip("s") in _known() or _is_compound(word):
            return word
        if any(word.endswith(end) and self._is_word(word.removesuffix(end)) for end in _INFLECTIONS):
            return word  # "centered"
        slips = _MOST_SLIPS if len(word) >= _LONG else 1
        near = self._near.lookup(word, Verbosity.CLOSEST, max_edit_distance=slips)
        near = [found for found in near if found.term[0] == word[0]] or [found for found in near if found.distance == 1]
        if len(near) != 1:
            return word
        return near[0].term if _keeps_meaning(word, near[0].term) else word


def _is_compound(word: str) -> bool:
    """Whether a word is put together of two that are known: "costovertebral"."""
    known = _known()
    return any(word[:at] in known and word[at:] in known for at in range(_SHORTEST, len(word) - _SHORTEST + 1))


def _keeps_meaning(word: str, other: str) -> bool:
    """Whether no other beginning or ending of the kind of `other`'s may be meant as well.

    A word with another beginning must be two slips farther than `other`, one with another ending one slip.
    """
    beginnings, endings = _pairs()
    distance = _distance(word, other)
    for group in beginnings:
        begins = max((part for part in group if other.startswith(part)), key=len, default="")
        rivals = [part + other[len(begins) :] for part in group if begins and part != begins]
        if any(_distance(word, rival) <= distance + 1 for rival in rivals):
            return False
    for group in endings:
        ends = max((part for part in group if other.endswith(part)), key=len, default="")
        rivals = [other[: -len(ends)] + part for part in group if ends and part != ends]
        if any(_distance(word, rival) <= distance for rival in rivals):
            return False
    return True


def _distance(word: str, other: str) -> int:
    found = EditDistance(DistanceAlgorithm.DAMERAU_OSA).compare(word, other, _MOST_SLIPS + 2)
    return found if found >= 0 else _MOST_SLIPS + 3


@cache
def _pairs() -> tuple[list[list[str]], list[list[str]]]:
    data = load_yaml(TABLE.read_text(encoding="utf-8"))
    return data["beginnings"], data["endings"]


@cache
def _known() -> frozenset[str]:
    """Words of English, and of medicine beside the lexicon's."""
    listed = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig")
    english = {normal_form(line.split(" ", 1)[0]) for line in listed.splitlines()}
    return frozenset(english | {normal_form(word) for word in load_yaml(TABLE.read_text(encoding="utf-8"))["known"]})
