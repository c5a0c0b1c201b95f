"""Sides that a sentence names and that are of no finding: taken back, or to which something is displaced."""

from __future__ import annotations

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.grammar import Modifier
from voxtile_medical.reports.assertion.statements import Statement

_BEFORE_SIDE = frozenset(["on", "in", "at", "of", "to", "the", "its", "from"])  # between "not" and the side it denies
_SIDES = frozenset(["left", "right"])
_TOWARDS = frozenset([("to", "the"), ("toward", "the"), ("towards", "the")])
_DISPLACED = ("displac", "deviat", "shift", "bow", "push", "tilt")
_ENDS = frozenset(["tip", "lead", "terminate", "terminating", "end", "ending"])
_INTO = frozenset(["in", "at", "within", "into", "near", "over", "to"])
_EITHER = frozenset([("left",), ("right",)])
_FURTHEST = 8  # words from what displaces to the side
# "Both columns of the left acetabulum" are of one side, whatever stands between; others where nothing does.
_OF_ONE = frozenset(
    [
        "column",
        "condyle",
        "malleolus",
        "malleoli",
        "meniscus",
        "menisci",
        "cruciate",
        "ramus",
        "rami",
        "plateau",
        "horn",
    ]
)
_IF_BARE = frozenset(
    ["bone", "cortex", "cortices", "bundle", "wall", "pole", "limb", "surface", "end", "layer", "compartment",
     "endplate", "fragment", "phase", "view", "sequence", "projection", "plane", "component", "lesion",
     "nodule", "mass", "cyst", "stone", "calculus", "calculi", "aspect", "level", "fracture"]
)  # fmt: skip
_MORE, _AGAIN = frozenset(["more", "worse", "greater"]), frozenset(["once", "no", "not", "any", "never"])
_UP_TO_NOUN = 3  # words: "both of the malleoli"


def taken_back(statement: Statement) -> set[int]:
    """Words whose side is taken back: "described on the left is in fact on the right", "not the left"."""
    words, clauses = statement.words.words, statement.clauses
    gone: set[int] = set()
    for match in statement.grammar.correcting.find(words):
        same = [i for i in range(len(words)) if clauses[i] == clauses[match.start]]
        if words[match.start] in ("not", "rather"):
            last = next((i for i in range(match.end, len(words)) if words[i] not in _BEFORE_SIDE), len(words))
            gone |= {i for i in same if match.end <= i <= last}
        else:
            gone |= {i for i in same if i < match.start}
    return gone


def both_of_one(statement: Statement) -> set[int]:
    """Where "both" counts what one side has two of: "both columns", "both malleoli"."""
    words = statement.words.words
    return {
        i
        for i, word in enumerate(words)
        if word == "both"
        and (
            not _OF_ONE.isdisjoint(words[i + 1 : i + 1 + _UP_TO_NOUN]) or not _IF_BARE.isdisjoint(words[i + 1 : i + 2])
        )
    }


def compared_side(statement: Statement, match: Match[Modifier]) -> Match[Modifier]:
    """A side that is the worse of both, as that side alone where nothing is compared: "once more on the right"."""
    words = statement.words.words
    is_compared = match.payload[1] == "bilateral" and words[match.end - 1] in _SIDES and words[match.start] in _MORE
    if is_compared and words[max(0, match.start - 1)] in _AGAIN:
        return Match(match.end - 1, match.end, ("laterality", words[match.end - 1]))
    return match


def displaced_to(statement: Statement) -> frozenset[int]:
    """Words that say to which side something is displaced: "deviation of the stalk to the left"."""
    words, clauses = statement.words.words, statement.clauses
    return frozenset(
        i
        for i, word in enumerate(words)
        if word in _SIDES
        and words[max(0, i - 2) : i] in _TOWARDS
        and any(
            words[j].startswith(_DISPLACED) and clauses[j] == clauses[i] for j in range(max(0, i - _FURTHEST), i - 2)
        )
    )


def ends_at(statement: Statement) -> frozenset[int]:
    """Sides of where a device ends, whose own side was named: "left pacemaker with leads in the right atrium"."""
    words = statement.words.words
    found: set[int] = set()
    cue, is_listed = None, False
    for i, word in enumerate(words):
        if word in _ENDS and _SIDES & set(words[:i]):
            cue, is_listed = i, False
        elif word in ",;:" or (word == "and" and not (is_listed and words[i + 1 : i + 2] in _EITHER)):
            cue = None
        elif word in _SIDES and cue is not None and _INTO & set(words[cue + 1 : i]):
            found.add(i)
            is_listed = True
    return frozenset(found)


def is_of_displacement(statement: Statement, start: int, end: int) -> bool:
    """Whether words [start, end) name a displacement, whose side is the one to which it goes: "midline shift"."""
    return any(word.startswith(_DISPLACED) for word in statement.words.words[start:end])
