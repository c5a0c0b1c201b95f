"""Findings of several levels or both sides with a grade each: "mild at L3-L4, severe at L4-L5", "L3-L4 (mild)"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.grammar import Modifier
from voxtile_medical.reports.quantities.levels import is_level

if TYPE_CHECKING:
    from voxtile_medical.reports.attributes import Attributes

# Between a grade and the place that it is said of: "moderate on the right", "severe at the level of L5".
_LEADING = frozenset(["on", "at", "in", "of", "the", "level", ":", "for", "to"])
_SIDES = frozenset(["left", "right"])


def graded(
    words: Sequence[str], start: int, end: int, modifiers: Sequence[Match[Modifier]], whole: Attributes
) -> tuple[Attributes, ...]:
    """Each of several levels, or each side, with its own grade; empty where one grade is of all.

    A grade is that of the places that follow it at once, else of those that were named last.

    Args:
        words: of the sentence.
        start: first word of the name of the finding.
        end: word after it.
        modifiers: what is said of it.
        whole: the attributes that all of it has.
    """
    ordered = sorted(modifiers, key=lambda match: match.start)
    named = {name for name in (whole.location or "").split(" and ") if is_level(name)}
    attribute = "location" if len(named) > 1 else "laterality"
    if attribute == "laterality":
        named = set(_SIDES) if whole.laterality == "bilateral" else set()
    bracketed = [m for m in ordered if named and m.payload[1] in _SIDES and _is_bracketed(words, m.start)]
    if attribute == "location" and bracketed:
        whole = replace(whole, laterality=None)
    found: dict[str, Attributes] = {}
    grade: str | None = None
    last: list[str] = []
    is_said = False  # whether a grade was said of the last places
    for match in ordered:
        kind, value = match.payload
        if kind == "severity" and _leads(words, match, ordered, named):
            grade, last = value, []
        elif kind == "severity" and match.end <= start:  # of all of it
            grade, last = value, []
            found = {place: replace(one, severity=value) for place, one in found.items()}
        elif kind == "severity":
            found.update({place: replace(found[place], severity=value) for place in last})
            is_said = True
        elif kind == attribute and value in named and (attribute == "laterality" or match.start >= end):
            last = [value] if is_said else [*last, value]
            is_said = False
            placed = replace(whole, location=value) if attribute == "location" else replace(whole, laterality=value)
            found[value] = replace(placed, severity=grade)
        elif match in bracketed:
            found.update({place: replace(found[place], laterality=value) for place in last})
    is_graded = found.keys() == named and len({one.severity for one in found.values()}) > 1
    return tuple(found.values()) if is_graded else ()


def _leads(words: Sequence[str], grade: Match[Modifier], ordered: Sequence[Match[Modifier]], named: set[str]) -> bool:
    """Whether a place follows a grade at once."""
    place = next((m for m in ordered if m.start >= grade.end and m.payload[1] in named), None)
    return place is not None and _LEADING.issuperset(words[grade.end : place.start])


def _is_bracketed(words: Sequence[str], position: int) -> bool:
    return next((word for word in reversed(words[:position]) if word in ("(", ")")), ")") == "("
