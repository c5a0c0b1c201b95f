"""Slips of the pen in reports: a word that no list knows becomes the one word of the field that is near to it.

A word that English or the field knows is never changed; nothing is changed where two words of the field are as near, or
where the change would turn a word's beginning or ending into one of another meaning (hypo- and hyper-); see
`spelling.yaml`. Distances are Damerau-Levenshtein's. A word that sounds like one word of the field and is none becomes
that, however it is written ("osteofites", "numo thorax").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from symspellpy import SymSpell, Verbosity
from symspellpy.editdistance import DistanceAlgorithm, EditDistance

from voxtile.bounded_text import load_yaml
from voxtile.words.tokens import Words, normal_form

TABLE = Path(__file__).with_name("spelling.yaml")
_SHORTEST, _SHORTEST_PART, _LONG, _LONGEST = 4, 5, 8, 25  # letters; from _LONG on two slips are corrected, below one
_MOST_SLIPS = 2
_MOST_PARTS = 4  # words that a dictation hears in one of the field
_INFLECTIONS = ("ed", "ing", "ly")
# Endings that make another word: "projectional", "residual".
_OPERATION = re.compile(r"(?:ectomy|otomy|ostomy|plasty)$").search
_DERIVES = re.compile(r"(?:al|ed|ic|ly|ar|us|ive)$").search
# Beginnings that are words of English too, but none of a report: "hyper expanded".
_PARTS = frozenset(
    {"hyper", "hypo", "non", "peri", "para", "sub", "supra", "intra", "inter", "extra", "retro", "pneumo", "cardio"}
)


# Letters that sound the same, in the order in which they are replaced; voiced consonants as voiceless ones.
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("^pn|^kn|^gn", "n"),
        ("^ps", "s"),
        ("ph", "f"),
        ("rh", "r"),
        ("ae|oe|ea|ee", "e"),
        ("eu|ew|ou|oo", "u"),
        ("y", "i"),
        ("sc(?=[ei])|c(?=[ei])", "s"),
        ("ch|ck|qu|c|q|g", "k"),
        ("x", "ks"),
        ("z", "s"),
        ("th|d", "t"),
        ("b", "p"),
        ("v", "f"),
        ("h", ""),
        (r"(.)\1+", r"\1"),
    )
)


class Speller:
    """Corrects slips towards the words of a field.

    Args:
        field: its words in normal form; what is corrected becomes one of them.
    """

    def __init__(self, field: Iterable[str]) -> None:
        words = frozenset(field)
        self._short = frozenset(word for word in words if len(word) <= _SHORTEST)
        self._field = frozenset(word for word in words - self._short if word.isalpha())
        self._near = SymSpell(max_dictionary_edit_distance=_MOST_SLIPS, prefix_length=7)
        for word in self._field:
            self._near.create_dictionary_entry(word, 1)
        self._found: dict[str, str] = {}
        self._sounding: dict[str, set[str]] = {}
        for word in self._field:
            if len(word) >= _LONG:
                self._sounding.setdefault(_sound(word), set()).add(word)
        self._long = frozenset(word for word in self._field if len(word) >= _LONG)

    def corrected(self, words: Words) -> Words:
        """The words with slips corrected, where they stand; a word that was written as two becomes one."""
        words = self._put_together(self._heard_as(words))
        found = tuple(
            self._of(word) if self._is_asked(word) and not self._is_short_form(word, words.text[start:end]) else word
            for word, start, end in zip(words.words, words.starts, words.ends, strict=True)
        )
        return words if found == words.words else Words(words.text, found, words.starts, words.ends)

    def _heard_as(self, words: Words) -> Words:
        """The words, those that sound together like one long word of the field as that: "new moth or ax"."""
        spoken = [word.isalpha() and word not in self._long for word in words.words]
        position, found, starts, ends = 0, [], [], []
        while position < len(words):
            whole, width = None, 1
            for width in range(_MOST_PARTS, 2, -1):
                parts = words.words[position : position + width]
                if len(parts) == width and all(spoken[position : position + width]):
                    whole = self._alike("".join(parts))
                if whole is not None:
                    break
            width = width if whole is not None else 1
            found.append(whole or words.words[position])
            starts.append(words.starts[position])
            ends.append(words.ends[position + width - 1])
            position += width
        return words if len(found) == len(words) else Words(words.text, tuple(found), tuple(starts), tuple(ends))

    def _put_together(self, words: Words) -> Words:
        """The words, those of the field that were written in two parts of which one is no word put together."""
        pairs = [(i, self._together(a, b)) for i, (a, b) in enumerate(itertools.pairwise(words.words))]
        ends = [(i, whole) for i, whole in pairs if whole is not None]
        if not ends:
            return words
        found, starts, stops = list(words.words), list(words.starts), list(words.ends)
        for i, whole in reversed(ends):
            found[i : i + 2] = [whole]
            starts[i : i + 2] = [starts[i]]
            stops[i : i + 2] = [stops[i + 1]]
        return Words(words.text, tuple(found), tuple(starts), tuple(stops))

    def _together(self, first: str, second: str) -> str | None:
        """The word of the field that two make, by their letters or as they sound; None where they make none."""
        if not (first.isalpha() and second.isalpha()):
            return None
        is_slip = any(not self._is_word(part) and len(part) >= _SHORTEST for part in (first, second))
        if first + second in self._field:
            return first + second if is_slip or first in _PARTS or self._is_part(first, second) else None
        return self._alike(first + second) if is_slip else None

    def _is_part(self, first: str, second: str) -> bool:
        return any(not self._is_word(part) for part in (first, second))

    def _alike(self, word: str) -> str | None:
        """The one word of the field that sounds like a word, or like one that lost its last s as a plural."""
        if len(word) < _LONG:
            return None
        alike = self._sounding.get(_sound(word), set()) | self._sounding.get(_sound(f"{word}s"), set())
        found = next(iter(alike)) if len(alike) == 1 else None
        return found if found is not None and self._keeps_meaning(word, found) else None

    def _is_of_field(self, word: str) -> bool:
        return word in self._field or word in self._short

    def _is_word(self, word: str) -> bool:
        return word in english_words() or self._is_of_field(word)

    def _is_asked(self, word: str) -> bool:
        return _SHORTEST <= len(word) <= _LONGEST and not self._is_of_field(word) and word.isalpha()

    def _is_short_form(self, word: str, written: str) -> bool:
        """Whether a short word has capitals, as abbreviations have."""
        return len(word) == _SHORTEST and not written.islower()

    def _of(self, word: str) -> str:
        if word not in self._found:
            self._found[word] = self._nearest(word)
        return self._found[word]

    def _nearest(self, word: str) -> str:
        if word.startswith("post") and _OPERATION(word) and word.removeprefix("post") in self._field:
            return word.removeprefix("post")  # "postlumpectomy scar": the scar of one
        if not word.isascii() or word in english_words() or word.rstrip("s") in english_words() or _is_compound(word):
            return word
        if any(word.endswith(end) and self._is_word(word.removesuffix(end)) for end in _INFLECTIONS):
            return word  # "centered"
        slips = _MOST_SLIPS if len(word) >= _LONG else 1
        near = self._near.lookup(word, Verbosity.CLOSEST, max_edit_distance=slips)
        near = [found for found in near if found.term[0] == word[0]] or [found for found in near if found.distance == 1]
        if len(word) == _SHORTEST:
            near = [found for found in near if len(found.term) > _SHORTEST]
        if len(near) != 1:
            return self._alike(word) or word
        return near[0].term if self._keeps_meaning(word, near[0].term) else word

    def _keeps_meaning(self, word: str, other: str) -> bool:
        """Whether no other beginning or ending of the kind of `other`'s may be meant as well.

        A word with another beginning must be two slips farther than `other`, one with another ending one slip. What
        begins otherwise and is no word cannot be meant; endings make words that no list has.
        """
        if (word.startswith(other) or other.startswith(word)) and _DERIVES(max(word, other, key=len)):
            return False
        beginnings, endings = _pairs()
        distance = _distance(word, other)
        for group in beginnings:
            begins = max((part for part in group if other.startswith(part)), key=len, default="")
            rivals = [part + other[len(begins) :] for part in group if begins and part != begins]
            if any(
                rival == word or (self._is_word(rival) and _distance(word, rival) <= distance + 1) for rival in rivals
            ):
                return False
        for group in endings:
            ends = max((part for part in group if other.endswith(part)), key=len, default="")
            rivals = [other[: -len(ends)] + part for part in group if ends and part != ends]
            if any(_distance(word, rival) <= distance for rival in rivals):
                return False
        return True


def _is_compound(word: str) -> bool:
    """Whether a word is put together of two that are known: "costovertebral"."""
    known = english_words()
    return any(
        word[:at] in known and word[at:] in known for at in range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
    )


def _sound(word: str) -> str:
    """How a word sounds, near enough to tell words of the field apart."""
    for pattern, sound in _SOUNDS:
        word = pattern.sub(sound, word)
    return word


def _distance(word: str, other: str) -> int:
    found = EditDistance(DistanceAlgorithm.DAMERAU_OSA).compare(word, other, _MOST_SLIPS + 2)
    return found if found >= 0 else _MOST_SLIPS + 3


@cache
def _pairs() -> tuple[list[list[str]], list[list[str]]]:
    data = load_yaml(TABLE.read_text(encoding="utf-8"))
    return data["beginnings"], data["endings"]


@cache
def english_words() -> frozenset[str]:
    """Words of English in normal form, and of medicine beside the lexicon's."""
    listed = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig")
    english = {normal_form(line.split(" ", 1)[0]) for line in listed.splitlines()}
    return frozenset(english | {normal_form(word) for word in load_yaml(TABLE.read_text(encoding="utf-8"))["known"]})
