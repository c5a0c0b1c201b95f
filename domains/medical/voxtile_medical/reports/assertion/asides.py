"""What stands beside a statement and is none of its own: earlier examinations, relative clauses, attributes."""

from __future__ import annotations

from collections.abc import Container

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.grammar import Grammar

# "Prior CT (outside hospital) reported a mass": what another examination showed.
_EARLIER = frozenset({"prior", "previous", "outside", "earlier", "initial", "referral", "old", "former", "last"})
_EXAMINATIONS = frozenset(
    {"ct", "mri", "mr", "us", "ultrasound", "sonography", "scan", "film", "radiograph", "examination", "exam", "study"}
) | {"pet", "report", "imaging", "mammogram", "biopsy", "endoscopy", "colonoscopy"}
_SHOWED = frozenset(
    {"reported", "described", "showed", "demonstrated", "revealed", "noted", "mentioned", "raised", "had"}
)
_FURTHEST = 14  # words from the beginning of a clause to its verb
_RELATIVES = frozenset({"which", "who", "that", "whose", "whom", "where"})
_DETERMINERS = frozenset({"the", "a", "an", "this", "that", "its", "now", "surgically", "recently", "previously"})
_NO_NOUNS = frozenset(
    {"on", "in", "at", "with", "after", "despite", "even", "also", "within", "from", "by", "contrary", "be", "been"}
) | {"up", "out", "and", "or", "nor", "to", "since", "for", "as", "but"}


def is_of_earlier_examination(words: tuple[str, ...], position: int) -> bool:
    """Whether a verb says what another examination showed: "outside CT (3 May) described"."""
    if words[position] not in _SHOWED:
        return False
    first = max((i + 1 for i in range(position) if words[i] in (";", ".", ":")), default=0)
    opening = words[first : first + 4]
    return position - first <= _FURTHEST and not _EARLIER.isdisjoint(opening) and not _EXAMINATIONS.isdisjoint(opening)


def is_relative_clause(between: tuple[str, ...], verbs: Container[str]) -> bool:
    """Whether a relative clause between commas is all that parts a subject from what is said of it."""
    if between.count(",") < 2 or between[-1] != "," or not {";", ".", ":"}.isdisjoint(between):
        return False
    opening = between.index(",")
    return between[opening + 1] in _RELATIVES and not any(word in verbs for word in between[:opening])


def is_attribute(cue: Match[str], words: tuple[str, ...], grammar: Grammar) -> bool:
    """Whether a participle only describes the noun behind it: "at the hiatus of the removed ureter"."""
    if cue.end - cue.start > 1 or not 0 < cue.start < cue.end < len(words) or words[cue.start] not in grammar.gone:
        return False
    noun = words[cue.end]
    if not noun.isalpha() or noun in _NO_NOUNS or noun in grammar.verbs or noun in grammar.auxiliaries:
        return False
    return words[cue.start - 1] in _DETERMINERS
