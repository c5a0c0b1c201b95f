"""What clauses of a caption tell of other days: "after the dam broke", "the forest has crept closer"."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.verb_forms import PARTICIPLES, PASTS

_TIMES = frozenset(["after", "since", "until", "till", "once", "before", "when", "while", "as", "now"])
_FIRM = frozenset(["after", "since", "until", "till", "once", "before"])
_ENDS = frozenset([",", ";", ":", ".", "!", "(", ")"])
_FINITE = frozenset(["has", "have", "had", "was", "were", "did", "is", "are", "does", "do"])
_SPANS = frozenset(
    ["day", "week", "month", "year", "decade", "century", "hour", "night", "winter", "summer", "spring", "autumn"]
)
_PICTURED = frozenset(
    ["seen", "viewed", "taken", "acquired", "captured", "recorded", "shot", "imaged", "photographed", "snapped",
     "mapped", "observed", "counted", "listed", "shown", "pictured", "looked", "measured", "marked", "labelled",
     "labeled", "identified", "detected", "found", "noted", "said", "called", "named", "drawn", "put", "read", "picked"]
)  # fmt: skip
# What things have done that is still to be seen: how they lie, and what they hold.
_LASTING = frozenset(
    ["been", "got", "gotten", "swallowed", "claimed", "taken", "covered", "occupied", "filled", "made", "held", "kept",
     "laid", "lain", "arranged", "lined", "grouped", "divided", "split", "parked", "moored", "set", "placed", "cut",
     "spread", "had", "settled", "stood", "used", "joined", "crowded", "gathered", "formed", "carved", "won", "left",
     "need", "put", "painted", "paved", "limited", "varied", "mixed", "scattered", "red", "shed", "wooded", "built",
     "nestled", "dotted", "fenced", "walled", "gained", "conquered", "shared", "given", "chosen", "found", "eaten"]
)  # fmt: skip
_ADVERBS_MAX = 2


def events(statement: Statement) -> Iterator[Match[str]]:
    """Clauses that tell of another day, as matches of the kinds `event` and `change`."""
    yield from _clauses_of_time(statement)
    yield from _perfects(statement)


def _clauses_of_time(statement: Statement) -> Iterator[Match[str]]:
    words = statement.words.words
    for start, word in enumerate(words):
        if word not in _TIMES or words[start + 1 : start + 2] in (("each",), ("all",), ("another",), ("one",)):
            continue
        end = next((i for i in range(start + 1, len(words)) if words[i] in _ENDS), len(words))
        inside = words[start + 1 : end]
        if not inside or set(inside) & _PICTURED or set(inside) & {"i", "you", "we", "picture", "image", "photo"}:
            continue
        if _is_of_another_day(words, start, end):
            yield Match(start, end, "event")


def _is_of_another_day(words: tuple[str, ...], start: int, end: int) -> bool:
    """Whether the clause that a word of time opens tells of what happened: "after the dam broke"."""
    word, inside = words[start], words[start + 1 : end]
    if word in _FIRM:
        return _tells(words, start + 1, end) or (word in ("after", "since") and bool(_SPANS & set(inside)))
    return inside[0] == "that" if word == "now" else _happened(inside)


def _tells(words: tuple[str, ...], start: int, end: int) -> bool:
    """Whether a clause has a subject and then a verb of the past."""
    return any(
        words[i] in _FINITE or words[i] in PASTS or (_is_regular_past(words[i]) and words[i - 1] not in _ADJECTIVAL)
        for i in range(start + 1, end)
    )


_ADJECTIVAL = frozenset(["a", "an", "the", "of", "and", "with", "by", "in", "some", "many", "is", "are", "was", "were"])


def _happened(inside: tuple[str, ...]) -> bool:
    """Whether a clause of "when" or "as" tells of something past: "when the dam broke", "as trade has slumped"."""
    is_perfect = any(
        first in ("has", "have", "had") and (_is_regular_past(second) or second in PARTICIPLES)
        for first, second in itertools.pairwise(inside[1:])
    )
    return is_perfect or any(word in PASTS and word not in PARTICIPLES for word in inside[1:])


def _is_regular_past(word: str) -> bool:
    return word.endswith("ed") and len(word) > 4


def _perfects(statement: Statement) -> Iterator[Match[str]]:
    """What has happened since another day: "the forest has crept closer", "wheat has replaced grass"."""
    words = statement.words.words
    for start, word in enumerate(words):
        if word not in ("has", "have"):
            continue
        for end in range(start + 1, min(len(words), start + 2 + _ADVERBS_MAX)):
            verb = words[end]
            if _is_regular_past(verb) or verb in PARTICIPLES:
                is_told = verb not in _LASTING | _PICTURED and statement.polarity(start, end + 1) != "absent"
                if is_told and not _describes(words, end):
                    yield Match(start, end + 1, "change")
                break
            if not (verb.endswith("ly") or verb in ("now", "also", "already", "since", "just", "long", "all", "even")):
                break


def _describes(words: tuple[str, ...], position: int) -> bool:
    """Whether a participle only describes the thing that follows: "the houses have tiled roofs"."""
    following = words[position + 1 : position + 2]
    return (
        bool(following) and following[0].isalpha() and following[0] not in _OBJECTS and words[position].endswith("ed")
    )


_OBJECTS = frozenset(
    ["the", "a", "an", "its", "their", "this", "that", "most", "much", "some", "all", "to", "by", "in", "from", "into",
     "since", "over", "off", "up", "down", "out", "away", "back", "closer", "further", "farther", "with", "on", "and",
     "along", "towards", "toward", "beyond", "considerably", "slightly", "markedly", "it", "them"]
)  # fmt: skip
