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
_COLONS = frozenset(":=([-–—")
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
_REPLIES = frozenset({"no", "neither", "nil", "negative", "absent", "excluded", "out", "off", "n", "zero", "ø", "∅"})
_ANY = frozenset({"any", "anything"})
_UNLIKELY = frozenset({"unlikely", "improbable"})
_TREATED = ("ectomy", "otomy", "ostomy", "plasty", "desis", "rraphy")
# Nouns that deny what they are followed by, up to the verb of which they are the subject.
_NOUNS_OF_DENIAL = frozenset({"absence", "lack", "resolution", "clearing", "removal", "disappearance", "exclusion"})
# Words of denials that another denial turns round: "no lobe is free of", "none is spared by".
_FREE = frozenset(
    {"free", "clear", "devoid", "void", "bereft", "spared", "exempt", "without", "lacking", "rid", "empty"}
)
_OPEN_CLAUSES = frozenset({"that", "whether", "if", "for", "to"})
# Where a verb of seeing that is denied is not followed by what was not seen.
_ASIDES = frozenset({"on", "in", "at", "with", "after", "despite", "even", "also", "within", "from", "by", "contrary"})
_LINKS_OF_VERBS = frozenset({"be", "been", "up", "out", "and", "or"})
_ARTICLES = frozenset({"a", "an", "any", "the", "another", "either", "such", "evidence"})
_INVERTED = {"negation_after": "negation_before", "doubt_after": "doubt_before"}
_LABELS = {**_INVERTED, "history_after": "history"}
_DENIALS_BEFORE = frozenset({"negation_before", "negation_front", "none_of"})
# "Hardly a lobe is free of": as good as none.
_BARELY = frozenset({"hardly", "scarcely", "barely", "not"})
# Pronouns that stand for all that a list named: "A, B, C: none of these".
_ALL_OF_IT = frozenset({"none", "neither", "nothing", "not"})
_FINDERS = frozenset({"no", "nothing", "without", "not", "never", "hardly", "scarcely"})
_CONTRASTS = frozenset({"but", "however", "although", "though", "while", "whereas", "yet"})
_INVERTED_CONDITIONS = frozenset({"should", "were"})
_FURTHEST_TO = 8
# "Fistula possible if not recently catheterised": what may follow a doubt.
_PROVISOS = frozenset({"if", "unless", "given", "although", "though", "because", "since", "as"})
_TO_SUGGEST = frozenset({"to", "that", "which", "would", "might", "could"})
_BE = frozenset({"is", "are", "was", "were"})
_SHOWING = frozenset({"show", "appear", "exist", "occur"})
_DUMMIES = frozenset({"there", "we", "i", "one"})
_SOUGHT = frozenset({"sought", "searched", "looked", "described", "expected", "checked"})
_VAIN = frozenset({"vain", "success", "avail"})
# "Effusion and consolidation is absent" says it of the last alone where a comma stands before.
_SINGULAR = frozenset({"is", "was", "has", "does"})
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
        self.cues: list[Match[str]] = _denied_denials(_cues(words.words, grammar), words.words, grammar)
        self._breaks = {cue.start: cue.end for cue in self.cues if cue.payload == "break"}
        self._breaks |= {i: i + 1 for i, word in enumerate(words.words) if word == "than" and self._is_other(i)}
        self.parts = list(self._split())
        self._part_numbers = self._numbers()
        self._scopes = list(self._scopes_before())
        self._afters = [self._with_auxiliaries(c) for c in self.cues if c.payload in _AFTER and self._is_said_back(c)]
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
        if kinds & {"affirm_before", "affirm_after"} or self._is_excepted(end) or self._stays(start, end, kinds):
            return "present"
        if kinds & {"open_before", "open_after"}:
            return "uncertain"
        if kinds & _DENIES or is_scored_zero(self.words.words, start, end):
            return "absent"
        if kinds & _DOUBTS or self._is_question(end) or self._is_alternative(start, end):
            return "uncertain"
        return "present"

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
            and not (_MARKS | {","}) & set(words[end : cue.start])
            and self._reaches_back(end, cue)
            for cue in self._afters
        )

    def is_after_surgery(self, start: int) -> bool:
        """Whether the word follows "status post" or the like."""
        return any(cue.payload == "after_surgery" and cue.end <= start <= cue.end + 6 for cue in self.cues)

    def head_of(self, start: int, end: int) -> tuple[int, int]:
        """The last of the words [start, end) that is no cue that ends them: "fracture" of "no fracture is seen"."""
        cues = (*self.cues, *self._afters)
        closing = [cue.start for cue in cues if start < cue.start and cue.end == end and cue.payload in _AFTER]
        end = min(closing, default=end)
        return end - 1, end

    def _is_other(self, position: int) -> bool:
        """Whether "than" stands for an exception: "no other lesion than the cyst"."""
        return "other" in self.words.words[max(0, position - _FURTHEST_TREATED) : position]

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
        yield from self._inverted()
        for position, word in enumerate(words):
            if word in _INVERTED_CONDITIONS and self._is_condition(position):
                yield position + 1, self._clause_end(position + 1, "frame"), "frame"
            elif (word in self.grammar.suggests and self._is_found_in_vain(position)) or (
                word in _ANY and self._is_licensed(position)
            ):
                yield position + 1, self._reach(Match(position, position + 1, "negation_before")), "negation_before"
            elif (reason := self.grammar.reasons.longest_at(words, position)) and self._is_treatment(position):
                yield reason[0], self._clause_part_end(reason[0]), "history"

    def _opens_sentence(self, cue: Match[str]) -> bool:
        if cue.payload == "frame_front":
            return cue.start <= _FIRST_WORDS and cue.end < len(self.words)
        words = self.words.words
        first = max((i + 1 for i in range(cue.start) if words[i] in _MARKS or i in self._breaks), default=0)
        if cue.start - first <= 1:
            return True
        return cue.payload == "negation_front" and words[cue.start - 1] in _SEPARATORS

    def _clause_end(self, start: int, kind: str) -> int:
        """Where the clause ends; of a relative's at the patient, of a denial in front at a contrast only."""
        words, end = self.words.words, start
        stops = _PATIENT if kind == "family" else frozenset()
        while end < len(words) and words[end] not in stops:
            if words[end] in _CLAUSE_ENDS or (end in self._breaks and self._parts_clauses(end, kind)):
                break
            if (
                kind == "frame"
                and words[end] == ","
                and end + 1 < len(words)
                and self._has_own_verb(self._part_at(end + 1))
            ):
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
        commas = [i for i in range(start, self._sentence_end(start)) if words[i] == "," and i + 1 < len(words)]
        before_article = [i for i in commas if words[i + 1] in _ARTICLES]
        if is_verbal and before_article:
            after = before_article[0] + 1
        elif words[start] == "," and len(commas) > 1 and self.clauses[commas[1]] == self.clauses[start]:
            after = commas[1] + 1
        else:
            return None
        return None if self._has_own_verb(self._part_at(after)) else after

    def _sentence_end(self, start: int) -> int:
        words = self.words.words
        return next((i for i in range(start, len(words)) if words[i] in _CLAUSE_ENDS), len(words))

    def _inverted(self) -> Iterator[tuple[int, int, str]]:
        """What follows a denial or doubt that opens a sentence: "not seen today is the nodule", "absent is a cleft"."""
        words = self.words.words
        for cue in self.cues:
            if cue.payload in _LABELS and words[cue.end : cue.end + 1] == (":",) and self._is_label(cue.start):
                label = Match(cue.start, cue.end, _LABELS[cue.payload])
                yield cue.end + 1, self._reach(label), label.payload  # "not seen: effusion, pneumothorax"
                continue
            if cue.payload not in _INVERTED or (cue.start and not self._is_break(cue.start - 1)):
                continue
            end = self._sentence_end(cue.end)
            verb = next((i for i in range(cue.end, end) if words[i] in _BE), None)
            if verb is not None and "," not in words[cue.end : verb]:
                yield verb + 1, self._last_listed(self.part_of(verb)), _INVERTED[cue.payload]
        for cue in self.cues:
            if cue.payload == "negation_after" and (words[cue.end - 1] in _SHOWING or self._has_dummy_subject(cue)):
                yield cue.end, self._reach(Match(cue.start, cue.end, "negation_before")), "negation_before"
                if (resumed := self._after_aside(cue)) is not None:
                    yield resumed, self._reach(Match(cue.start, resumed, "negation_before")), "negation_before"

    def _has_dummy_subject(self, cue: Match[str]) -> bool:
        """Whether "there" or "we" stands for what is denied: "there could not be seen a fracture"."""
        words, start = self.words.words, self._with_auxiliaries(cue).start
        return start > 0 and words[start - 1] in _DUMMIES

    def _is_condition(self, position: int) -> bool:
        """Whether a clause opens as a condition: "should a pneumothorax ensue", "were growth to be observed"."""
        words = self.words.words
        following = words[position + 1] if position + 1 < len(words) else ""
        opens = position == 0 or self._is_break(position - 1) or words[position - 1] == ","
        is_verb = words[position] == "should" or "to" in words[position + 2 : position + _FURTHEST_TO]
        return opens and is_verb and following not in self.grammar.auxiliaries and following not in ("not", "also", "")

    def _is_found_in_vain(self, position: int) -> bool:
        """Whether nothing, or no sign, was found that suggests what follows: "nothing, even on T2, to suggest"."""
        words = self.words.words
        if position == 0 or words[position - 1] not in _TO_SUGGEST:
            return False
        first = max((i + 1 for i in range(position) if words[i] in _CLAUSE_ENDS | _CONTRASTS), default=0)
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
        before = self.words.words[max(0, position - _FURTHEST_TREATED) : position]
        return any(word.endswith(_TREATED) or word in self.grammar.treatments for word in before)

    def _clause_part_end(self, start: int) -> int:
        return self._part_at(start).end if start < len(self.words) else start

    def _is_reply(self, cue: Match[str]) -> bool:
        """Whether a denial follows what it denies, as in a form: "rupture = no", "effusion: none"."""
        words = self.words.words
        if cue.payload not in ("negation_before", "none_of", "negation_reply") or cue.start == 0:
            return False
        if cue.end - cue.start > 1 or not (words[cue.start] in _REPLIES or cue.payload == "none_of"):
            return False
        return cue.end >= len(words) or words[cue.end] in _ENDS or cue.end in self._breaks or self._ends(cue.end)

    def _ends(self, position: int) -> bool:
        """Whether only adverbs stand between a word and the end of its part: "none now"."""
        words = self.words.words
        while position < len(words) and self.grammar.is_adverb(words[position]):
            position += 1
        return position >= len(words) or words[position] in _ENDS

    def _with_auxiliaries(self, cue: Match[str]) -> Match[str]:
        """A cue with the auxiliaries and adverbs before it: "could, with certainty, not be seen"."""
        words, start = self.words.words, cue.start
        while start and (words[start - 1] in self.grammar.auxiliaries or self.grammar.is_adverb(words[start - 1])):
            start -= 1
        return Match(start, cue.end, cue.payload)

    def _is_said_back(self, cue: Match[str]) -> bool:
        if cue.payload == "doubt_colon":
            return cue.start > 0 and self.words.words[cue.start - 1] in _COLONS
        if cue.payload != "doubt_reply":
            return True
        return self._ends(cue.end) or self.words.words[cue.end] in _PROVISOS

    def _reach(self, cue: Match[str]) -> int:
        """The word at which the scope of a cue that stands before its concept ends."""
        end = cue.end
        if end < len(self.words) and self.words.words[end] in _COLONS and self._is_label(cue.start):
            end += 1  # "possible: lymphoma"
        number = self.part_of(end)
        part = self.parts[number] if self.parts else None
        if part is None or end >= len(self.words):
            return cue.end
        is_clause = end in self._breaks and self.words.words[end] == "there"
        if any(self._is_break(i) for i in range(self._breaks[end] if is_clause else end, part.start)):
            return cue.end
        if self.words.words[cue.start] in _NOUNS_OF_DENIAL:
            return next((i for i in range(end, part.end) if self._is_finite(i)), self._last_listed(number))
        if cue.payload == "condition" or self.words.words[cue.start] in _NEAR or self.words.words[cue.start] == "query":
            return part.end
        return self._last_listed(number)

    def _part_at(self, position: int) -> Part:
        return self.parts[self.part_of(position)]

    def _last_listed(self, number: int) -> int:
        """The word at which the enumeration ends that a part begins."""
        last = self.parts[number].end
        for index in range(number + 1, len(self.parts)):
            if self._opens(index):
                break
            last = self.parts[index].end
        return last

    def _is_break(self, position: int) -> bool:
        return position in self._breaks or self.words.words[position] in _MARKS

    def _is_finite(self, position: int) -> bool:
        word = self.words.words[position]
        return word in self.grammar.verbs or (word in self.grammar.auxiliaries and word != "to")

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
        return self.words.words[part.start] in self.grammar.openers or self.words.words[part.start].isdecimal()

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
        if self._is_all_of_it(cue):
            return not set(between) & (self.grammar.verbs | {"."})
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
        is_coordinated = bool(between) and between[-1] in ("and", "but", "yet", "though")
        if (is_coordinated and between[-1] != "and") or _VAIN & set(words[cue.start : cue.end]):
            return bool(_SOUGHT & set(between))
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
            if is_beside and commas <= 2 and not (commas == 1 and is_placed):
                return True
            return self._is_one_subject(first, last, cue)
        return True

    def _is_all_of_it(self, cue: Match[str]) -> bool:
        """Whether a cue denies all that was listed before it: "none of these"."""
        words = self.words.words
        return cue.payload == "negation_after" and "of" in words[cue.start + 1 : cue.end] and (
            words[cue.start] in _ALL_OF_IT
        )  # fmt: skip

    def _is_one_subject(self, first: int, last: int, cue: Match[str]) -> bool:
        """Whether the parts from one to the one before a cue are listed as one subject: "A, B and C are absent"."""
        listed = self.parts[first : last + 1]
        if any(set(self.words.words[p.start : min(p.end, cue.start)]) & self.grammar.verbs for p in listed):
            return False
        if any(self.words.words[p.start] in self.grammar.openers for p in listed[1:]):
            return False
        is_joined = any(part.separator in ("and", "or") for part in listed[1:])
        is_single = self.words.words[cue.start] in _SINGULAR and all(p.separator != "or" for p in listed[1:])
        return is_joined and not is_single

    def _answers(self, end: int, cue: Match[str]) -> bool:
        """Whether a colon or dash alone stands between a finding, or what is said more nearly of it, and a cue."""
        words, position = self.words.words, cue.start - 1
        while position > end and self.grammar.is_adverb(words[position]):
            position -= 1
        if position < end or words[position] not in _COLONS:
            return False
        between = words[end:position]
        if set(between) & _MARKS or set(between) & self.grammar.verbs:
            return False
        return len(between) <= _MOST_OF_A_NAME or (self._is_label(end) and self._ends(cue.end))

    def _is_label(self, position: int) -> bool:
        """Whether no mark stands before a word in its clause: it is of what a reply is given to."""
        start = max((i + 1 for i in range(position) if self.words.words[i] in _MARKS), default=0)
        return start == 0 or self.words.words[start - 1] in _CLAUSE_ENDS

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
    passed = {position for position, word in enumerate(words) if grammar.is_adverb(word)}
    return grammar.cues.find_passing(words, passed) if passed else grammar.cues.find(words)


def _denied_denials(cues: list[Match[str]], words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues; a denied denial ("no lobe is free of …") affirms, a doubt before a clause is said of the clause."""
    found = []
    for cue in cues:
        following = words[cue.end] if cue.end < len(words) else ""
        if cue.payload == "doubt_after" and following in _OPEN_CLAUSES:
            cue = Match(cue.start, cue.end, "doubt_before")
        elif cue.payload == "doubt_after" and following == "than":
            found.append(Match(cue.start, cue.end + 1, "doubt_before"))
        elif cue.payload == "negation_after" and words[cue.end - 1] in _SHOWING and following not in _ENDS | {""}:
            cue = Match(cue.start, cue.end, "negation_before")
        elif cue.payload == "negation_after" and words[cue.start] in _ALL_OF_IT and "of" in words[cue.start : cue.end]:
            is_said = following in grammar.verbs or following in grammar.auxiliaries or grammar.is_adverb(following)
            if not (is_said or following in _ENDS | {"", "on", "in", "at"}):
                cue = Match(cue.start, cue.start + 2, "none_of")  # "none of these nodules is enlarged"
        elif cue.payload == "negation_before" and _FREE & set(words[cue.start : cue.end]):
            denied = [c for c in found if c.payload in _DENIES and c.end <= cue.start]
            first = denied[-1].end if denied else next((i + 1 for i, w in enumerate(words) if w in _BARELY), cue.start)
            gap = words[first : cue.start]
            parts = denied and denied[-1].payload != "none_of" and "," in gap
            if gap and not _CLAUSE_ENDS & set(gap) and not parts and _is_said(gap, grammar):
                cue = Match(cue.start, cue.end, "affirm_before")
        found.append(cue)
    return found


def _is_said(gap: tuple[str, ...], grammar: Grammar) -> bool:
    """Whether the last word is a verb that says of the words before it what follows."""
    last = next((word for word in reversed(gap) if not grammar.is_adverb(word)), "")
    return last in grammar.auxiliaries or last in grammar.verbs
