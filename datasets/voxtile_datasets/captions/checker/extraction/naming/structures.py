"""Of which structures of a sentence a quality is said: "enlarged heart", "stones in the gallbladder"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

_JOINING = frozenset([",", "and", "or", "nor", "/", "&"])
_SLIGHT = frozenset(["the", "a", "an", "both", "left", "right", "bilateral", "of", "also"]) | _JOINING
_LOCATING = frozenset(
    ["of", "in", "within", "at", "on", "along", "to", "from",
     "around", "inside", "into", "over", "fill", "fills", "surround", "surrounds"]
)  # fmt: skip
_NEAR, _FAR = 10, 14  # words between a quality and the structure after it, before it
# A structure after one of these is only where something else is.
_APART = frozenset(["below", "above", "beneath", "beside", "behind", "near", "between", "beyond", "than"])
_WITHIN = frozenset(["in", "at", "within", "on", "near", "beside"])
_GOING_ON = ((",",), ("and",), ("or",), ("nor",), (".",), ())
_EXCEPTING = tuple(
    tuple(words.split())
    for words in (
        "apart from", "aside from", "except for", "except", "besides", "save for", "other than", "exception of",
    )
)  # fmt: skip
_TRIED = 3  # structures before or after a quality of which it may be said
_MANY = frozenset(["are", "were", "and", "or", "nor", "&", "look", "appear", "all", "have", "show", ":", "=", "both"])
_OF_THE = 3  # words of "CT of the" between the picture and what it is of


class Structures:
    """Parts of bodies and pictures that a sentence names.

    Args:
        statement: the sentence.
        vocabulary: names of structures.
        terms: places of names of concepts in the sentence, half-open.
    """

    def __init__(
        self, statement: Statement, vocabulary: Vocabulary, terms: Mapping[tuple[int, int], tuple[str, ...]]
    ) -> None:
        self.statement = statement
        self.vocabulary = vocabulary
        self.words = statement.words.words
        self.terms = terms

    def has_pair(self, structure: str, quality: str) -> bool:
        """Whether a structure and a quality name a concept together."""
        return (structure, quality) in self.vocabulary.pairs

    def has_closing(self, structure: str, kind: str) -> bool:
        """Whether a kind of normality of a structure denies anything."""
        return kind in self.vocabulary.closes.get(structure, {})

    def of(self, quality: Match[str], fits: Callable[[str, str], bool]) -> list[Match[str]]:
        """The structures of which a quality is said; empty where it is said of none near."""
        clause = self.statement.clause_of(quality.start)
        inside = [
            s
            for s in self.all
            if self.statement.clause_of(s.start) == clause and not self._is_of_other_name(s, quality)
        ]
        before = [s for s in inside if s.end <= quality.start]
        after = [s for s in inside if s.start >= quality.end]
        ordered = [(after, 1), (before, -1)] if self._goes_on_after(quality, after) else [(before, -1), (after, 1)]
        for candidates, direction in ordered:
            nearest = candidates[::direction]
            for first in range(min(len(nearest), _TRIED)):
                if direction < 0 and first and "," in self._gap(nearest[0], nearest[first]):
                    break
                group = self._group(nearest[first:], quality, direction)
                if any(fits(structure.payload, quality.payload) for structure in group):
                    return group
                if nearest[first].end == quality.start:
                    break  # "bile ducts of normal calibre, belly dry"
        return self._of_what_is_normal(quality, fits)

    def _of_what_is_normal(self, quality: Match[str], fits: Callable[[str, str], bool]) -> list[Match[str]]:
        """The structures that are normal but for a quality: "kidneys unremarkable apart from two cysts"."""
        clause = self.statement.clause_of(quality.start)
        first = next((i for i in range(quality.start) if self.statement.clause_of(i) == clause), 0)
        if not any(self.words[max(0, first - len(cue)) : first] == cue for cue in _EXCEPTING):
            return []
        before = [s for s in self.all if self.statement.clause_of(s.start) == clause - 1]
        return [s for s in before if fits(s.payload, quality.payload)]

    def _is_of_other_name(self, structure: Match[str], quality: Match[str]) -> bool:
        """Whether a structure belongs to a name that the quality is no part of: "nodule … and no pleural effusion"."""
        return any(
            start <= structure.start < structure.end <= end
            and end - start > structure.end - structure.start
            and not (start < quality.end and quality.start < end)
            for start, end in self.terms
        )

    @cached_property
    def all(self) -> list[Match[str]]:
        """All of them, in the order of the text."""
        return self.vocabulary.structures.find(self.words)

    def _goes_on_after(self, quality: Match[str], after: Sequence[Match[str]]) -> bool:
        """Whether a quality stands before what it is said of: "stones in the gallbladder", "enlarged heart"."""
        if not after:
            return False
        gap = self.words[quality.end : after[0].start]
        if _APART & set(gap):
            return False  # "widened to 6 cm below the kidneys"
        return not gap or (gap[0] in _LOCATING and len(gap) <= _NEAR and not _JOINING & set(gap))

    def _group(self, candidates: Sequence[Match[str]], quality: Match[str], direction: int) -> list[Match[str]]:
        """The nearest structure, and those that are enumerated with it."""
        group: list[Match[str]] = []
        for structure in candidates:
            if not group:
                gap = self._gap(structure, quality) if direction > 0 else self._gap(quality, structure)
                if not self._reaches(gap, direction):
                    return []
            else:
                gap = self._gap(structure, group[-1]) if direction > 0 else self._gap(group[-1], structure)
                if gap and not (set(gap) <= _SLIGHT and _JOINING & set(gap)):
                    break
                if direction < 0 and gap == (",",) and not self._is_of_many(group[0], quality):
                    break  # "five deposits in the liver, bile ducts of normal calibre"
                if direction > 0 and gap == (",",) and self.words[structure.end : structure.end + 1] not in _GOING_ON:
                    break  # "a cyst on the kidney, gallbladder normal"
                if direction < 0 and _WITHIN & set(self.words[max(0, structure.start - _OF_THE) : structure.start]):
                    break  # "a bleed in the basal ganglia, ventricles normal"
            group.append(structure)
        return group

    def _is_of_many(self, structure: Match[str], quality: Match[str]) -> bool:
        """Whether a quality is said of a row of structures: after "are", or where "and" joins the last of them."""
        before = self.words[max(0, structure.start - _OF_THE) : structure.start]
        return bool(_MANY & {*self._gap(quality, structure), *before})

    def _gap(self, later: Match[str], earlier: Match[str]) -> tuple[str, ...]:
        return self.words[earlier.end : later.start]

    def _reaches(self, gap: tuple[str, ...], direction: int) -> bool:
        if direction < 0:
            return len(gap) + 3 * gap.count(",") <= _FAR
        if gap == (",",):
            return True
        if len(gap) > _NEAR or "," in gap or _APART & set(gap):
            return False
        verbs = any(word in self.statement.grammar.verbs for word in gap)
        return not verbs or bool(_LOCATING & set(gap))
