"""Sizes that measure an organ, not what is in it: "the bile duct is 12 mm with a stone at its lower end"."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import takewhile

from voxtile.words.phrases import Phrases
from voxtile.words.tokens import Words
from voxtile_medical.reports.quantities.sizes import Size

# What stands between the organ and its size, and what goes on to name what is in it.
_MEASURING = frozenset(
    ["is", "was", "measures", "measured", "measuring", "measure", "at", "about", "approximately", "up", "to", "now"]
)
_HOLDING = frozenset(["with", "contains", "containing", "holds", "holding", "has", "and", "shows", "showing"])
_OF_THE_SIZE = frozenset(["in", "diameter", "caliber", "calibre", "width", "length", "wide", "long", "across", ","])


def without_those_of_organs(words: Words, organs: Phrases[str], named: Set[int], lengths: Sequence[Size]) -> list[Size]:
    """The sizes without those of an organ that stands before them and of which no finding is named.

    Args:
        words: the sentence.
        organs: phrase → organ.
        named: places of the words that name findings.
        lengths: sizes, by characters of the text of the words.
    """
    ends = {organ.end for organ in organs.find(words.words) if not named & set(range(organ.start, organ.end))}
    return [length for length in lengths if not _is_of_organ(words, ends, named, length)]


def _is_of_organ(words: Words, ends: Set[int], named: Set[int], length: Size) -> bool:
    first = sum(start < length.start for start in words.starts)
    last = sum(start < length.end for start in words.starts)
    between = list(takewhile(_MEASURING.__contains__, reversed(words.words[:first])))
    following = list(takewhile(_OF_THE_SIZE.__contains__, words.words[last:]))
    holding = last + len(following)
    is_held = holding < len(words) and words.words[holding] in _HOLDING
    return bool(between) and first - len(between) in ends and is_held and any(place > holding for place in named)
