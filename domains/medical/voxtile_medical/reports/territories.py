"""Which words of a sentence are said of which finding that it names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.quantities.levels import levels
from voxtile_medical.reports.quantities.sizes import Size

_PREPOSITIONS = frozenset(["in", "on", "of", "at", "within", "measuring", "near", "along", "throughout", "is", "are"])
_FURTHEST_NOUN = 4  # adjectives between a size and what it is of
_NO_ADJECTIVES = _PREPOSITIONS | {"and", "or", "with", "to", "from", "by", "for", "than", "but", "now", "apart", "x"}
_LISTED = frozenset([",", "and", "&", "/", "of", "the", "appearance", "stable", "level", "to", "through", "-", "–"])


def territories(statement: Statement, anchors: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """For each place that names findings, the words around it that are said of it, half-open."""
    clauses, words = statement.clauses, statement.words.words
    borders = [_border(statement, left, right) for left, right in itertools.pairwise(anchors)]
    bounds = []
    for index, (start, end) in enumerate(anchors):
        low = 0 if index == 0 else borders[index - 1]
        high = len(words) if index + 1 == len(anchors) else borders[index]
        while clauses[low] != clauses[start]:
            low += 1
        while high > end and clauses[high - 1] != clauses[start]:
            high -= 1
        bounds.append((low, max(high, end)))
    return bounds


def _border(statement: Statement, left: tuple[int, int], right: tuple[int, int]) -> int:
    """The word at which what is said of the left place ends and what is said of the right one begins."""
    words, clauses = statement.words.words, statement.clauses
    if clauses[left[1] - 1] != clauses[right[0]]:
        return next(i for i in range(left[1], right[0] + 1) if clauses[i] == clauses[right[0]])
    part = statement.parts[statement.part_of(right[0])]
    before = statement.parts[max(0, statement.part_of(right[0]) - 1)]
    if before.start >= left[1] and words[before.start] in _PREPOSITIONS and "there" in words[before.end : right[0]]:
        return before.start  # "no stone, at the lower pole there is a cyst"
    if part.start >= left[1]:
        return _with_levels(statement, left[1], part.start)
    between = words[left[1] : right[0]]
    return right[0] if any(word in _PREPOSITIONS for word in between) else max(left[1], left[0] + 1)


def _with_levels(statement: Statement, first: int, border: int) -> int:
    """The border before the levels that an enumeration puts before a finding: "…, T9 and T12 fractures"."""
    places = {match.start for match in levels(statement.words) if first <= match.start < border}
    if not places:
        return border
    start = min(places)
    is_listed = all(i in places or statement.words.words[i] in _LISTED for i in range(start, border))
    return start if is_listed and statement.part_of(start) != statement.part_of(max(first - 1, 0)) else border


def size_owners(
    statement: Statement, anchors: Sequence[tuple[int, int]], sizes: Sequence[Size]
) -> dict[int, tuple[int, int]]:
    """The place that a size stands right before, with adjectives alone between, by the size's first character."""
    words, ends = statement.words.words, statement.words.ends
    found = {}
    for size in sizes:
        first = next((i for i in range(len(words)) if ends[i] >= size.end), len(words)) + 1
        anchor = next((anchor for anchor in anchors if anchor[0] >= first), None)
        between = words[first : anchor[0]] if anchor is not None else ()
        is_near = len(between) <= _FURTHEST_NOUN and all(map(str.isalpha, between))
        if anchor is not None and is_near and (_NO_ADJECTIVES | statement.grammar.verbs).isdisjoint(between):
            found[size.start] = anchor
    return found


def word_at(statement: Statement, character: int) -> int:
    """The word that begins at a character or after it; the last one where none does."""
    starts = statement.words.starts
    return next((i for i in range(len(starts)) if starts[i] >= character), len(starts) - 1)
