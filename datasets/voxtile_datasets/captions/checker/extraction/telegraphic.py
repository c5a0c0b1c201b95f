"""Counts, colours and levels in the short forms of notes, and of writers from other languages: "airplane 10"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

# Words that some languages set between a number and what is counted.
_COUNTERS = frozenset(["piece", "unit", "set", "place", "pc", "no", "number", "item", "head", "spot", "site"])
_CLOSING = frozenset([",", ";", ".", ")", "!", "|", "/", "•", "and"])
_PATCHES = frozenset(["patch", "spot", "area", "bit", "part", "thing", "field", "shape", "region", "zone", "stripe"])
_BE = frozenset(["is", "are", "was", "were"])
_LEVEL = re.compile(r"[ctls]\d{1,2}|\d|[-–/]").fullmatch
_ENDING = _CLOSING | {":", "(", "with"}


def owner_of_short_form(statement: Statement, item: Found, mentions: Sequence[Mention]) -> int | None:
    """The name that a count follows at once, or that stands after "… patches are"; None where neither is so.

    Args:
        statement: the sentence.
        item: a detail of it.
        mentions: the concepts that it names.
    """
    words = statement.words.words
    first = words[item.start]
    if item.detail.kind == "count" and (first[0].isdecimal() or first in statement.grammar.numbers):
        end = item.end + (words[item.end : item.end + 1] != () and words[item.end] in _COUNTERS)
        closes = end >= len(words) or words[end] in _CLOSING
        return next((i for i, m in enumerate(mentions) if closes and m.end == item.start and not m.is_normality), None)
    if item.detail.kind == "colour" and words[item.end : item.end + 1] and words[item.end] in _PATCHES:
        after = words[item.end + 1 : item.end + 2]
        start = item.end + 2
        return next((i for i, m in enumerate(mentions) if after and after[0] in _BE and m.start == start), None)
    return None


def head_of_compound(mentions: Sequence[Mention], index: int) -> int:
    """Of names that follow each other at once the last, which is what is counted: "two adenocarcinoma deposits"."""
    while index + 1 < len(mentions) and mentions[index + 1].start == mentions[index].end:
        index += 1
    return index


def level_behind(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """The mention right behind which levels stand that end its part: "spinal stenosis L4-L5, left herniation L5-S1"."""
    words = statement.words.words
    last = next((i for i in range(item.end, len(words)) if not _LEVEL(words[i])), len(words))
    if last < len(words) and words[last] not in _ENDING:
        return None
    behind = (
        i for i in inside if mentions[i].end <= item.start and all(map(_LEVEL, words[mentions[i].end : item.start]))
    )
    return next(behind, None) if _LEVEL(words[item.start]) else None
