"""Where one thing lies of another, told as a way: "from the pond it is 150 m north-east to the junction"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

# subject, others, kind, first and last word: as `relations.Relation`
Way = tuple[int, tuple[int, ...], str, int, int]
_LEAVING = frozenset(
    ["from", "leave", "leaving", "left", "exit", "exiting", "depart", "departing", "quit", "quitting", "beyond", "past"]
)  # fmt: skip
_ARRIVING = frozenset(
    ["to", "reach", "reaching", "at", "before", "find", "finding", "is", "are", "lie", "lies", "come", "hit",
     "hitting", "meet", "meeting", "see", "seeing", "into", "stand", "stands", "there", "arrive", "for", "get",
     "onto", "on", "encounter", "spot", "comes", "reaches", "finds", "meets", "sees", "towards", "toward"]
)  # fmt: skip
_COMING = frozenset(
    ["coming", "approaching", "arriving", "flying", "driving", "walking", "travelling", "traveling", "sailing", "in",
     "come", "fly", "approach"]
)  # fmt: skip
_ARTICLES = frozenset(["the", "a", "an", "this", "that", "its", "their", "our", "your", "one", "any", "each", "both"])
_BEFORE_IT = 3  # words between "from" and the name after it
_OF = (("of",), ("from",))


def journeys(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Way]:
    """The relations that a sentence tells as ways; "north of" and "north from" are no ways.

    Args:
        statement: the sentence.
        mentions: the concepts that it names.
    """
    words, grammar = statement.words.words, statement.grammar
    if len(mentions) < 2:
        return
    origin = _origin(words, mentions)
    for position in range(len(words)):
        read = grammar.directions.longest_at(words, position)
        if read is None or (position and grammar.directions.longest_at(words, position - 1)):
            continue
        end, (kind, *_) = read
        if words[end : end + 1] in _OF or any(m.start <= position < m.end for m in mentions):
            continue
        if way := _approach(words, mentions, kind, position, end):
            yield way
        elif origin is not None and (goal := _goal(words, mentions, origin, position)) is not None:
            yield goal, (origin,), kind, position, end


def _origin(words: tuple[str, ...], mentions: Sequence[Mention]) -> int | None:
    """The name that a way begins at: "from the pond", "leave the car park"."""
    for index, mention in enumerate(mentions):
        for position in range(mention.start - 1, max(-1, mention.start - 1 - _BEFORE_IT), -1):
            if words[position] in _LEAVING:
                return index
            if words[position] in (",", "and", "to", "of") or words[position] in _ARRIVING - {"the"}:
                break
    return None


def _goal(words: tuple[str, ...], mentions: Sequence[Mention], origin: int, position: int) -> int | None:
    """The name at which a way ends: one that is reached, else the next after the way's words, else the one before."""
    others = [i for i, m in enumerate(mentions) if i != origin and m.concepts != mentions[origin].concepts]
    later = [i for i in others if mentions[i].start > mentions[origin].end]
    for index in later:
        before = words[max(0, mentions[index].start - _BEFORE_IT) : mentions[index].start]
        if _ARRIVING & set(before) and not {"of", "from", "with"} & set(before[-2:]):
            return index
    after = [i for i in later if mentions[i].start > position]
    if after:
        return after[0]
    before_it = [i for i in others if mentions[i].end <= mentions[origin].start]
    return before_it[-1] if before_it else None


def _approach(words: tuple[str, ...], mentions: Sequence[Mention], kind: str, start: int, end: int) -> Way | None:
    """Of "coming from the north you cross the runway before the apron": the first lies north of the second."""
    if words[max(0, start - 2) : start] != ("from", "the") or not _COMING & set(words[max(0, start - 4) : start - 2]):
        return None
    later = [i for i, m in enumerate(mentions) if m.start >= end]
    if len(later) < 2:
        return None
    gap = words[mentions[later[0]].end : mentions[later[1]].start]
    if {"before", "then", "first"} & set(gap):
        return later[0], (later[1],), kind, start, end
    return (later[1], (later[0],), kind, start, end) if "after" in gap else None
