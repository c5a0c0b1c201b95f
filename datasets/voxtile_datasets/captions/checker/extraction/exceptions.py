"""What a denial leaves out: "no effusion except on the right", "an effusion on the left, none on the right"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.grammar import Grammar

_LISTING = frozenset([",", "and", "or", "nor", "/", "&", "plus", "+"])
_EXCEPT = frozenset(["except", "besides"])
_EXCEPT_OF_TWO = frozenset([("except", "for"), ("other", "than"), ("apart", "from"), ("aside", "from")])
_PLACING = (("on",), ("in",), ("at",), ("within",))
_TO_ONE = 4  # words to "one" in "except a very small one"
_BEFORE_NONE = ((",",), (";",), ("and",), ("but",), ("with",), ("while",))
_TO_SIDE = 3  # words from "none" to its side


def with_exceptions(cues: Sequence[Match[str]], words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    """The cues of a sentence, in order, as they stand once exceptions are heeded.

    A denial of one thing that excepts a place affirms it: "no effusion except on the right". Of "no effusion or
    fracture except on the right" nobody knows which is meant. "None on the right" after what is said of a side begins a
    statement of its own.

    Args:
        cues: denials, doubts and what parts statements.
        words: of the sentence.
        grammar: its verbs and sides.
    """
    return _with_other_sides(_without_exceptions(cues, words, grammar), words, grammar)


def _without_exceptions(cues: Sequence[Match[str]], words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    excepted = set[Match[str]]()
    for cue, other in pairwise(cues):
        said = words[other.start : other.end]
        is_exception = other.payload == "breaks" and (said in _EXCEPT_OF_TWO or said[0] in _EXCEPT)
        denied = words[cue.end : other.start - (words[other.start - 1] == ",")]
        is_of_one = not (_LISTING | grammar.verbs) & set(denied)
        after = words[other.end : other.end + _TO_ONE]
        is_of_same = after[:1] in _PLACING or bool({"one", "ones"} & set(after))
        if cue.payload == "denies" and is_exception and is_of_one and is_of_same:
            excepted |= {cue, other}
    return [cue for cue in cues if cue not in excepted]


def _with_other_sides(cues: Sequence[Match[str]], words: tuple[str, ...], grammar: Grammar) -> list[Match[str]]:
    sides = grammar.sides.find(words)
    changed = []
    for cue in cues:
        is_none = words[cue.start : cue.end] == ("none",) and words[cue.start - 1 : cue.start] in _BEFORE_NONE
        is_of_side = any(cue.end < side.start <= cue.end + _TO_SIDE for side in sides)
        begins = is_none and is_of_side and words[cue.end] in ("on", "in") and any(s.end <= cue.start for s in sides)
        changed.append(replace(cue, payload="breaks") if begins else cue)
    return changed
