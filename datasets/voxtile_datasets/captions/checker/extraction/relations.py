"""What a sentence says of the place of one thing beside another: north of, inside, beside, across."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.scenes.journeys import journeys
from voxtile_datasets.captions.checker.extraction.statements import Statement

OPPOSITE = {
    "north": "south", "south": "north", "east": "west", "west": "east", "north-east": "south-west",
    "south-west": "north-east", "north-west": "south-east", "south-east": "north-west",
    "anterior": "posterior", "posterior": "anterior", "medial": "lateral", "lateral": "medial",
    "upstream": "downstream", "downstream": "upstream",
}  # fmt: skip
PASSIVE = " of"  # "crossing of": the other crosses this
_OF = frozenset(["of", "from"])
_FURTHEST = 6  # words between "of" and the name after it
_JOINING = frozenset(["and", ",", "or"])
_SIDES = frozenset(["side", "bank", "shore", "edge", "end", "flank", "border", "margin", "outskirt"])
# Parts of a park or a course: what lies in them is inside, and not beside it.
PARTS_OF_AREAS = frozenset(
    ["part", "half", "corner", "quarter", "third", "portion", "section", "sector", "zone", "end", "tip", "quadrant"]
)
_THAN = frozenset(["than", "as"])
# "four times as much A as B"
_FACTORS = {"time": "more", "fold": "more", "twice": "more", "thrice": "more", "half": "less"}
# "A and B are equally represented", "equal parts of A and B".
_EQUALLY = frozenset(["equally", "evenly", "equal"])
_SHARING = frozenset(
    ["represented", "common", "abundant", "extensive", "large", "big", "distributed", "divided", "split", "part",
     "share", "amount", "proportion", "area", "measure", ".", "among"]
)  # fmt: skip
_ADJECTIVES = frozenset(["more", "larger", "greater", "bigger", "double"])
_POINTING = frozenset(["it", "them", "this", "that", "these", "those"])
_SPATIAL = frozenset(["above", "below", "underneath", "beneath"])
_ARTICLES = frozenset(["the", "a", "an", "this", "that", "its", "two", "both", "one", "each"])


@dataclass(frozen=True)
class Relation:
    """A relation between two mentions.

    Attributes:
        subject: index of a mention.
        others: of what the subject is there: one mention; several where a pronoun can mean each; none where the
            sentence before named it.
        kind: point of the compass, or a kind of the table of relations.
        start, end: the words that say it, half-open.
    """

    subject: int
    others: tuple[int, ...]
    kind: str
    start: int
    end: int


def relation_of(kind: str) -> str:
    """The kind that facts mean by a name: `across` → `crossing`; another name as it is."""
    words = words_of(kind.replace("_", " ")).words
    found = load_grammar().relations.longest_at(words, 0) if words else None
    return found[1][0] if found is not None and found[0] == len(words) else kind


def relations(statement: Statement, mentions: Sequence[Mention], *, in_bodies: bool = False) -> list[Relation]:
    """All relations of a sentence; each subject of an enumeration has its own.

    Args:
        statement: the sentence.
        mentions: the concepts that it names.
        in_bodies: directions are those of a body, where left and right are sides.
    """
    found: list[Relation] = []
    for direction in _directions(statement, mentions, in_bodies=in_bodies):
        for subject in _enumerated(statement, mentions, direction):
            found.append(Relation(subject, direction.others, direction.kind, direction.start, direction.end))
    if not in_bodies:
        found += [Relation(*way) for way in journeys(statement, mentions)]
    found += _between_names(statement, mentions)
    found += _fronted(statement, mentions)
    found += _compared(statement, mentions)
    found += _in_equal_parts(statement, mentions)
    return found


def _compared(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    """Which of two things has more: "more A than B", "A covers less than B", "A outweighs B"."""
    words = statement.words.words
    for match in statement.grammar.comparisons.find(words):
        than = next((i for i in range(match.end, min(len(words), match.end + _FURTHEST)) if words[i] in _THAN), None)
        is_verb = match.end - match.start == 1 and match.payload == "more" and words[match.start] not in _ADJECTIVES
        is_ahead = words[match.start : match.end] == ("ahead", "of")
        begin = match.end if is_verb or is_ahead else than
        if begin is None or _is_number(words, begin, statement.grammar.numbers):
            continue  # "more than forty houses"
        other = next((i for i, m in enumerate(mentions) if begin <= m.start <= begin + 3), None)
        inner = next((i for i, m in enumerate(mentions) if match.end <= m.start < begin), None)
        before = next((i for i in reversed(range(len(mentions))) if mentions[i].end <= match.start), None)
        subject = inner if inner is not None else before
        if other is not None and subject is not None and subject != other:
            factor = words[match.start - 1] if match.start and match.payload == "equal" else ""
            yield Relation(subject, (other,), _FACTORS.get(factor, match.payload), match.start, match.end)


def _in_equal_parts(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    """Two things that are said to have as much as each other: "A and B share the field equally"."""
    words = statement.words.words
    for at, word in enumerate(words):
        if word not in _EQUALLY or not set(words[at + 1 : at + 2] or (".",)) & _SHARING:
            continue
        for one in range(len(mentions) - 1):
            first, second = mentions[one], mentions[one + 1]
            between = words[first.end : second.start]
            is_joined = "and" in between and set(between) <= {"and", "the"}
            is_near = 0 <= at - second.end <= _FURTHEST or 0 <= first.start - at <= _FURTHEST
            if is_joined and is_near and statement.polarity(at, at + 1) == "present":
                yield Relation(one, (one + 1,), "equal", at, at + 1)


def _is_number(words: tuple[str, ...], position: int, numbers: Mapping[str, int]) -> bool:
    position += words[position] in _THAN if position < len(words) else 0
    first = position + (words[position : position + 1] == ("a",))
    word = words[first] if first < len(words) else ""
    return bool(word) and (word[0].isdecimal() or word in numbers or word in ("dozen", "score", "few", "couple"))


def _directions(statement: Statement, mentions: Sequence[Mention], *, in_bodies: bool) -> Iterator[Relation]:
    words, grammar = statement.words.words, statement.grammar
    tables = (grammar.directions, grammar.body_directions if in_bodies else grammar.picture_directions)
    position = 0
    while position < len(words):
        reads = [table.longest_at(words, position) for table in tables]
        read = max((r for r in reads if r is not None), key=lambda r: r[0], default=None)
        if read is None:
            position += 1
            continue
        end, (kind, *_) = read
        relation = (
            _direction_of(statement, mentions, kind, position, end, in_bodies=in_bodies)
            or _possessed(statement, mentions, kind, position, end)
            or _own_side(statement, mentions, kind, position, end)
        )
        if relation is not None:
            yield relation
        position = end


def _direction_of(
    statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int, *, in_bodies: bool
) -> Relation | None:
    """Such as "A lies north of B", "north of B there is A", "A on the north side of B", "below them, A"."""
    words = statement.words.words
    is_part = not in_bodies and words[end : end + 1] != () and words[end] in PARTS_OF_AREAS
    after = end + (words[end : end + 1] != () and (words[end] in _SIDES or is_part))
    preposition = words[after : after + 1]
    if not preposition or (preposition[0] not in _OF and words[end - 1] not in _SPATIAL and not in_bodies):
        return None
    first = after + (preposition[0] in _OF)
    _, last = statement.item_around(start)
    if words[first : first + 1] and words[first] in _POINTING:
        return _pointing(statement, mentions, kind, start, first + 1)
    other = next((i for i, m in enumerate(mentions) if first <= m.start <= first + _FURTHEST), None)
    if other is None or any(word in statement.grammar.verbs for word in words[first : mentions[other].start]):
        return None
    gap = words[first : mentions[other].start]
    if not in_bodies and any(statement.grammar.pictures.longest_at(gap, i) for i in range(len(gap))):
        return None  # "in the north-west of the picture with a square"
    if first == after and mentions[other].start >= last and not in_bodies:
        return None  # "turbines above, panels below"
    if words[end - 1] in ("left", "right") and words[max(0, start - 2) : start] in (("and", "the"), (",", "the")):
        return None  # "the right half is of muscle and the left of tumour"
    subject = _subject(statement, mentions, start, mentions[other].end, other)
    return None if subject is None else Relation(subject, (other,), kind, start, after if is_part else end)


def _pointing(statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int) -> Relation | None:
    """Of what a pronoun stands for: "a church to the north of it"."""
    subject = _subject(statement, mentions, start, end, None)
    if subject is None:
        return None
    others = tuple(i for i, m in enumerate(mentions) if m.end <= start and i != subject)
    return Relation(subject, others, kind, start, end)


def _possessed(statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int) -> Relation | None:
    """Such as "A on B's western side"."""
    words = statement.words.words
    if start < 2 or words[start - 1] != "s" or words[end : end + 1] == () or words[end] not in _SIDES:
        return None
    other = next((i for i, m in enumerate(mentions) if m.end == start - 1), None)
    if other is None:
        return None
    subject = _subject(statement, mentions, mentions[other].start, end, other)
    return None if subject is None else Relation(subject, (other,), kind, start, end)


def _own_side(statement: Statement, mentions: Sequence[Mention], kind: str, start: int, end: int) -> Relation | None:
    """Such as "B has A to its east", "the ground has a park on its northern side", "to its east lies A"."""
    words = statement.words.words
    if not start or words[start - 1] not in ("its", "their", "whose") or words[end : end + 1] == ("of",):
        return None
    before = [i for i, m in enumerate(mentions) if m.end <= start]
    near = [i for i in before if _is_near(statement, mentions[i], start)]
    begins_clause = start < 3 or statement.clause_of(start - 3) != statement.clause_of(start)
    if len(near) > 1 and not begins_clause:
        return Relation(near[-1], tuple(near[:-1]), kind, start, end)
    after = next((i for i, m in enumerate(mentions) if m.start >= end), None)
    return None if after is None else Relation(after, tuple(before), kind, start, end)


def _is_near(statement: Statement, mention: Mention, position: int) -> bool:
    return abs(statement.clause_of(mention.start) - statement.clause_of(position)) <= 1


def _subject(statement: Statement, mentions: Sequence[Mention], start: int, end: int, other: int | None) -> int | None:
    """What is there: the name before in the same clause, else the one after."""
    clause = statement.clause_of(start)
    first, last = statement.item_around(start)
    if all(word in ("to", "the", "on", "in", "and") for word in statement.words.words[first:start]) and first:
        own = [i for i, m in enumerate(mentions) if end <= m.start < last and i != other]
        if own:
            return own[0]  # ", north of it a beach"
    if other is None or not _begins(statement, start):
        found = [
            i
            for i, m in enumerate(mentions)
            if m.end <= start and statement.clause_of(m.start) == clause and i != other
        ]
        if found and not _begins(statement, start):
            return found[-1]
    later = [i for i, m in enumerate(mentions) if m.start >= end and i != other and _is_near(statement, m, start)]
    if later:
        return later[0]
    earlier = [
        i for i, m in enumerate(mentions) if m.end <= start and statement.clause_of(m.start) == clause and i != other
    ]
    return earlier[-1] if earlier else None


def _begins(statement: Statement, position: int) -> bool:
    """Whether a direction opens its part of the sentence: "…; below them a substation"."""
    first, _ = statement.item_around(position)
    opening = statement.words.words[first:position]
    before = statement.words.words[first - 1] if first else ";"
    return before in (";", ".", ":", "-", "—", "–") and all(
        word in ("to", "the", "on", "in", "and") for word in opening
    )


def _enumerated(statement: Statement, mentions: Sequence[Mention], relation: Relation) -> list[int]:
    """The subject and those enumerated with it."""
    subjects = [relation.subject]
    step = -1 if mentions[relation.subject].end <= relation.start else 1
    index = relation.subject + step
    while 0 <= index < len(mentions) and index not in relation.others:
        near, far = sorted((mentions[index], mentions[index - step]), key=lambda m: m.start)
        gap = statement.words.words[near.end : far.start]
        verbs = any(word in statement.grammar.verbs or word in statement.grammar.prepositions for word in gap)
        same = set(mentions[index].concepts) & {concept for i in relation.others for concept in mentions[i].concepts}
        if (
            verbs
            or same
            or not _JOINING & set(gap)
            or _is_introduced(statement, mentions[index], mentions[index - step])
        ):
            break
        subjects.append(index)
        index += step
    return subjects


def _is_introduced(statement: Statement, first: Mention, second: Mention) -> bool:
    """Whether two names are said in clauses of their own: "there is a field, and three turbines stand …"."""
    return statement.clause_of(first.start) != statement.clause_of(second.start)


def _between_names(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    """Inside, beside, across: the word stands between the two, and nothing else but words of form.

    Names within such a word take no part: "a church across the street from a school".
    """
    words, grammar = statement.words.words, statement.grammar
    phrases = grammar.relations.find(words)
    inside = {i for p in phrases if p.end - p.start > 2 for i in range(p.start, p.end)}
    named = [index for index, mention in enumerate(mentions) if mention.start not in inside]
    for index, following in itertools.pairwise(named):
        first, second = mentions[index], mentions[following]
        gap = words[first.end : second.start]
        is_parted = statement.clause_of(first.start) != statement.clause_of(second.start)
        if len(gap) > 2 * _FURTHEST or _JOINING & set(gap) or (is_parted and "alongside" not in gap):
            continue
        reads = [(offset, grammar.relations.longest_at(gap, offset)) for offset in range(len(gap))]
        found = [(read[0], -offset, read[1][0]) for offset, read in reads if read is not None]
        end, offset, kind = max(found, default=(0, 0, ""))
        if found and len(gap) - (end + offset) <= _FURTHEST:
            yield Relation(index, (following,), kind, first.end - offset, first.end + end)


def _fronted(statement: Statement, mentions: Sequence[Mention]) -> Iterator[Relation]:
    """Inside, beside, across, where the place comes first: "in the graveyard stands a church"."""
    words, grammar = statement.words.words, statement.grammar
    for index in range(len(mentions) - 1):
        other, subject = mentions[index], mentions[index + 1]
        gap = words[other.end : subject.start]
        begin, _ = statement.item_around(other.start)
        read = grammar.relations.longest_at(words, begin)
        if read is None or read[0] > other.start or read[1][0].endswith(PASSIVE):
            continue
        is_verb_first = bool(gap) and (gap[0] in grammar.verbs or gap[0] in ("there", ","))
        if is_verb_first and set(words[read[0] : other.start]) <= _ARTICLES | {"large", "small", "big", "wide"}:
            yield Relation(index + 1, (index,), read[1][0], begin, read[0])
