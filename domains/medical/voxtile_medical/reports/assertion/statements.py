"""Whether what a sentence names is affirmed, denied or doubted there.

Rules in the manner of NegEx (Chapman et al., J Biomed Inform 34:301-310, 2001) and ConText (Harkema et al., J Biomed
Inform 42:839-851, 2009): a cue before or after the concept, within a scope. The scope follows enumerations ("no A, B or
C") and ends where a new statement begins ("no A, small B").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, TypeAlias

from voxtile.words.phrases import Match
from voxtile.words.tokens import Words
from voxtile_medical.reports.assertion.asides import is_of_earlier_examination
from voxtile_medical.reports.assertion.clauses import (
    BEFORE,
    CLAUSE_ENDS,
    FURTHEST_TREATED,
    MARKS,
    SEPARATORS,
    Clauses,
    Part,
)
from voxtile_medical.reports.assertion.cues import DENIES, SHOWING, cues_of
from voxtile_medical.reports.assertion.cues_behind import AFTER, COLONS, MOST_OF_A_NAME, NEAR, PLACED, CuesBehind
from voxtile_medical.reports.assertion.grammar import Grammar, Modifier
from voxtile_medical.reports.assertion.scores import is_scored_zero

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
# These go on to the end of the clause, over enumerations.
_FAR = frozenset({"negation_front", "frame", "frame_front", "history_front", "family", "affirm_before", "open_before"})
_NONE = frozenset({"history", "history_front", "history_after", "condition", "frame", "frame_front", "family"})
_DOUBTS = frozenset({"doubt_before", "doubt_after", "doubt_reply", "doubt_colon"})
_PATIENT = frozenset({"patient", "himself", "herself", "own", "he", "she"})
_ANY = frozenset({"any", "anything"})
_UNLIKELY = frozenset({"unlikely", "improbable"})
_TREATED = ("ectomy", "otomy", "ostomy", "plasty", "desis", "rraphy")
# Nouns that deny what they are followed by, up to the verb of which they are the subject.
_NOUNS_OF_DENIAL = frozenset({"absence", "lack", "resolution", "clearing", "removal", "disappearance", "exclusion"})
# Where a verb of seeing that is denied is not followed by what was not seen.
_ASIDES = frozenset({"on", "in", "at", "with", "after", "despite", "even", "also", "within", "from", "by", "contrary"})
_LINKS_OF_VERBS = frozenset({"be", "been", "up", "out", "and", "or"})
_ARTICLES = frozenset({"a", "an", "any", "the", "another", "either", "such", "evidence"})
_INVERTED = {"negation_after": "negation_before", "doubt_after": "doubt_before"}
_LABELS = {**_INVERTED, "history_after": "history"}
_DENIALS_BEFORE = frozenset({"negation_before", "negation_front", "none_of"})
_FINDERS = frozenset({"no", "nothing", "without", "not", "never", "hardly", "scarcely"})
_CONTRASTS = frozenset({"but", "however", "although", "though", "while", "whereas", "yet"})
_INVERTED_CONDITIONS = frozenset({"should", "were"})
_FURTHEST_TO, _FURTHEST_BEING = 8, 6
_JOINING = frozenset({"and", "with", "has", "have", "shows", "show"})
_TO_SUGGEST = frozenset({"to", "that", "which", "would", "might", "could"})
_BE = frozenset({"is", "are", "was", "were"})
_DUMMIES = frozenset({"there", "we", "i", "one"})
_FIRST_WORDS = 5
_NORMAL = frozenset({"normal", "unremarkable", "physiologic", "physiological", "preserved"})
_NOT_NORMAL = frozenset({"than", "near", "not", "otherwise", "high", "low", "upper", "lower", "previously"})
_LINKING = frozenset({"remains", "appears", "stays", "seems", "itself", "otherwise", "also"})


class Statement:
    """One sentence, with its parts and cues.

    Args:
        words: the sentence.
        grammar: the language table.
    """

    def __init__(self, words: Words, grammar: Grammar) -> None:
        self.words = words
        self.grammar = grammar
        self.cues: list[Match[str]] = cues_of(words.words, grammar)
        self._clauses = Clauses(words, grammar, self.cues)
        self._behind = CuesBehind(words, grammar, self.cues, self._clauses)
        self._scopes = list(self._scopes_before())

    @property
    def parts(self) -> list[Part]:
        """Its parts, in reading order."""
        return self._clauses.parts

    def part_of(self, position: int) -> int:
        """Number of the part that holds a word, or of the next one."""
        return self._clauses.part_of(position)

    @property
    def clauses(self) -> list[int]:
        """Number of the clause of each word; a new one begins at a semicolon and at a strong break ("but")."""
        return self._clauses.numbers

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
        kinds |= {cue.payload for cue in self._behind.cues if cue.start >= end and self._behind.reaches_back(end, cue)}
        if "negation_after" in kinds and self._is_less_likely(start, end):
            kinds = (kinds - {"negation_after"}) | {"doubt_after"}
        if kinds == {"negation_before", "history_after"} and self._has_gone(start):
            return "absent"  # "clearing of the consolidation seen two weeks ago"
        if kinds & _NONE or self._is_complaint(start, end):
            return None
        if kinds & {"affirm_before", "affirm_after"} or self._is_excepted(end) or self._stays(start, end, kinds):
            return "present"
        if kinds & {"open_before", "open_after"}:
            return "uncertain"
        if kinds & DENIES or is_scored_zero(self.words.words, start, end):
            return "absent"
        if self._has_non(start, end) or self._is_normal(start, end):
            return "absent"
        if kinds & _DOUBTS or self._is_question(end) or self._is_alternative(start, end):
            return "uncertain"
        return "present"

    def is_denied_before(self, position: int) -> bool:
        """Whether a denial that stands before a word is said of it."""
        return any(after <= position < reach and kind in DENIES for after, reach, kind in self._scopes)

    def _has_gone(self, start: int) -> bool:
        """Whether a noun of what has gone denies what follows: "resolution of the"."""
        cues = [c for c in self.cues if c.payload == "negation_before" and c.end <= start]
        return bool(cues) and not _NOUNS_OF_DENIAL.isdisjoint(self.words.words[cues[-1].start : cues[-1].end])

    def _has_non(self, start: int, end: int) -> bool:
        """Whether "non" stands before the one word: "non-cirrhotic"; a "non-occlusive thrombus" is one."""
        return end - start == 1 and start > 0 and self.words.words[start - 1] == "non"

    def _is_normal(self, start: int, end: int) -> bool:
        """Whether the words are said to be as they should be: "normal markings", "cord signal [remains] normal"."""
        words = self.words.words
        if start and words[start - 1] in _NORMAL and (start < 2 or words[start - 2] not in _NOT_NORMAL):
            return True
        position = end
        while position < len(words) and (words[position] in self.grammar.auxiliaries or words[position] in _LINKING):
            position += 1
        is_said = position < len(words) and words[position] in _NORMAL
        return is_said and self._clauses.ends(position + 1)

    def _stays(self, start: int, end: int, kinds: set[str]) -> bool:
        """Whether it is denied that the words have gone: "none of the nodules has resolved"."""
        words = self.words.words
        before = [c for c in self.cues if c.payload in _DENIALS_BEFORE and c.end <= start]
        if "negation_after" not in kinds or not before or self.clauses[before[-1].start] != self.clauses[start]:
            return False
        if _NOUNS_OF_DENIAL & set(words[before[-1].start : before[-1].end]) or words[before[-1].start] == "without":
            return False
        return any(
            cue.payload == "negation_after"
            and cue.start >= end
            and self.grammar.gone & set(words[cue.start : cue.end])
            and not (MARKS | {","}) & set(words[end : cue.start])
            and self._behind.reaches_back(end, cue)
            for cue in self._behind.cues
        )

    def is_after_surgery(self, start: int) -> bool:
        """Whether the word follows "status post" or the like."""
        return any(cue.payload == "after_surgery" and cue.end <= start <= cue.end + 6 for cue in self.cues)

    def head_of(self, start: int, end: int) -> tuple[int, int]:
        """The last of the words [start, end) that is no cue that ends them: "fracture" of "no fracture is seen"."""
        cues = (*self.cues, *self._behind.cues)
        closing = [cue.start for cue in cues if start < cue.start and cue.end == end and cue.payload in AFTER]
        end = min(closing, default=end)
        return end - 1, end

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
            elif kind in BEFORE and not self._behind.is_reply(cue):
                yield cue.end, self._reach(cue), kind
                if (after := self._after_aside(cue)) is not None:
                    yield after, self._reach(Match(cue.start, after, kind)), kind
        yield from self._inverted()
        for position, word in enumerate(words):
            if word in _INVERTED_CONDITIONS and self._is_condition(position):
                yield position + 1, self._clause_end(position + 1, "frame"), "frame"
            elif (word in self.grammar.suggests and self._is_found_in_vain(position)) or (
                word in _ANY and self._is_licensed(position)
            ):
                yield position + 1, self._reach(Match(position, position + 1, "negation_before")), "negation_before"
            elif is_of_earlier_examination(words, position):
                yield position + 1, self._clause_end(position + 1, "frame"), "frame"
            elif (reason := self.grammar.reasons.longest_at(words, position)) and self._is_treatment(position):
                yield reason[0], self._clause_part_end(reason[0]), "history"

    def _opens_sentence(self, cue: Match[str]) -> bool:
        if cue.payload == "frame_front":
            return cue.start <= _FIRST_WORDS and cue.end < len(self.words)
        words = self.words.words
        first = max((i + 1 for i in range(cue.start) if words[i] in MARKS or i in self._clauses.breaks), default=0)
        if cue.start - first <= 1:
            return True
        return cue.payload == "negation_front" and words[cue.start - 1] in SEPARATORS

    def _clause_end(self, start: int, kind: str) -> int:
        """Where the clause ends; of a relative's at the patient, of a denial in front at a contrast only."""
        words, end = self.words.words, start
        stops = _PATIENT if kind == "family" else frozenset()
        while end < len(words) and words[end] not in stops:
            if words[end] in CLAUSE_ENDS or (end in self._clauses.breaks and self._parts_clauses(end, kind)):
                break
            if kind == "negation_front" and words[end] == "," and "being" in words[end + 1 : end + _FURTHEST_BEING]:
                break  # "nowhere is tumor seen, the carcinoma being confined to the mucosa"
            if (
                kind == "frame"
                and words[end] == ","
                and end + 1 < len(words)
                and self._clauses.has_own_verb(self._clauses.part_at(end + 1))
            ):
                break
            end += 1
        return end

    def _parts_clauses(self, position: int, kind: str) -> bool:
        found = self.words.words[position : self._clauses.breaks[position]]
        return found in self.grammar.strong and not (kind == "negation_front" and found[0] in ("despite", "which"))

    def _verb_after(self, start: int) -> int | None:
        """The first word that may be the verb of "none of …" in its part, or right after a bare "none"."""
        words = self.words.words
        part = self.parts[self.part_of(start)] if start < len(words) and self.parts else None
        if part is None or not part.start <= start < part.end or words[start] in PLACED:
            return None
        verb = next((i for i in range(start, part.end) if words[i] in self.grammar.verbs), None)
        return verb if verb is not None else (start - 1 if words[start - 1] == "none" and part.start < start else None)

    def _after_aside(self, cue: Match[str]) -> int | None:
        """Where a denial goes on after an aside: "not, in either plane, a fracture", "did not find, though sought, a".

        An aside may hold anything up to a comma before an article; one that follows the denial at once ends with the
        next comma.
        """
        words, start = self.words.words, cue.end
        while start < len(words) and (words[start] in self.grammar.sees or words[start] in _LINKS_OF_VERBS):
            start += 1
        is_verbal = start > cue.end or words[cue.end - 1] in self.grammar.sees
        if start >= len(words) or not (words[start] == "," or (is_verbal and words[start] in _ASIDES)):
            return None
        commas = [i for i in range(start, self._clauses.sentence_end(start)) if words[i] == "," and i + 1 < len(words)]
        before_article = [i for i in commas if words[i + 1] in _ARTICLES]
        if is_verbal and before_article:
            after = before_article[0] + 1
        elif words[start] == "," and len(commas) > 1 and self.clauses[commas[1]] == self.clauses[start]:
            after = commas[1] + 1
        else:
            return None
        return None if self._clauses.has_own_verb(self._clauses.part_at(after)) else after

    def _inverted(self) -> Iterator[tuple[int, int, str]]:
        """What follows a denial or doubt that opens a sentence: "not seen today is the nodule", "absent is a cleft"."""
        words = self.words.words
        for cue in self.cues:
            if cue.payload in _LABELS and words[cue.end : cue.end + 1] == (":",) and self._clauses.is_label(cue.start):
                label = Match(cue.start, cue.end, _LABELS[cue.payload])
                yield cue.end + 1, self._reach(label), label.payload  # "not seen: effusion, pneumothorax"
                continue
            if cue.payload not in _INVERTED or (cue.start and not self._clauses.is_break(cue.start - 1)):
                continue
            end = self._clauses.sentence_end(cue.end)
            verb = next((i for i in range(cue.end, end) if words[i] in _BE), None)
            if verb is not None and "," not in words[cue.end : verb]:
                yield verb + 1, self._clauses.last_listed(self.part_of(verb)), _INVERTED[cue.payload]
        for cue in self.cues:
            if cue.payload == "negation_after" and (words[cue.end - 1] in SHOWING or self._has_dummy_subject(cue)):
                yield cue.end, self._reach(Match(cue.start, cue.end, "negation_before")), "negation_before"
                if (resumed := self._after_aside(cue)) is not None:
                    yield resumed, self._reach(Match(cue.start, resumed, "negation_before")), "negation_before"

    def _has_dummy_subject(self, cue: Match[str]) -> bool:
        """Whether "there" or "we" stands for what is denied: "there could not be seen a fracture"."""
        words, start = self.words.words, self._behind.with_auxiliaries(cue).start
        return start > 0 and words[start - 1] in _DUMMIES

    def _is_condition(self, position: int) -> bool:
        """Whether a clause opens as a condition: "should a pneumothorax ensue", "were growth to be observed"."""
        words = self.words.words
        following = words[position + 1] if position + 1 < len(words) else ""
        opens = position == 0 or self._clauses.is_break(position - 1) or words[position - 1] == ","
        is_verb = words[position] == "should" or "to" in words[position + 2 : position + _FURTHEST_TO]
        return opens and is_verb and following not in self.grammar.auxiliaries and following not in ("not", "also", "")

    def _is_found_in_vain(self, position: int) -> bool:
        """Whether nothing, or no sign, was found that suggests what follows: "nothing, even on T2, to suggest"."""
        words = self.words.words
        if position == 0 or words[position - 1] not in _TO_SUGGEST:
            return False
        first = max((i + 1 for i in range(position) if words[i] in CLAUSE_ENDS | _CONTRASTS), default=0)
        return bool(_FINDERS & set(words[first:position]))

    def _is_licensed(self, position: int) -> bool:
        """Whether a denial stands before "any" in its clause."""
        return any(
            cue.payload in ("negation_before", "negation_front", "none_of") and cue.end <= position
            and self.clauses[cue.start] == self.clauses[position]
            for cue in self.cues
        )  # fmt: skip

    def _is_treatment(self, position: int) -> bool:
        """Whether "for" says what was treated: "lobectomy for carcinoma"."""
        before = self.words.words[max(0, position - FURTHEST_TREATED) : position]
        return any(word.endswith(_TREATED) or word in self.grammar.treatments for word in before)

    def _clause_part_end(self, start: int) -> int:
        return self._clauses.part_at(start).end if start < len(self.words) else start

    def _reach(self, cue: Match[str]) -> int:
        """The word at which the scope of a cue that stands before its concept ends."""
        end = cue.end
        if end < len(self.words) and self.words.words[end] in COLONS and self._clauses.is_label(cue.start):
            end += 1  # "possible: lymphoma"
        number = self.part_of(end)
        part = self.parts[number] if self.parts else None
        if part is None or end >= len(self.words):
            return cue.end
        if self.words.words[end] == "," and self.words.words[end - 1] == "for":
            return cue.end  # of "negative for CK20, supporting adenocarcinoma" a reader took the marker away
        is_clause = end in self._clauses.breaks and self.words.words[end] == "there"
        if any(self._clauses.is_break(i) for i in range(self._clauses.breaks[end] if is_clause else end, part.start)):
            return cue.end
        if self.words.words[cue.start] in _NOUNS_OF_DENIAL:
            stops = {c.start for c in self.cues if c.payload in BEFORE and c.start > end}
            return next(
                (i for i in range(end, part.end) if i in stops or self._clauses.is_finite(i)),
                self._clauses.last_listed(number),
            )
        if cue.payload == "condition" and self.parts[number + 1 : number + 2]:
            alternatives = self.parts[number + 1]
            return alternatives.end if alternatives.separator == "or" else part.end
        if self.words.words[cue.start] == "absent" and self.words.words[max(cue.start - 1, 0)] in _JOINING:
            return part.end  # "collaterals and absent flow, thrombosis"
        if cue.payload == "condition" or self.words.words[cue.start] in NEAR or self.words.words[cue.start] == "query":
            return part.end
        return self._clauses.last_listed(number)

    def _is_complaint(self, start: int, end: int) -> bool:
        return any(cue.payload == "symptom" and cue.start <= start and end <= cue.end for cue in self.cues)

    def _is_excepted(self, end: int) -> bool:
        """Whether an exception follows that is of the same kind: "no stenosis besides that at L3"."""
        return any(
            cue.payload == "exception_after"
            and 0 <= cue.start - end <= MOST_OF_A_NAME
            and not set(self.words.words[end : cue.start]) & (MARKS | SEPARATORS.keys())
            for cue in self.cues
        )

    def _is_less_likely(self, start: int, end: int) -> bool:
        """Whether "unlikely" ranks the words behind something that is likely: "adenoma likely, metastasis unlikely"."""
        words = self.words.words
        after = next((c for c in self._behind.cues if c.start >= end and self._behind.reaches_back(end, c)), None)
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
        if not self._clauses.is_bare(number):
            return False
        if end < len(words) and words[end] == "or" and self._clauses.is_bare(number + 1):
            return True
        is_second = part.separator == "or" and words[part.start - 1] == "or" and start - part.start <= MOST_OF_A_NAME
        return is_second and self._clauses.is_bare(number - 1)
