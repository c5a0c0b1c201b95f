"""Sides, places, sizes, counts, colours and grades of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.claims import PART, Detail, DetailKind
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT
from voxtile_datasets.captions.checker.extraction.numbers.stated_numbers import amounts
from voxtile_datasets.captions.checker.extraction.positions import positions
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.parts import named_organs, named_parts, organs_in
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

_LEVEL = re.compile(r"[ctls]\d{1,2}").fullmatch
_OUTSIDE = frozenset(["outside", "beyond"])
_WHICH = frozenset(["the", "of", "this", "that"])
_ONLY_NEAR = 3
_ONLY = frozenset(["confined", "limited", "restricted", "only", "solely", "exclusively", "isolated", "unilateral"])


@dataclass(frozen=True)
class Found:
    """A detail with its place in words."""

    detail: Detail
    start: int
    end: int


def found_details(statement: Statement, vocabulary: Vocabulary, taken: frozenset[int]) -> list[Found]:
    """All details of a sentence in the order of the text.

    Args:
        statement: the sentence.
        vocabulary: its places, and whether sides and grades are claims.
        taken: words that are part of a date, a name or the number of a record.
    """
    words, grammar = statement.words, statement.grammar
    found: list[Found] = []
    for amount in amounts(words, grammar, taken):
        kind: DetailKind = "count" if amount.dimension == COUNT else "number"
        text = _text(statement, amount.start, amount.end)
        detail = Detail(kind, amount.unit, *text, amount.bounds, amount.dimension, amount.is_vague)
        found.append(Found(detail, amount.start, amount.end))
    if vocabulary.natural:
        found = [item for item in found if not _is_of_part(item, found, words.words)]
    used = {position for item in found for position in range(item.start, item.end)}
    found += _named(statement, "colour", grammar.colours.find(words.words), used)
    if vocabulary.natural:
        found += _named(statement, "shape", grammar.shapes.find(words.words), used)
        ranks = [m for m in grammar.ranks.find(words.words) if words.words[m.end - 1 : m.end + 1] != ("next", "to")]
        found += _named(statement, "rank", ranks, set())
    if not vocabulary.has_sides:
        found += _positions(statement, in_pictures=vocabulary.is_about_patients)
    if vocabulary.has_sides:
        places = _named(statement, "place", vocabulary.places.find(words.words), set())
        places = [item for item in places if not _is_what_it_slips_on(words.words, item.start)]
        inside = {p for item in places if item.detail.value.startswith(("left", "right")) for p in _range(item)}
        sides = [side for side in grammar.sides.find(words.words) if side.start not in inside]
        sides = [s for s in sides if not _is_of_each(s, sides)]
        sides = sorted([*sides, *_letters_for_sides(statement, sides)], key=lambda side: side.start)
        found += places + _only_sides(
            statement, _named(statement, "side", _joined_sides(sides, words.words), used - _both(statement, used))
        )
    if vocabulary.is_about_patients:
        named = {p for item in found if item.detail.kind in ("place", "position") for p in _range(item)}
        found += [
            Found(
                Detail("place", " ".join(words.words[start:end]), *_text(statement, start, end), dimension=PART),
                start,
                end,
            )
            for start, end in (*named_parts(words.words), *named_organs(words.words))
            if not named.intersection(range(start, end))
        ]
    if vocabulary.has_grades:
        found += _named(statement, "severity", grammar.grades.find(words.words), used)
        found += _named(statement, "change", grammar.changes.find(words.words), used)
    return _outside(sorted(found, key=lambda item: item.start), words.words)


def _is_what_it_slips_on(words: tuple[str, ...], position: int) -> bool:
    """Whether a vertebra is that on which another slips, which says where: "anterolisthesis of L5 on S1"."""
    return position > 1 and words[position - 1] == "on" and _LEVEL(words[position - 2]) is not None


def _outside(found: Sequence[Found], words: tuple[str, ...]) -> list[Found]:
    """The details, sides and places marked that something is outside of: "no nodules outside the left upper lobe"."""
    marked: list[Found] = []
    end = 0  # after the last one that is marked
    for item in found:
        first = item.start - 1
        while first >= end and words[first] in _WHICH:
            first -= 1
        is_outside = first >= 0 and (words[first] in _OUTSIDE or (0 < end == first + 1))
        if is_outside and item.detail.kind in ("side", "place"):
            item, end = replace(item, detail=replace(item.detail, is_outside=True)), item.end
        marked.append(item)
    return marked


def is_of_name(item: Found, mentions: Sequence[Mention]) -> bool:
    """Whether an organ belongs to the name of a finding, and says nothing beside it: "cyst in the liver"."""
    is_organ = item.detail.dimension == PART and bool(organs_in((item.detail.value,)))
    return is_organ and any(item.start in (*range(m.start, m.end), *range(*(m.structure or (0, 0)))) for m in mentions)


def _is_of_part(item: Found, found: Sequence[Found], words: tuple[str, ...]) -> bool:
    """Whether a number counts a part of so many: "seven of ten houses", of which the ten are counted."""
    after = item.end + (words[item.end + 1 : item.end + 2] in (("the",), ("these",), ("its",), ("those",)))
    if item.detail.kind != "count":
        return False
    counts = [other.start for other in found if other.detail.kind == "count" and other.start > item.start]
    if words[item.end : item.end + 1] == ("of",) and after + 1 in counts:
        return True
    out = next((i for i in range(item.end, min(len(words), item.end + 4)) if words[i : i + 2] == ("out", "of")), None)
    return out is not None and bool({out + 2, out + 3} & set(counts))  # "six houses out of thirty"


def _letters_for_sides(statement: Statement, sides: Sequence[Match[str]]) -> Iterator[Match[str]]:
    """L and R before a word: "L MCA infarct", "R wrist"."""
    words = statement.words
    taken = {position for side in sides for position in range(side.start, side.end)}
    for position, word in enumerate(words.words[:-1]):
        if word in ("l", "r") and position not in taken and words.words[position + 1][0].isalpha():
            first, last = words.starts[position], words.ends[position]
            following = words.text[last : last + 1]
            if (
                words.text[first:last].isupper()
                and following in (" ", ".")
                and words.words[position - 1 : position] != ("/",)
            ):
                yield Match(position, position + 1, "left" if word == "l" else "right")


def _only_sides(statement: Statement, sides: Sequence[Found]) -> list[Found]:
    """Sides, marked (`is_vague`) where the text says that it is this one alone: "confined to the right"."""
    words = statement.words.words
    found = []
    for item in sides:
        before, after = words[max(0, item.start - _ONLY_NEAR) : item.start], words[item.end : item.end + 2]
        is_only = bool(_ONLY & set(before)) or bool({"only", "alone", "exclusively"} & set(after))
        found.append(replace(item, detail=replace(item.detail, is_vague=True)) if is_only else item)
    return found


def _is_of_each(side: Match[str], sides: Sequence[Match[str]]) -> bool:
    """Whether "both" before a side is said of two things: "consolidation and fluid, both left"."""
    beside = any(other.start == side.end and other.payload in ("left", "right") for other in sides)
    return side.payload == "bilateral" and side.end - side.start == 1 and beside


def _both(statement: Statement, used: set[int]) -> set[int]:
    return {position for position in used if statement.words.words[position] == "both"}


def _joined_sides(sides: Sequence[Match[str]], words: tuple[str, ...]) -> list[Match[str]]:
    """The words "on the left and on the right" are one detail."""
    joined: list[Match[str]] = []
    for side in sides:
        before = joined[-1] if joined else None
        if before is not None and {before.payload, side.payload} == {"left", "right"}:
            gap = words[before.end : side.start]
            if "and" in gap and set(gap) <= {"and", "the", "on", "in", "side"}:
                joined[-1] = Match(before.start, side.end, "bilateral")
                continue
        joined.append(side)
    return joined


def _positions(statement: Statement, *, in_pictures: bool) -> Iterator[Found]:
    for place in positions(statement, in_pictures=in_pictures):
        text = _text(statement, place.start, place.end)
        yield Found(Detail("position", place.value, *text, is_vague=place.is_vague), place.start, place.end)


def _range(item: Found) -> range:
    return range(item.start, item.end)


def _named(statement: Statement, kind: DetailKind, matches: Sequence[Match[str]], used: set[int]) -> list[Found]:
    return [
        Found(Detail(kind, match.payload, *_text(statement, match.start, match.end)), match.start, match.end)
        for match in matches
        if match.start not in used
    ]


def _text(statement: Statement, start: int, end: int) -> tuple[str, int, int]:
    first, last = statement.words.starts[start], statement.words.ends[end - 1]
    return statement.words.text[first:last], first, last
