"""The parts of a sentence, and whether what a part names is affirmed, denied or doubted there.

Rules in the manner of NegEx (Chapman et al., J Biomed Inform 34:301-310, 2001) and ConText (Harkema et al., J Biomed
Inform 42:839-851, 2009): a cue before or after the concept, within a scope. The scope follows enumerations ("no A, B or
C") and ends where a new statement begins ("no A, small B").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_medical.reports.grammar import Grammar

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
_SEPARATORS = {",": ",", "and": "and", "or": "or", "nor": "or", "/": "or", "&": "and", "+": "and"}
_MARKS = frozenset(";:.()[]-–—")
_COLONS = frozenset(":-–—")
_RANK = {"start": 0, ",": 1, "and": 2, "or": 3, "break": 4}
_BEFORE = frozenset({"negation_before", "doubt_before", "history", "condition"})
# "Necrosis: 0", "grade 0", "0 %", "0/3" deny what they score; a stage 0 (in situ) does not.
_ZEROS = frozenset({"0", "0.0", "0,0", "zero"})
_SCALES = frozenset({"grade", "graded", "score", "scored", "index", "percentage"})
_SCORING = _SCALES | {":", "=", "(", "[", ",", "is", "was", "are", "of", "as", "at", "extent", "-", "–", "—"}
_FURTHEST_SCORE = 6  # words between a score and what it scores
# "A versus B" doubts both, but only what stands beside it.
_NEAR = {"versus": 3, "vs": 3}


@dataclass(frozen=True)
class Part:
    """Words between two separators, half-open, and the separator before them: `start`, `,`, `and`, `or` or `break`."""

    start: int
    end: int
    separator: str


class Statement:
    """One sentence, with its parts and cues.

    Args:
        words: the sentence.
        grammar: the language table.
    """

    def __init__(self, words: Words, grammar: Grammar) -> None:
        self.words = words
        self.grammar = grammar
        self.cues: list[Match[str]] = grammar.cues.find(words.words)
        self._breaks = {cue.start: cue.end for cue in self.cues if cue.payload == "break"}
        self.parts = list(self._split())
        self._scopes = [(cue.end, self._reach(cue), cue.payload) for cue in self.cues if cue.payload in _BEFORE]
        self._afters = [cue for cue in self.cues if cue.payload in ("negation_after", "doubt_after")]

    def part_of(self, position: int) -> int:
        """Number of the part that holds a word, or of the next one."""
        return next((i for i, part in enumerate(self.parts) if position < part.end), len(self.parts) - 1)

    @cached_property
    def clauses(self) -> list[int]:
        """Number of the clause of each word; a new one begins at a semicolon and at a strong break ("but")."""
        numbers, number, position = [], 0, 0
        words = self.words.words
        while position < len(words):
            end = self._breaks.get(position, position + 1)
            if words[position] in ";()[]" or words[position:end] in self.grammar.strong:
                number += 1
            numbers.extend([number] * (end - position))
            position = end
        return numbers

    def polarity(self, start: int, end: int) -> Polarity | None:
        """Judge the words [start, end); None where they are history or a condition and no finding.

        A denial wins over a doubt in whose scope it stands ("no possible nodule"); a doubted denial ("cannot exclude")
        is a doubt, being one cue.
        """
        kinds = {kind for after, reach, kind in self._scopes if after <= start < reach}
        kinds |= {cue.payload for cue in self._afters if cue.start >= end and self._reaches_back(end, cue)}
        if kinds & {"history", "condition"}:
            return None
        if kinds & {"negation_before", "negation_after"} or self._is_scored_zero(start, end):
            return "absent"
        if kinds & {"doubt_before", "doubt_after"} or self._is_question(end):
            return "uncertain"
        return "present"

    def is_after_surgery(self, start: int) -> bool:
        """Whether the word follows "status post" or the like."""
        return any(cue.payload == "after_surgery" and cue.end <= start <= cue.end + 6 for cue in self.cues)

    def _is_scored_zero(self, start: int, end: int) -> bool:
        """Whether a score of zero stands right after the words [start, end), or before them in their clause."""
        words, position = self.words.words, end
        while position < len(words) and self._leads_to_score(position):
            position += 1
        links = words[end:position]
        if self._zero_ends(position, is_scored=bool(links) and not set(links) <= {",", "is", "was", "are", "of"}):
            return True
        for position in range(max(0, start - _FURTHEST_SCORE), start):
            ends = self._zero_ends(position, is_scored=position > 0 and words[position - 1] in _SCALES)
            if ends and ends <= start and not set(words[ends:start]) & (_MARKS | _SEPARATORS.keys()):
                return True
        return False

    def _leads_to_score(self, position: int) -> bool:
        """Whether a word stands between a finding and its score; one of another kind may: "Agatston score"."""
        words = self.words.words
        return words[position] in _SCORING or (position + 1 < len(words) and words[position + 1] in _SCALES)

    def _zero_ends(self, position: int, *, is_scored: bool) -> int:
        """The word after a zero of a score, of a share or of a number out of another; 0 where there is none."""
        words = self.words.words
        if position >= len(words) or words[position] not in _ZEROS:
            return 0
        following = words[position + 1] if position + 1 < len(words) else ""
        if following in ("%", "percent"):
            return position + 2
        if following in ("/", "of") and position + 2 < len(words) and words[position + 2].isdigit():
            return position + 3
        return position + 1 if is_scored and not following[:1].isdigit() else 0

    def _split(self) -> Iterator[Part]:
        words = self.words.words
        begin, separator, position = 0, "start", 0
        while position < len(words):
            word = words[position]
            end = self._breaks.get(position)
            kind = "break" if end or word in _MARKS else _SEPARATORS.get(word)
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

    def _reach(self, cue: Match[str]) -> int:
        """The word at which the scope of a cue that stands before its concept ends."""
        number = self.part_of(cue.end)
        part = self.parts[number] if self.parts else None
        if part is None or (part.start >= cue.end and part.separator == "break"):
            return cue.end
        if cue.payload == "condition":
            return part.end
        last = part.end
        for index in range(number + 1, len(self.parts)):
            if self._opens(index):
                break
            last = self.parts[index].end
        return last

    def _opens(self, index: int) -> bool:
        """Whether a part begins a new statement instead of going on with an enumeration."""
        part = self.parts[index]
        if part.separator == "break" or self._has_own_verb(part):
            return True
        own = {cue.payload for cue in self.cues if part.start == cue.start}
        goes_on = part.separator == "or" or (part.separator == "," and self._goes_on_with_or(index))
        if "negation_before" in own or (own & _BEFORE and not goes_on):
            return True
        if goes_on:
            return False
        if any(word in self.grammar.verbs for word in self.words.words[part.start : part.end]):
            return True
        return self.words.words[part.start] in self.grammar.openers or self.words.words[part.start].isdigit()

    def _goes_on_with_or(self, index: int) -> bool:
        for part in self.parts[index + 1 :]:
            if part.separator == "break" or self._has_own_verb(part):
                return False
            if part.separator == "or":
                return True
        return False

    def _has_own_verb(self, part: Part) -> bool:
        words = self.words.words
        for position in range(part.start, part.end):
            if words[position] in self.grammar.verbs:
                following = words[position + 1] if position + 1 < len(words) else ""
                if following not in self.grammar.tails:
                    return True
        return False

    def _reaches_back(self, end: int, cue: Match[str]) -> bool:
        """Whether a cue that stands after its concept is said of the words that end at `end`."""
        words = self.words.words
        between = words[end : cue.start]
        near = _NEAR.get(words[cue.start])
        if near is not None:
            return len(between) <= near and not set(between) & {",", ";", ":"}
        if any(word in self.grammar.verbs for word in between):
            return False
        if any(end <= other.start < cue.start and other.payload in _BEFORE for other in self.cues):
            return False
        first, last = self.part_of(max(end - 1, 0)), self.part_of(cue.start)
        crossed = [self.parts[i].separator for i in range(first + 1, last + 1)]
        if "break" in crossed:
            return len(between) == 1 and between[0] in _COLONS
        if crossed and set(crossed) == {","}:
            return len(crossed) == 1 and self.parts[last].start == cue.start
        return True

    def _is_question(self, end: int) -> bool:
        words = self.words.words
        return bool(words) and words[-1] == "?" and not any(word in ";:" for word in words[end:])
