"""Whose share, place or colour it is in sentences about scenes, where their structure tells it."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.extraction.statements import Statement

_PICTURE_NEAR = 5  # words between "of" and the word for the picture
_WHOLES = frozenset(
    ["it", "all", "everything", "area", "land", "land surface", "ground", "surface", "territory", "region",
     "landscape", "whole", "total", "place", "terrain", "country", "countryside", "extent", "square", "plot"]
)  # fmt: skip
_SURFACES = frozenset(["surface", "surfacing", "paint", "color", "tone", "hue", "coat", "finish", "shade", "covering",
                       "coating", "tint", "floor", "carpet", "turf", "livery", "look", "appearance"])  # fmt: skip
_WITH = frozenset(["with", "in", "of", "has", "have", "having", "wears", "wear", "a", "an", "the", "their", "its"])
_OPENING = frozenset([",", ";", ":", "and", "-", "—", "–", "while", "whereas", "but", "with", "|", "*", "•"])
_LEADING = frozenset(
    ["over", "up", "down", "out", "in", "at", "on", "to", "the", "along", "towards", "far", "right", "way", "its"]
)


def owner_in_scene(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """Index of the mention of which a detail is said, where the sentence's structure tells; else None.

    Args:
        statement: the sentence.
        item: the detail.
        mentions: the concepts that it names.
        inside: those of them in the clause of the detail.
    """
    if item.detail.dimension == SHARE:
        return _of_subject(statement, item, mentions, inside)
    if item.detail.kind == "position":
        return _set_off(statement, item, mentions, inside)
    if item.detail.kind == "colour":
        return _of_surface(statement, item, mentions, inside)
    return None


def _of_subject(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """Of "clouds hide half of this picture of a coast" the clouds: what is shared is the picture."""
    words = statement.words.words
    if words[item.end : item.end + 1] not in (("of",), ("in",)):
        return None
    after = words[item.end + 1 : item.end + 1 + _PICTURE_NEAR]
    ends = [i for i in range(len(after)) if statement.grammar.pictures.longest_at(after, i) or after[i] in _WHOLES]
    named = next((m.start for m in mentions if m.start > item.end), len(words))
    if not ends or item.end + 1 + ends[0] > named:
        return None
    first, last = statement.item_around(item.start)
    own = [i for i in inside if first <= mentions[i].start and mentions[i].end <= item.start]
    end = item.end + 2 + ends[0]
    later = next((i for i in inside if end <= mentions[i].start < last), None)
    if later is not None and words[end : end + 1] in (
        ("is",),
        ("are",),
        ("was",),
        ("consists",),
        ("belongs",),
        ("goes",),
    ):
        return later  # "half of the picture is water"
    return own[0] if len(own) == 1 and words[mentions[own[0]].end : item.start] else None


def _set_off(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """Of "…, and, over in the east, the harbour" the harbour: a place that opens what follows it."""
    words = statement.words.words
    begin = item.start
    while begin > 0 and words[begin - 1] in _LEADING:
        begin -= 1
    if begin and words[begin - 1] not in _OPENING:
        return None
    end = item.end
    if words[end : end + 1] == ("of",):
        end += next((i + 1 for i in range(_PICTURE_NEAR) if statement.grammar.pictures.longest_at(words, end + i)), 0)
    following = next((i for i, m in enumerate(mentions) if m.start >= end), None)
    if following is None:
        return None
    gap = words[end : mentions[following].start]
    is_introduced = bool(gap) and (gap[0] in (",", ":") or gap[0] in statement.grammar.verbs or gap[0] == "there")
    before = [i for i in inside if mentions[i].end <= begin]
    if not before or not is_introduced or len(gap) > _PICTURE_NEAR:
        return None
    is_listed = begin > 0 and words[begin - 1] in ("and", ",") and gap[0] == ","
    comma = begin > 1 and words[begin - 1] == "," and words[begin - 2] == "and"
    if is_listed or comma or words[begin - 1] in (";", "while", "whereas", "but", ":"):
        following_item = statement.item_around(mentions[following].start)
        return following if following_item[0] >= end - 1 else None
    return None


def _of_surface(statement: Statement, item: Found, mentions: Sequence[Mention], inside: Sequence[int]) -> int | None:
    """Of "courts with a blue surface" the courts."""
    words = statement.words.words
    if words[item.end : item.end + 1] == () or words[item.end] not in _SURFACES:
        return None
    before = [i for i in inside if mentions[i].end <= item.start]
    if not before:
        return None
    gap = words[mentions[before[-1]].end : item.start]
    return before[-1] if set(gap) <= _WITH | {"is", "are"} else None
