"""Places in the picture: "in the upper left corner", "along the northern edge", "at the top", "top right: a church"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voxtile_datasets.captions.checker.extraction.grammar import Grammar
from voxtile_datasets.captions.checker.extraction.statements import Statement

# Parts of a picture that have a side of it in their name.
_PARTS = frozenset(
    ["corner", "edge", "part", "half", "quarter", "quadrant", "third", "fourth", "side", "portion", "section", "area",
     "zone", "region", "sector", "margin", "border", "fringe", "rim", "flank", "boundary", "end", "strip", "band",
     "reach", "periphery", "segment", "fifth", "extremity", "bit", "sixth", "tip", "wing", "limit", "perimeter"]
)  # fmt: skip
_CORNERS = frozenset(["corner", "quadrant"])
_VAGUE_PARTS = frozenset(
    ["side", "end", "bit", "area", "zone", "region", "boundary", "border", "strip", "limit", "tip"]
)
_BEFORE = frozenset(["the", "in", "at", "on", "to", "its", "far", "extreme", "very", "along", "near", "towards",
                     "toward", "whole", "entire", "our", "this", "(", ":", ",", ";", "outer", "most"])  # fmt: skip
_OPENING = frozenset(["at", "far", "(", ":", ",", ";", "along", "near"])
_PICTURE_NEAR = 3  # words between "of" and the word for the picture
_MARKS = frozenset([",", ";", ":", ".", ")", "(", "-", "–", "—", "!", "?", "="])
_SUBJECTS = frozenset(["you", "we", "one", "i", "a", "an", "the", "stands", "sits"])
_ON = frozenset(["on", "from", "a", "over"])  # "on top of"


@dataclass(frozen=True)
class Position:
    """A place in the picture.

    Attributes:
        start, end: words, half-open.
        value: point of the compass, or `centre`.
        is_vague: it may be the place in something else than the picture.
    """

    start: int
    end: int
    value: str
    is_vague: bool


def positions(statement: Statement, *, in_pictures: bool) -> Iterator[Position]:
    """All places in the picture that a sentence names.

    Args:
        statement: the sentence.
        in_pictures: left and right can only be those of the picture: "tumour on the left".
    """
    words, grammar = statement.words.words, statement.grammar
    position = 0
    while position < len(words):
        read = _edges(words, position, grammar)
        if read is None or (position and words[position - 1] not in _BEFORE):
            position += 1
            continue
        value, end = read
        found = _position(words, position, end, value, grammar, in_pictures=in_pictures)
        if found is not None:
            yield found
        position = end


def _position(
    words: tuple[str, ...], start: int, end: int, value: str, grammar: Grammar, *, in_pictures: bool
) -> Position | None:
    is_bearing = grammar.directions.longest_at(words, start) is not None
    part = words[end] if end < len(words) and words[end] in _PARTS else ""
    last = end + bool(part)
    before = words[start - 1] if start else ":"
    if words[last : last + 1] == ("of",):
        after = words[last + 1 : last + 1 + _PICTURE_NEAR]
        of_picture = any(grammar.pictures.longest_at(after, i) for i in range(len(after)))
        return Position(start, last, value, is_vague=False) if of_picture and before not in _ON else None
    if part in _CORNERS or (part and part not in _VAGUE_PARTS and (before in ("the", "its", "far") or in_pictures)):
        return Position(start, last, value, is_vague=False)
    closes = (
        last >= len(words) or words[last] in _MARKS or words[last] in grammar.verbs or words[last] in ("and", "there")
    )
    if is_bearing:
        is_bare = before in ("in", "at", "on", "to") and (bool(part) or closes)  # "in north, with a breakwater"
        return Position(start, last, value, is_vague=True) if before == "the" or is_bare else None
    if value == "centre":
        return Position(start, last, value, is_vague=True) if in_pictures and before == "the" else None
    if in_pictures:
        return Position(start, last, value, is_vague=True) if before == "the" else None
    closes = closes or (not start and words[last] in _SUBJECTS)  # "top left you see a church"
    is_named = before in ("the", "far", "extreme", "very") or (end - start > 1) or before in _OPENING
    return Position(start, last, value, is_vague=bool(part)) if is_named and closes and start + 1 < len(words) else None


def _edges(words: tuple[str, ...], position: int, grammar: Grammar) -> tuple[str, int] | None:
    """A place in the picture that begins at a word, as a point of the compass or `centre`."""
    compass = grammar.directions.longest_at(words, position)
    if compass is not None:
        return compass[1][0], compass[0]
    named: list[str] = []
    end = position
    while end < len(words) and words[end] in grammar.edges and len(named) < 2:
        named.append(grammar.edges[words[end]])
        end += 1 + (words[end + 1 : end + 2] in (("hand",), ("most",)))
    if not named:
        return None
    rows = [name for name in named if name in ("north", "south")]
    columns = [name for name in named if name in ("east", "west")]
    return "-".join([*rows[:1], *columns[:1]]) or "centre", end
