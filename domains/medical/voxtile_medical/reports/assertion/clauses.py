"""The parts and clauses of a sentence: what an enumeration holds together, and where a new statement begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_medical.reports.assertion.grammar import Grammar

SEPARATORS = {",": ",", "and": "and", "or": "or", "nor": "or", "/": "or", "&": "and", "+": "and"}
MARKS = frozenset(";:.()[]|=-–—")
ENDS = frozenset(",;:.()[]|") | {"-", "–", "—", "and", "but"}
CLAUSE_ENDS = frozenset(";()[]|")
_RANK = {"start": 0, ",": 1, "and": 2, "or": 3, "break": 4}
BEFORE = frozenset({"negation_before", "doubt_before", "history", "condition"})
FURTHEST_TREATED = 4
_UNITS, _LONGEST_NOTE = frozenset({"mm", "cm"}), 8  # words of a bracket
_SAYING = frozenset(
    {"left", "right", "bilateral", "both", "mm", "cm", "no", "not", "none", "previously", "prior", "was"}
)
_IMAGES = frozenset({"im", "img", "image", "series", "se", "slice", "frame"})
_OF_SIDES = frozenset(["on", "at", "the", ",", "and"])


@dataclass(frozen=True)
class Part:
    """Words between two separators, half-open, and the separator before them: `start`, `,`, `and`, `or` or `break`."""

    start: int
    end: int
    separator: str


class Clauses:
    """One sentence in parts.

    Args:
        words: the sentence.
        grammar: the language table.
        cues: of the sentence, of which those that break it up are read.
    """

    def __init__(self, words: Words, grammar: Grammar, cues: Sequence[Match[str]]) -> None:
        self.words, self.grammar, self.cues = words, grammar, cues
        self.breaks = {cue.start: cue.end for cue in cues if cue.payload == "break"}
        self.breaks |= {i: i + 1 for i, word in enumerate(words.words) if word == "than" and self._is_other(i)}
        self.breaks |= {i: i + 2 for i in range(len(words.words) - 1) if words.words[i : i + 2] in grammar.strong}
        self.parts = list(self._split())
        self._part_numbers = self._numbers()

    def part_of(self, position: int) -> int:
        """Number of the part that holds a word, or of the next one."""
        return self._part_numbers[position] if position < len(self._part_numbers) else max(len(self.parts) - 1, 0)

    def part_at(self, position: int) -> Part:
        """The part that holds a word, or the next one."""
        return self.parts[self.part_of(position)]

    @cached_property
    def numbers(self) -> list[int]:
        """Number of the clause of each word; a new one begins at a semicolon and at a strong break ("but").

        A bracket that holds a grade or where it was measured alone begins none: "stenosis at L3-L4 (mild), L4-L5".
        """
        numbers, number, position = [], 0, 0
        words = self.words.words
        while position < len(words):
            end = self.breaks.get(position, position + 1)
            if (inside := self._bracketed_grade(position) or self._bracketed_note(position)) is not None:
                end = inside
            elif words[position] in CLAUSE_ENDS or words[position:end] in self.grammar.strong:
                number += 1
            numbers.extend([number] * (end - position))
            position = end
        return numbers

    def _bracketed_note(self, position: int) -> int | None:
        """The word after a bracket behind a size that only says how or where it was measured: "8 mm (series 4)"."""
        words = self.words.words
        is_of_size = words[position - 1] in _UNITS or words[position - 1][-1:].isdigit()
        if words[position] != "(" or not (is_of_size or _IMAGES.intersection(words[position + 1 : position + 2])):
            return None
        end = next((i for i in range(position + 1, min(position + _LONGEST_NOTE, len(words))) if words[i] == ")"), None)
        if end is None or not all(word.isalnum() or word in ",/:" for word in words[position + 1 : end]):
            return None
        return None if _SAYING.intersection(words[position + 1 : end]) else end + 1

    def _bracketed_grade(self, position: int) -> int | None:
        """The word after a bracket that opens here and holds a grade alone, or one of a side: "(mild on the left)"."""
        words, modifiers = self.words.words, self.grammar.modifiers
        found = modifiers.longest_at(words, position + 1) if words[position] == "(" else None
        if found is None or "severity" not in dict(found[1]):
            return None
        end = found[0]
        while end < len(words) and words[end] != ")":
            following = modifiers.longest_at(words, end)
            if following is None and words[end] not in _OF_SIDES:
                return None
            end = following[0] if following is not None else end + 1
        return end + 1 if end < len(words) else None

    def is_break(self, position: int) -> bool:
        """Whether a word is a mark or begins a break."""
        return position in self.breaks or self.words.words[position] in MARKS

    def is_label(self, position: int) -> bool:
        """Whether no mark stands before a word in its clause: it is of what a reply is given to."""
        start = max((i + 1 for i in range(position) if self.words.words[i] in MARKS), default=0)
        return start == 0 or self.words.words[start - 1] in CLAUSE_ENDS

    def is_bare(self, number: int) -> bool:
        """Whether a part is a name alone and no verb or side."""
        part = self.parts[min(number, len(self.parts) - 1)]
        inside = set(self.words.words[part.start : part.end])
        return not inside & (self.grammar.verbs | {"without", "more", "both", "left", "right", "two", "three"})

    def is_finite(self, position: int) -> bool:
        """Whether a word is a verb or an auxiliary."""
        word = self.words.words[position]
        return word in self.grammar.verbs or (word in self.grammar.auxiliaries and word != "to")

    def has_own_verb(self, part: Part) -> bool:
        """Whether a part has a verb that is not one of its tail."""
        words = self.words.words
        for position in range(part.start, part.end):
            if words[position] in self.grammar.verbs:
                following = words[position + 1] if position + 1 < len(words) else ""
                if following not in self.grammar.tails:
                    return True
        return False

    def ends(self, position: int) -> bool:
        """Whether only adverbs stand between a word and the end of its part: "none now"."""
        words = self.words.words
        while position < len(words) and self.grammar.is_adverb(words[position]):
            position += 1
        return position >= len(words) or words[position] in ENDS

    def last_listed(self, number: int) -> int:
        """The word at which the enumeration ends that a part begins."""
        last = self.parts[number].end
        for index in range(number + 1, len(self.parts)):
            if self._opens(index):
                break
            last = self.parts[index].end
        return last

    def sentence_end(self, start: int) -> int:
        """Where the next mark that ends a clause stands."""
        words = self.words.words
        return next((i for i in range(start, len(words)) if words[i] in CLAUSE_ENDS), len(words))

    def _opens(self, index: int) -> bool:
        """Whether a part begins a new statement instead of going on with an enumeration."""
        part = self.parts[index]
        if part.separator == "break" or self.has_own_verb(part):
            return True
        own = {cue.payload for cue in self.cues if part.start == cue.start}
        goes_on = part.separator == "or" or (part.separator == "," and self._goes_on_with_or(index))
        if "negation_before" in own or (own & BEFORE and not goes_on):
            return True
        if goes_on:
            return False
        if any(word in self.grammar.verbs for word in self.words.words[part.start : part.end]):
            return True
        return self.words.words[part.start] in self.grammar.openers or self.words.words[part.start].isdecimal()

    def _goes_on_with_or(self, index: int) -> bool:
        for part in self.parts[index + 1 :]:
            if part.separator == "break" or self.has_own_verb(part):
                return False
            if part.separator == "or":
                return True
        return False

    def _is_other(self, position: int) -> bool:
        """Whether "than" stands for an exception: "no other lesion than the cyst"."""
        return "other" in self.words.words[max(0, position - FURTHEST_TREATED) : position]

    def _numbers(self) -> list[int]:
        numbers: list[int] = []
        for number, part in enumerate(self.parts):
            numbers.extend([number] * (part.end - len(numbers)))
        return numbers

    def _split(self) -> Iterator[Part]:
        words = self.words.words
        begin, separator, position = 0, "start", 0
        while position < len(words):
            word = words[position]
            end = self.breaks.get(position)
            kind = "break" if end or word in MARKS else SEPARATORS.get(word)
            if kind == "," and position and words[position - 1] in self.grammar.adjectives:
                kind = None
            if kind is None:
                position += 1
                continue
            if begin < position:
                yield Part(begin, position, separator)
                separator = kind
            elif _RANK[kind] > _RANK[separator]:
                separator = kind
            position = begin = end or position + 1
        if begin < len(words):
            yield Part(begin, len(words), separator)
