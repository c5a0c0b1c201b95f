"""What a sentence says of the place of one thing beside another: north of, inside, beside, across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.checker.extraction.mentions import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

OPPOSITE = {
    "north": "south", "south": "north", "east": "west", "west": "east", "north-east": "south-west",
    "south-west": "north-east", "north-west": "south-east", "south-east": "north-west",
}  # fmt: skip
_OF = frozenset(["of", "from"])
_FURTHEST = 6  # words between "of" and the name after it
_POSSESSIVE = frozenset(["it", "the"])
_JOINING = frozenset(["and", ",", "or"])


@dataclass(frozen=True)
class Relation:
    """A relation between two mentions: indices, the kind, and the words that say it, half-open."""

    subject: int
    other: int
    kind: str
    start: int
    end: int


def relations(statement: Statement, mentions: Sequence[Mention]) -> list[Relation]:
    """All relations of a sentence; each subject of an enumeration has its own."""
    found: list[Relation] = []
    for direction in _directions(statement, mentions):
        for subject in _enumerated(statement, mentions, direction):
            found.append(Relation(subject, direction.other, direction.kind, direction.start, direction.end))
    found += _others(statement, mentions)
    return found


def _directions(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    words, grammar = statement.words.words, statement.grammar
    position = 0
    while position < len(words):
        read = grammar.directions.longest_at(words, position) or grammar.picture_directions.longest_at(words, position)
        if read is None:
            position += 1
            continue
        end, (kind, *_) = read
        relation = _direction_of(statement, mentions, kind, position, end) or _own_side(
            statement, mentions, kind, position, end
        )
        if relation is not None:
            yield relation
        position = end


def _direction_of(
    statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int
) -> Relation | None:
    """Such as "A lies north of B", "north of B there is A", "A on the north side of B"."""
    words = statement.words.words
    after = end + (words[end : end + 1] == ("side",))
    preposition = words[after : after + 1]
    if not preposition or (preposition[0] not in _OF and not _is_spatial(words[start])):
        return None
    first = after + (preposition[0] in _OF)
    other = next((i for i, m in enumerate(mentions) if first <= m.start <= first + _FURTHEST), None)
    if other is None:
        return None
    subject = _before(statement, mentions, start, other)
    if subject is None:
        later = [i for i, m in enumerate(mentions) if m.start >= mentions[other].end and _is_near(statement, m, start)]
        subject = later[0] if later else None
    return None if subject is None else Relation(subject, other, kind, start, end)


def _is_spatial(word: str) -> bool:
    return word in ("above", "below", "underneath")


def _own_side(statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int) -> Relation | None:
    """Such as "B has A to its east", "the ground has a park on its northern side"."""
    words = statement.words.words
    if not start or words[start - 1] != "its" or words[end : end + 1] == ("of",):
        return None
    before = [i for i, m in enumerate(mentions) if m.end <= start and _is_near(statement, m, start)]
    return Relation(before[-1], before[0], kind, start, end) if len(before) > 1 else None


def _is_near(statement: Statement, mention: Mention, position: int) -> bool:
    return abs(statement.clause_of(mention.start) - statement.clause_of(position)) <= 1


def _before(statement: Statement, mentions: Sequence[Mention], start: int, other: int) -> int | None:
    clause = statement.clause_of(start)
    found = [
        i for i, m in enumerate(mentions) if m.end <= start and statement.clause_of(m.start) == clause and i != other
    ]
    return found[-1] if found else None


def _enumerated(statement: Statement, mentions: Sequence[Mention], relation: Relation) -> list[int]:
    """The subject and those enumerated with it."""
    subjects = [relation.subject]
    step = -1 if mentions[relation.subject].end <= relation.start else 1
    index = relation.subject + step
    while 0 <= index < len(mentions) and index != relation.other:
        near, far = sorted((mentions[index], mentions[index - step]), key=lambda m: m.start)
        gap = statement.words.words[near.end : far.start]
        verbs = any(word in statement.grammar.verbs or word in statement.grammar.prepositions for word in gap)
        if verbs or not _JOINING & set(gap):
            break
        subjects.append(index)
        index += step
    return subjects


def _others(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    """Inside, beside, across: the word stands between the two, and nothing else but words of form."""
    words, grammar = statement.words.words, statement.grammar
    for index in range(len(mentions) - 1):
        first, second = mentions[index], mentions[index + 1]
        if statement.clause_of(first.start) != statement.clause_of(second.start):
            continue
        gap = words[first.end : second.start]
        if len(gap) > _FURTHEST or _JOINING & set(gap):
            continue
        for offset in reversed(range(len(gap))):
            read = grammar.relations.longest_at(gap, offset)
            if read is not None:
                yield Relation(index, index + 1, read[1][0], first.end + offset, first.end + read[0])
                break
