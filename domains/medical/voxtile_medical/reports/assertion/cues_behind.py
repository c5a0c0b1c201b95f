"""Cues that stand behind what they deny or doubt: "effusion is absent", "rupture = no", "adenoma: none of these"."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_medical.reports.assertion.asides import is_attribute, is_relative_clause
from voxtile_medical.reports.assertion.clauses import BEFORE, ENDS, MARKS, Clauses
from voxtile_medical.reports.assertion.cues import ALL_OF_IT
from voxtile_medical.reports.assertion.grammar import Grammar

COLONS = frozenset(":=([-–—")
AFTER = frozenset(
    {"negation_after", "doubt_after", "doubt_reply", "doubt_colon", "open_after", "history_after", "affirm_after"}
)
PLACED = frozenset({"on", "in", "at", "elsewhere", "within", "along"})
# "The tip is torn off" and "the fracture is set out" are no replies.
_PARTICLES = frozenset({"off", "out"})
_IRREGULAR_PARTICIPLES = frozenset({"torn", "broken", "cut", "split", "come", "worn", "taken", "set", "thrown", "put"})
_REPLIES = frozenset({"no", "neither", "nil", "negative", "absent", "excluded", "out", "off", "n", "zero", "ø", "∅"})
# "A versus B" doubts both, but only what stands beside it.
NEAR = {"versus": 3, "vs": 3, "?": 2}
# "Fistula possible if not recently catheterised": what may follow a doubt.
_PROVISOS = frozenset({"if", "unless", "given", "although", "though", "because", "since", "as"})
_SOUGHT = frozenset({"sought", "searched", "looked", "described", "expected", "checked"})
_VAIN = frozenset({"vain", "success", "avail"})
# "Effusion and consolidation is absent" says it of the last alone where a comma stands before.
_SINGULAR = frozenset({"is", "was", "has", "does"})
MOST_OF_A_NAME = 3
_JOINED = frozenset({"with", "and", "or", "of", "for", ","})
_ANSWERS = frozenset({"yes", "no", "y", "n"})
_LONGEST_ENTRY = 6  # words of a name in a form, its mark and its answer


class CuesBehind:
    """The cues of a sentence that are said of what stands before them.

    Args:
        words: the sentence.
        grammar: the language table.
        cues: all cues of the sentence.
        clauses: its parts and clauses.

    Attributes:
        cues: those that are, with the auxiliaries before them, in reading order; then the replies of forms.
    """

    def __init__(self, words: Words, grammar: Grammar, cues: Sequence[Match[str]], clauses: Clauses) -> None:
        self._words, self._grammar, self._cues, self._clauses = words.words, grammar, cues, clauses
        said = [c for c in cues if c.payload in AFTER and self._is_said_back(c)]
        self.cues = [self.with_auxiliaries(c) for c in said if not is_attribute(c, words.words, grammar)]
        self.cues += [Match(c.start, c.end, "negation_after") for c in cues if self.is_reply(c)]

    def is_reply(self, cue: Match[str]) -> bool:
        """Whether a denial follows what it denies, as in a form: "rupture = no", "effusion: none"."""
        words = self._words
        if cue.payload not in ("negation_before", "none_of", "negation_reply") or cue.start == 0:
            return False
        if cue.end - cue.start > 1 or not (words[cue.start] in _REPLIES or cue.payload == "none_of"):
            return False
        before = words[cue.start - 1]
        if words[cue.start] in _PARTICLES and (before in _IRREGULAR_PARTICIPLES or before.endswith("ed")):
            return False
        return (
            cue.end >= len(words)
            or words[cue.end] in ENDS
            or self._is_of_form(cue)
            or cue.end in self._clauses.breaks
            or self._clauses.ends(cue.end)
        )

    def _is_of_form(self, cue: Match[str]) -> bool:
        """Whether a form goes on with the next name and its answer: "pneumothorax no / nodule yes 6 mm"."""
        words = self._words
        following = words[cue.end : cue.end + _LONGEST_ENTRY]
        answer = next((i for i, word in enumerate(following) if word in _ANSWERS), 0)
        is_entry = answer > 0 and not set(following[:answer]) & (self._grammar.verbs | {",", ".", ":"})
        verbs = self._grammar.verbs | self._grammar.auxiliaries | self._grammar.sees
        return is_entry and words[cue.start - 1].isalpha() and words[cue.start - 1] not in verbs

    def with_auxiliaries(self, cue: Match[str]) -> Match[str]:
        """A cue with the auxiliaries and adverbs before it: "could, with certainty, not be seen"."""
        words, start = self._words, cue.start
        while start and (words[start - 1] in self._grammar.auxiliaries or self._grammar.is_adverb(words[start - 1])):
            start -= 1
        return Match(start, cue.end, cue.payload)

    def _is_said_back(self, cue: Match[str]) -> bool:
        if cue.payload == "doubt_colon":
            return cue.start > 0 and self._words[cue.start - 1] in COLONS
        if cue.payload == "negation_after" and any(c.start == cue.start and c.payload in BEFORE for c in self._cues):
            return self._clauses.ends(cue.end) or self._words[cue.end] in PLACED  # "negative Murphy sign"
        if cue.payload != "doubt_reply":
            return True
        return self._clauses.ends(cue.end) or self._words[cue.end] in _PROVISOS | PLACED

    def reaches_back(self, end: int, cue: Match[str]) -> bool:
        """Whether a cue that stands after its concept is said of the words that end at `end`."""
        words = self._words
        between = words[end : cue.start]
        if self._is_all_of_it(cue):
            return not set(between) & (self._grammar.verbs | {"."})
        near = NEAR.get(words[cue.start])
        if near is not None:
            return len(between) <= near and not set(between) & {",", ";", ":"}
        if is_relative_clause(between, self._grammar.verbs) or self._is_of_relative(between, cue):
            return True
        if between and between[-1] in self._grammar.parts_of_things:
            return False  # "tube with its tip not seen"
        if "(" in between and between.count("(") == between.count(")") and cue.payload != "doubt_colon":
            opening, closing = between.index("("), len(between) - 1 - between[::-1].index(")")
            return not set((*between[:opening], *between[closing + 1 :])) & MARKS
        if any(end <= other.start < cue.start and other.payload in BEFORE for other in self._cues):
            return False
        is_coordinated = bool(between) and between[-1] in ("and", "but", "yet", "though")
        if (is_coordinated and between[-1] != "and") or _VAIN & set(words[cue.start : cue.end]):
            return bool(_SOUGHT & set(between))
        if not is_coordinated and any(word in self._grammar.verbs for word in between):
            return cue.payload == "affirm_after" and words[cue.start] != "not"
        first, last = self._clauses.part_of(max(end - 1, 0)), self._clauses.part_of(cue.start)
        crossed = [self._clauses.parts[i].separator for i in range(first + 1, last + 1)]
        if "break" in crossed:
            return self._answers(end, cue)
        if "," in crossed:
            commas = between.count(",")
            is_beside = self._clauses.parts[last].start == cue.start
            is_placed = cue.end < len(words) and words[cue.end] in PLACED and cue.payload == "negation_after"
            if is_beside and commas <= 2 and not (commas == 1 and is_placed):
                return True
            return self._is_one_subject(first, last, cue)
        return True

    def _is_of_relative(self, between: tuple[str, ...], cue: Match[str]) -> bool:
        """Whether the name is what a relative clause says has gone: "dilatation on the right which did not persist"."""
        if not between or between[-1] not in ("which", "that") or cue.payload != "negation_after":
            return False
        name = between[:-2] if between[-2:-1] == (",",) else between[:-1]
        return not set(name) & (self._grammar.verbs | MARKS | _JOINED)

    def _is_all_of_it(self, cue: Match[str]) -> bool:
        """Whether a cue denies all that was listed before it: "none of these"."""
        words = self._words
        return cue.payload == "negation_after" and "of" in words[cue.start + 1 : cue.end] and (
            words[cue.start] in ALL_OF_IT
        )  # fmt: skip

    def _is_one_subject(self, first: int, last: int, cue: Match[str]) -> bool:
        """Whether the parts from one to the one before a cue are listed as one subject: "A, B and C are absent"."""
        listed = self._clauses.parts[first : last + 1]
        if any(set(self._words[p.start : min(p.end, cue.start)]) & self._grammar.verbs for p in listed):
            return False
        if any(self._words[p.start] in self._grammar.openers for p in listed[1:]):
            return False
        is_joined = any(part.separator in ("and", "or") for part in listed[1:])
        is_single = self._words[cue.start] in _SINGULAR and all(p.separator != "or" for p in listed[1:])
        return is_joined and not is_single

    def _answers(self, end: int, cue: Match[str]) -> bool:
        """Whether a colon or dash alone stands between a finding, or what is said more nearly of it, and a cue."""
        words, position = self._words, cue.start - 1
        while position > end and self._grammar.is_adverb(words[position]):
            position -= 1
        if position < end or words[position] not in COLONS:
            return False
        between = words[end:position]
        if set(between) & MARKS or set(between) & self._grammar.verbs:
            return False
        return len(between) <= MOST_OF_A_NAME or (self._clauses.is_label(end) and self._clauses.ends(cue.end))
