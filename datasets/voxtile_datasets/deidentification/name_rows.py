"""Rows of words that make one name, and what may be part of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum

from voxtile_datasets.deidentification.tokens import Token
from voxtile_datasets.deidentification.word_classes import WordClass, closed, given_names

LONGEST = 5  # words of a name
NEAR = 80  # characters around a word that say what it is
_INSIDE = re.compile(r"(?:,?[ \t]+|[ \t]*[-^][ \t]*|\.[ \t]*|,|\.-)$")
_BESIDE = re.compile(r"(?:[ \t]+|\.[ \t]*|[-^]|\.-)$")
_ROMAN = re.compile(r"[IVX]{1,4}[A-Fa-f]?")
_GRADE = re.compile(
    r"[\s-]*(?:grade|type|stage|class|score|level)?\s*"
    r"(?:[IVX]{1,4}[A-Fa-f]?\b|\d{1,2}(?:[+/]\d{1,2})?[A-Fa-f]?\b(?![./:-]?\d)|[A-F]\b(?!\.))"
)


_SMALL_NAMES = frozenset(["an", "do", "may", "will", "so", "you"])  # behind a given name: "Haoran An", "Theresa May"


class Sureness(IntEnum):
    """How sure what stands around a word makes it that a name stands there."""

    NO = 0
    """Nothing says so: only what is in no list of words, or in a list of names."""
    LIKELY = 1
    """Also what findings are called after, and what is a word as well as a name."""
    CERTAIN = 2
    """Any word with a capital, but those of the reports' own vocabulary."""
    TITLE = 3
    """Any word with a capital."""


_ALLOWED = {
    Sureness.NO: {WordClass.NAME, WordClass.UNKNOWN, WordClass.EITHER},
    Sureness.LIKELY: {WordClass.NAME, WordClass.UNKNOWN, WordClass.EITHER, WordClass.EPONYM},
}
_ALLOWED[Sureness.CERTAIN] = _ALLOWED[Sureness.LIKELY] | {WordClass.WORD}
_ALLOWED[Sureness.TITLE] = _ALLOWED[Sureness.CERTAIN] | {WordClass.MEDICAL}
SURE = frozenset([WordClass.NAME, WordClass.UNKNOWN])
NAMES = frozenset(_ALLOWED[Sureness.LIKELY])


class NamedWords:
    """The words of a text, of which some are marked as names.

    Attributes:
        text: the text.
        words: its words.
        named: places of those that are names.
    """

    def __init__(self, text: str, words: Sequence[Token], taken: Sequence[tuple[int, int]]) -> None:
        self.text = text
        self.words = words
        self.named: set[int] = set()
        self._held = bytearray(len(text))
        for start, end in taken:
            self._held[start:end] = b"\1" * (end - start)
        self._taken = {index for index, word in enumerate(words) if any(self._held[word.start : word.end])}

    def low(self, index: int) -> str:
        """A word in small letters; nothing outside the text."""
        return self.words[index].low if 0 <= index < len(self.words) else ""

    def gap(self, index: int) -> str:
        """What stands before a word; a line break outside the text."""
        return self.words[index].gap if 0 <= index < len(self.words) else "\n"

    def behind(self, index: int) -> str:
        """What stands behind a word, up to `NEAR` characters."""
        end = self.words[index].end
        return self.text[end : end + NEAR]

    def before(self, index: int, most: int = NEAR) -> str:
        """What stands before a word, up to so many characters."""
        start = self.words[index].start
        return self.text[max(0, start - most) : start]

    def opens_label(self, index: int) -> bool:
        """A colon follows before the sentence ends."""
        return bool(re.match(r"[^\n.;,(/|+]{0,30}[:=]", self.behind(index)))

    def is_role(self, index: int) -> bool:
        """What somebody is: "radiologist", "patient"."""
        return self.low(index) in closed("roles") and self.words[index].kind is not WordClass.NAME

    def is_free(self, index: int) -> bool:
        """It is no part of a date, a number or a place."""
        return index not in self._taken

    def is_eponym(self, index: int) -> bool:
        """What findings are called after their describer: by the noun, the grade or the "of" beside it."""
        last = index
        while (
            last + 1 < min(len(self.words), index + LONGEST)
            and self.words[last + 1].capital
            and self.gap(last + 1) in (" ", "-", "–")
            and not self.words[last + 1].initial
            and self.low(last + 1) not in closed("eponymous")
            and not _ROMAN.fullmatch(self.words[last + 1].text)
        ):
            last += 1
        if self.low(index) in closed("devices"):
            return True
        if self.gap(last + 1) in (" ", "-", "' ", "’ ") and self.low(last + 1) in closed("eponymous"):
            return True
        grade = _GRADE.match(self.text, self.words[last].end)
        if grade and not self._is_taken(grade.end() - 1):
            closes = re.match(r"\s*(?:[.,;)]|$)", self.text[grade.end() : grade.end() + 3])
            if self.words[last].kind is not WordClass.NAME or closes or len(grade.group().strip()) > 1:
                return True
        bracketed = re.match(r"\)\s([a-z]+)\b", self.behind(last))
        if bracketed and bracketed.group(1) in closed("eponymous"):
            return True
        return self.low(index - 1) == "of" and self.low(index - 2) in closed("eponymous_before")

    def _is_taken(self, at: int) -> bool:
        return bool(self._held[at])

    def is_given(self, index: int) -> bool:
        """A given name that is no ordinary word."""
        word = self.words[index]
        return word.low in given_names() and word.kind in (WordClass.NAME, WordClass.EPONYM)

    def can_be(self, index: int, sureness: Sureness) -> bool:
        """Whether a word can be part of a name where so much is sure."""
        if not 0 <= index < len(self.words) or not self.is_free(index):
            return False
        word = self.words[index]
        if word.kind is WordClass.PROTECTED and not word.initial:
            small = word.low in _SMALL_NAMES and word.capital and not word.capitals
            return small and (sureness is Sureness.TITLE and (index - 1 in self.named or word.labelled))
        if word.camel or (self.is_role(index) and not (index - 1 in self.named and sureness is Sureness.TITLE)):
            return False
        if word.low in closed("devices") and sureness is Sureness.NO:
            return False
        if word.low in closed("titles") and word.low not in closed("weak_titles"):
            return False
        if word.low in closed("degrees") and word.capitals:
            return False
        if word.initial:
            return True
        if not word.capital:
            return word.whispered and word.kind in _ALLOWED[min(sureness, Sureness.LIKELY)] and len(word.text) > 1
        if word.shouted:
            return word.kind in _ALLOWED[min(sureness, Sureness.CERTAIN)] and not self._is_small_word(index)
        if word.capitals and len(word.text) < 5 and word.kind is not WordClass.NAME:
            return sureness > Sureness.LIKELY and word.kind in _ALLOWED[sureness] and len(word.text) > 2
        given = sureness >= Sureness.CERTAIN and not word.capitals and word.low in given_names()
        return given or word.kind in _ALLOWED[sureness]

    def _is_small_word(self, index: int) -> bool:
        low = self.low(index)
        return any(low in closed(name) for name in ("prepositions", "acts", "told", "human", "relatives", "roles"))

    def take(self, index: int, sureness: Sureness = Sureness.CERTAIN, longest: int = LONGEST) -> bool:
        """Mark the row of names that begins at a word; False where none does."""
        first = sureness
        if sureness < Sureness.CERTAIN and index < len(self.words) and self.is_eponym(index):
            return False
        if first < Sureness.TITLE and self._begins_a_pair(index):
            first = Sureness.TITLE
        position, taken = index, 0
        while position < len(self.words) and taken < longest:
            word = self.words[position]
            if taken and (not _BESIDE.search(word.gap) or self._ends_sentence(position)):
                break
            if self._is_particle(position, taken) and self._name_follows(position, sureness):
                self.named.add(position)
                position += 1
                continue
            if word.initial and not self._is_initial(position, sureness) and not (taken and self._closes(position)):
                break
            if not self.can_be(position, first if not taken else self._within(sureness, position)):
                break
            self.named.add(position)
            taken += 1
            position += 1
        return taken > 0

    def _begins_a_pair(self, index: int) -> bool:
        """An ordinary word with a capital before one that is surely a name: "Price Harrow"."""
        if index + 1 >= len(self.words) or self.gap(index + 1) not in (" ", "-", ", "):
            return False
        word, behind = self.words[index], self.words[index + 1]
        return (
            word.capital
            and not word.shouted
            and not word.capitals
            and behind.capital
            and not behind.capitals
            and (behind.kind in SURE or behind.kind is WordClass.EPONYM)
            and self.can_be(index + 1, Sureness.LIKELY)
            and not self.is_eponym(index + 1)
        )

    def _within(self, sureness: Sureness, position: int) -> Sureness:
        """Behind a first name, a family name may be any word: "Jane Price"; a heading may not."""
        word, before = self.words[position], self.words[position - 1]
        if word.shouted or (word.capitals and not before.capitals):
            return min(sureness, Sureness.LIKELY)
        if re.match(r"\s*[:=]", self.behind(position)) or self.gap(position) not in (" ", "-", ". "):
            return min(sureness, Sureness.CERTAIN)
        if before.low in closed("particles"):
            return Sureness.TITLE
        first_of_two = before.kind in SURE or self.is_given(position - 1)
        if sureness >= Sureness.CERTAIN or (first_of_two and not word.capitals and position - 2 not in self.named):
            return Sureness.TITLE
        return Sureness.LIKELY

    def _ends_sentence(self, position: int) -> bool:
        before = self.words[position - 1]
        return ". " in self.gap(position) and not (before.initial or len(before.text) < 4 or before.text[-2:-1] == "-")

    def _is_particle(self, position: int, taken: int) -> bool:
        word = self.words[position]
        return word.low in closed("particles") and not word.initial and (taken > 0 or not word.capital)

    def _name_follows(self, position: int, sureness: Sureness) -> bool:
        return self.gap(position + 1) in (" ", "-", "'", "’", ". ") and (
            self.can_be(position + 1, Sureness.TITLE if self.words[position + 1].capital else sureness)
            or self.low(position + 1) in closed("particles")
        )

    def _is_initial(self, index: int, sureness: Sureness) -> bool:
        """A letter alone is an initial where a name stands behind it, with or without more initials."""
        position, end = index + 1, min(len(self.words), index + LONGEST)
        while position < end and self.words[position].initial and self.gap(position) in (".", ". ", " ", "-"):
            position += 1
        if position >= len(self.words) or self.gap(position) not in (".", ". ", " ", ".-", "-"):
            return False
        return self.can_be(position, max(sureness, Sureness.LIKELY)) or self.low(position) in closed("particles")

    def _closes(self, index: int) -> bool:
        """A letter alone behind a name ends it: "Harrow J"."""
        return bool(re.match(r"\.?(?:\s*[,;)\n/|]|\s*$|\.?\s+[A-Z(\d])", self.behind(index)))

    def spans(self) -> Iterator[tuple[int, int]]:
        """Where the names stand, each as one stretch."""
        index = 0
        while index < len(self.words):
            if index not in self.named:
                index += 1
                continue
            last = index
            while last + 1 in self.named and _INSIDE.fullmatch(self.gap(last + 1)):
                last += 1
            yield self.words[index].start, self.words[last].end
            index = last + 1
