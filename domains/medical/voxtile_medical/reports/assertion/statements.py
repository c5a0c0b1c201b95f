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
from voxtile_medical.reports.assertion.grammar import Grammar, Modifier
from voxtile_medical.reports.assertion.scores import is_scored_zero

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
_SEPARATORS = {",": ",", "and": "and", "or": "or", "nor": "or", "/": "or", "&": "and", "+": "and"}
_MARKS = frozenset(";:.()[]|=-–—")
_COLONS = frozenset(":=(-–—")
_ENDS = frozenset(",;:.()[]|") | {"-", "–", "—", "and", "but"}
_CLAUSE_ENDS = frozenset(";()[]|")
_RANK = {"start": 0, ",": 1, "and": 2, "or": 3, "break": 4}
_BEFORE = frozenset({"negation_before", "doubt_before", "history", "condition"})
# These go on to the end of the clause, over enumerations.
_FAR = frozenset({"negation_front", "frame", "frame_front", "history_front", "family", "affirm_before", "open_before"})
_AFTER = frozenset(
    {"negation_after", "doubt_after", "doubt_reply", "doubt_colon", "open_after", "history_after", "affirm_after"}
)
_NONE = frozenset({"history", "history_front", "history_after", "condition", "frame", "frame_front", "family"})
_DENIES = frozenset({"negation_before", "negation_after", "negation_front", "none_of"})
_DOUBTS = frozenset({"doubt_before", "doubt_after", "doubt_reply", "doubt_colon"})
_PATIENT = frozenset({"patient", "himself", "herself", "own", "he", "she"})
_PLACED = frozenset({"on", "in", "at", "elsewhere", "within", "along"})
_REPLIES = frozenset({"no", "nil", "negative", "absent", "excluded"})
_ANY = frozenset({"any", "anything"})
_UNLIKELY = frozenset({"unlikely", "improbable"})
_TREATED = ("ectomy", "otomy", "ostomy", "plasty", "desis", "rraphy")
# "A versus B" doubts both, but only what stands beside it.
_NEAR = {"versus": 3, "vs": 3, "?": 2}
_FIRST_WORDS = 5
_FURTHEST_TREATED = 4
_MOST_OF_A_NAME = 3


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
        self.cues: list[Match[str]] = _cues(words.words, grammar)
        self._breaks = {cue.start: cue.end for cue in self.cues if cue.payload == "break"}
        self.parts = list(self._split())
        self._part_numbers = self._numbers()
        self._scopes = list(self._scopes_before())
        self._afters = [cue for cue in self.cues if cue.payload in _AFTER and self._is_said_back(cue)]
        self._afters += [Match(c.start, c.end, "negation_after") for c in self.cues if self._is_reply(c)]

    def part_of(self, position: int) -> int:
        """Number of the part that holds a word, or of the next one."""
        return self._part_numbers[position] if position < len(self._part_numbers) else max(len(self.parts) - 1, 0)

    @cached_property
    def clauses(self) -> list[int]:
        """Number of the clause of each word; a new one begins at a semicolon and at a strong break ("but")."""
        numbers, number, position = [], 0, 0
        words = self.words.words
        while position < len(words):
            end = self._breaks.get(position, position + 1)
            if words[position] in _CLAUSE_ENDS or words[position:end] in self.grammar.strong:
                number += 1
            numbers.extend([number] * (end - position))
            position = end
        return numbers

    @cached_property
    def modifiers(self) -> list[Match[Modifier]]:
        """The phrases that say an attribute, in reading order."""
        return self.grammar.modifiers.find(self.words.words)

    def polarity(self, start: int, end: int) -> Polarity | None:
        """Judge the words [start, end); None where they are history or a condition and no finding.

        A denial wins over a doubt in whose scope it stands ("no possible nodule"); a doubted denial ("cannot exclude")
        is a doubt, being one cue. A denied denial affirms.
        """
        kinds = {kind for after, reach, kind in self._scopes if after <= start < reach}
        kinds |= {cue.payload for cue in self._afters if cue.start >= end and self._reaches_back(end, cue)}
        if "negation_after" in kinds and self._is_less_likely(start, end):
            kinds = (kinds - {"negation_after"}) | {"doubt_after"}
        if kinds & _NONE or self._is_complaint(start, end):
            return None
        if kinds & {"affirm_before", "affirm_after"} or self._is_excepted(end):
            return "present"
        if kinds & {"open_before", "open_after"}:
            return "uncertain"
        if kinds & _DENIES or is_scored_zero(self.words.words, start, end):
            return "absent"
        if kinds & _DOUBTS or self._is_question(end) or self._is_alternative(start, end):
            return "uncertain"
        return "present"

    def is_after_surgery(self, start: int) -> bool:
        """Whether the word follows "status post" or the like."""
        return any(cue.payload == "after_surgery" and cue.end <= start <= cue.end + 6 for cue in self.cues)

    def head_of(self, start: int, end: int) -> tuple[int, int]:
        """The last of the words [start, end) that is no cue that ends them: "fracture" of "no fracture is seen"."""
        closing = [cue.start for cue in self.cues if start < cue.start and cue.end == end and cue.payload in _AFTER]
        end = min(closing, default=end)
        return end - 1, end

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

    def _scopes_before(self) -> Iterator[tuple[int, int, str]]:
        """Words [first, last) that a cue before them is said of, with its kind."""
        words = self.words.words
        for cue in self.cues:
            kind = cue.payload
            if kind in _FAR:
                if not kind.endswith("_front") or self._opens_sentence(cue):
                    yield cue.end, self._clause_end(cue.end, kind), kind
            elif kind == "none_of":
                if (verb := self._verb_after(cue.end)) is not None:
                    yield verb + 1, self._reach(Match(cue.start, verb + 1, "negation_before")), kind
            elif kind in _BEFORE and not self._is_reply(cue):
                yield cue.end, self._reach(cue), kind
                if (after := self._after_aside(cue)) is not None:
                    yield after, self._reach(Match(cue.start, after, kind)), kind
        for position, word in enumerate(words):
            if word in _ANY and self._is_licensed(position):
                yield position + 1, self._reach(Match(position, position + 1, "negation_before")), "negation_before"
            elif word == "for" and self._is_treatment(position):
                yield position + 1, self._reach(Match(position, position + 1, "history")), "history"

    def _opens_sentence(self, cue: Match[str]) -> bool:
        if cue.payload == "frame_front":
            return cue.start <= _FIRST_WORDS and cue.end < len(self.words)
        first = max((i + 1 for i in range(cue.start) if self.words.words[i] in _MARKS or i in self._breaks), default=0)
        return cue.start - first <= 1

    def _clause_end(self, start: int, kind: str) -> int:
        """Where the clause ends; of a relative's at the patient, of a denial in front at a contrast only."""
        words, end = self.words.words, start
        stops = _PATIENT if kind == "family" else frozenset()
        while end < len(words) and words[end] not in stops:
            if words[end] in _CLAUSE_ENDS or (end in self._breaks and self._parts_clauses(end, kind)):
                break
            end += 1
        return end

    def _parts_clauses(self, position: int, kind: str) -> bool:
        found = self.words.words[position : self._breaks[position]]
        return found in self.grammar.strong and not (kind == "negation_front" and found[0] in ("despite", "which"))

    def _verb_after(self, start: int) -> int | None:
        """The first word that may be the verb of "none of …" in its part, or right after a bare "none"."""
        words = self.words.words
        part = self.parts[self.part_of(start)] if start < len(words) and self.parts else None
        if part is None or not part.start <= start < part.end or words[start] in _PLACED:
            return None
        verb = next((i for i in range(start, part.end) if words[i] in self.grammar.verbs), None)
        return verb if verb is not None else (start - 1 if words[start - 1] == "none" and part.start < start else None)

    def _after_aside(self, cue: Match[str]) -> int | None:
        """Where a cue goes on after an aside: "not, in either plane, a fracture"."""
        words = self.words.words
        if cue.end >= len(words) or words[cue.end] != ",":
            return None
        clause = self.clauses[cue.end]
        closing = next((i for i in range(cue.end + 1, len(words)) if words[i] == ","), None)
        if closing is None or closing + 1 >= len(words) or self.clauses[closing] != clause:
            return None
        return closing + 1

    def _is_licensed(self, position: int) -> bool:
        """Whether a denial stands before "any" in its clause."""
        return any(
            cue.payload in ("negation_before", "negation_front", "none_of") and cue.end <= position
            and self.clauses[cue.start] == self.clauses[position]
            for cue in self.cues
        )  # fmt: skip

    def _is_treatment(self, position: int) -> bool:
        """Whether "for" says what was treated: "lobectomy for carcinoma"."""
        before = self.words.words[max(0, position - _FURTHEST_TREATED) : position]
        return any(word.endswith(_TREATED) or word in self.grammar.treatments for word in before)

    def _is_reply(self, cue: Match[str]) -> bool:
        """Whether a denial follows what it denies, as in a form: "rupture = no", "effusion: none"."""
        words = self.words.words
        if cue.payload not in ("negation_before", "none_of") or cue.start == 0:
            return False
        if cue.end - cue.start > 1 or not (words[cue.start] in _REPLIES or cue.payload == "none_of"):
            return False
        return cue.end >= len(words) or words[cue.end] in _ENDS or cue.end in self._breaks or self._ends(cue.end)

    def _ends(self, position: int) -> bool:
        """Whether only adverbs stand between a word and the end of its part: "none now"."""
        words = self.words.words
        while position < len(words) and words[position] in self.grammar.adverbs:
            position += 1
        return position >= len(words) or words[position] in _ENDS

    def _is_said_back(self, cue: Match[str]) -> bool:
        if cue.payload == "doubt_colon":
            return cue.start > 0 and self.words.words[cue.start - 1] in _COLONS
        return cue.payload != "doubt_reply" or self._ends(cue.end)

    def _reach(self, cue: Match[str]) -> int:
        """The word at which the scope of a cue that stands before its concept ends."""
        number = self.part_of(cue.end)
        part = self.parts[number] if self.parts else None
        if part is None or cue.end >= len(self.words) or (part.start >= cue.end and part.separator == "break"):
            return cue.end
        if cue.payload == "condition" or self.words.words[cue.start] in _NEAR or self.words.words[cue.start] == "query":
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
        if between and between[-1] in self.grammar.parts_of_things:
            return False  # "tube with its tip not seen"
        if "(" in between and between.count("(") == between.count(")") and cue.payload != "doubt_colon":
            opening, closing = between.index("("), len(between) - 1 - between[::-1].index(")")
            return not set((*between[:opening], *between[closing + 1 :])) & _MARKS
        if any(end <= other.start < cue.start and other.payload in _BEFORE for other in self.cues):
            return False
        is_coordinated = bool(between) and between[-1] == "and"
        if not is_coordinated and any(word in self.grammar.verbs for word in between):
            return cue.payload == "affirm_after" and words[cue.start] != "not"
        first, last = self.part_of(max(end - 1, 0)), self.part_of(cue.start)
        crossed = [self.parts[i].separator for i in range(first + 1, last + 1)]
        if "break" in crossed:
            return self._answers(end, cue)
        if "," in crossed:
            commas = between.count(",")
            is_beside = self.parts[last].start == cue.start
            is_placed = cue.end < len(words) and words[cue.end] in _PLACED and cue.payload == "negation_after"
            return is_beside and commas <= 2 and not (commas == 1 and is_placed)
        return True

    def _answers(self, end: int, cue: Match[str]) -> bool:
        """Whether a colon or dash alone stands between a finding, or what is said more nearly of it, and a cue."""
        words, position = self.words.words, cue.start - 1
        while position > end and words[position] in self.grammar.adverbs:
            position -= 1
        if position < end or words[position] not in _COLONS:
            return False
        between = words[end:position]
        return not set(between) & _MARKS and len(between) <= _MOST_OF_A_NAME

    def _is_complaint(self, start: int, end: int) -> bool:
        return any(cue.payload == "symptom" and cue.start <= start and end <= cue.end for cue in self.cues)

    def _is_excepted(self, end: int) -> bool:
        """Whether an exception follows that is of the same kind: "no stenosis besides that at L3"."""
        return any(
            cue.payload == "exception_after"
            and 0 <= cue.start - end <= _MOST_OF_A_NAME
            and not set(self.words.words[end : cue.start]) & (_MARKS | _SEPARATORS.keys())
            for cue in self.cues
        )

    def _is_less_likely(self, start: int, end: int) -> bool:
        """Whether "unlikely" ranks the words behind something that is likely: "adenoma likely, metastasis unlikely"."""
        words = self.words.words
        after = next((c for c in self._afters if c.start >= end and self._reaches_back(end, c)), None)
        if after is None or not _UNLIKELY & set(words[after.start : after.end]):
            return False
        return any(cue.payload in _DOUBTS and cue.end <= start for cue in self.cues)

    def _is_question(self, end: int) -> bool:
        words = self.words.words
        return bool(words) and words[-1] == "?" and not any(word in ";:" for word in words[end:])

    def _is_alternative(self, start: int, end: int) -> bool:
        """Whether the words are one of two readings: "atelectasis or pneumonia"."""
        words, number = self.words.words, self.part_of(start)
        part = self.parts[number]
        if not self._is_bare(number):
            return False
        if end < len(words) and words[end] == "or" and self._is_bare(number + 1):
            return True
        is_second = part.separator == "or" and words[part.start - 1] == "or" and start - part.start <= _MOST_OF_A_NAME
        return is_second and self._is_bare(number - 1)

    def _is_bare(self, number: int) -> bool:
        """Whether a part is a name alone and no verb or side."""
        part = self.parts[min(number, len(self.parts) - 1)]
        inside = set(self.words.words[part.start : part.end])
        return not inside & (self.grammar.verbs | {"without", "more", "both", "left", "right", "two", "three"})


def _cues(words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues of a sentence, found as if adverbs were not there."""
    if not grammar.adverbs.intersection(words):
        return grammar.cues.find(words)
    kept = [position for position, word in enumerate(words) if word not in grammar.adverbs]
    found = grammar.cues.find([words[position] for position in kept])
    return [Match(kept[cue.start], kept[cue.end - 1] + 1, cue.payload) for cue in found]
