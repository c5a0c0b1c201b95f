"""Findings that a kind of change and a place make together, where no phrase of the lexicon says them.

"The jejunum is thickened" names no finding that a list has, but a change and an organ; `composition.yaml` says
what each kind of change is in each organ. A finding that is known by its kind alone ("stricture") becomes that of the
place that is named beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from voxtile.bounded_text import load_yaml
from voxtile.words.phrases import Match, Phrases
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.mentions import Mention
from voxtile_medical.reports.names import organs_of

TABLE = Path(__file__).with_name("composition.yaml")
_FURTHEST = 12  # words between a change and its place
_COMMA, _CLAUSE, _AFTER = 3, 8, 1  # how much farther away a place seems behind a comma, in another clause, behind
_LINKS = frozenset(["of", "in", "at", "within", "along", "to", "into", "around", "from", "on", "near"])
_MARKS, _LISTING = frozenset([";", "."]), frozenset(["and", "or", ",", "/"])
_PARTING = _LINKS | {",", "and", "or", ":", "(", ")", "with", "without", "by", "but", "as", "-"}
# Changes that go on about the place of the sentence before: "The common duct is wide. Stone at its lower end."
_GOING_ON = frozenset(["stone", "thickened", "stenotic", "occluded", "thrombosed"])
# "Type B dissection from the subclavian artery" is the aorta's.
_TYPES = frozenset(["type", "stanford", "debakey", "aortic", "aorta", "lumen"])
_NO_PLACE = frozenset(["idiom"])
# Between a level of the spine and what of it is meant: "C5/6 and C6/7 foramina".
_OF_LEVELS = frozenset(["/", "to", "and", ","])
_LEVEL = re.compile(r"[ctls]\d{1,2}").fullmatch


@dataclass(frozen=True, eq=False)
class Composition:
    """What changes and places make together.

    Attributes:
        kinds: phrase → kind of change.
        places: phrase → place that has no findings in the lexicon's own anatomy.
        wider: place → organ that it is a part of.
        pairs: (place, kind) → concept.
        anywhere: kind → concept of a change of any place.
        of_findings: kinds that a finding can have as an organ can: "lesions, two of which enhance".
        narrows: concept that a place makes narrower → its kind.
        by_form: concept of one place that the form of a change names, too ("horizontal tear") → its kind.
    """

    kinds: Phrases[str]
    places: Phrases[str]
    wider: Mapping[str, str]
    pairs: Mapping[tuple[str, str], str]
    anywhere: Mapping[str, str]
    of_findings: frozenset[str]
    narrows: Mapping[str, str]
    by_form: Mapping[str, str]

    def concept(self, place: str, kind: str) -> str | None:
        """What a kind of change is in a place or in the organ that this is a part of; None where it has no name."""
        found = self.pairs.get((place, kind))
        return found if found is not None or place not in self.wider else self.pairs.get((self.wider[place], kind))


@cache
def load_composition(path: Path = TABLE) -> Composition:
    """Read and compile the table."""
    data = load_yaml(path.read_text(encoding="utf-8"))
    kinds, places = data["kinds"], data["places"]
    return Composition(
        kinds=Phrases((phrase, kind) for kind, entry in kinds.items() for phrase in entry["phrases"]),
        places=Phrases((phrase, place) for place, entry in places.items() for phrase in entry["terms"]),
        wider={place: entry["of"] for place, entry in places.items() if "of" in entry},
        pairs={(place, kind): name for place, found in data["pairs"].items() for kind, name in found.items()},
        anywhere={kind: entry["anywhere"] for kind, entry in kinds.items() if "anywhere" in entry},
        of_findings=frozenset(kind for kind, entry in kinds.items() if entry.get("of_findings")),
        narrows={name: kind for kind, entry in kinds.items() for name in entry.get("narrows", ())},
        by_form={name: kind for kind, entry in kinds.items() for name in entry.get("by_form", ())},
    )


def composed(
    statement: Statement, named: Sequence[Mention], lexicon: Lexicon, before: str | None = None
) -> list[Mention]:
    """The mentions of a sentence with those that changes and places make together.

    Args:
        statement: the sentence.
        named: what phrases of the lexicon name in it.
        lexicon: knows the organs; concepts that it lacks are left out.
        before: the place that the sentence before was about.

    Returns:
        the mentions in reading order; a general one is replaced by that of its place.
    """
    table = load_composition()
    places = places_of(statement, lexicon)
    named = [_without_grade(mention, statement, lexicon) for mention in named]
    found = [_narrowed(mention, statement, places, lexicon, before) for mention in named]
    taken = {at for mention in named for at in range(mention.start, mention.end)}
    there = {mention.concept for mention in found}
    for change in table.kinds.find(statement.words.words):
        if not taken.isdisjoint(range(change.start, change.end)) or _describes(change, statement, named):
            continue
        for mention in _made(change, statement, places, named, lexicon):
            if mention.concept not in there:
                found.append(mention)
    return sorted(found, key=lambda mention: (mention.start, mention.concept))


def places_of(statement: Statement, lexicon: Lexicon) -> list[Match[str]]:
    """The places that a sentence names, the longest name at each word, in reading order."""
    words, table = statement.words.words, load_composition()
    found = [*table.places.find(words), *organs_of(words, lexicon)]
    longest = [
        place
        for place in found
        if place.payload not in _NO_PLACE and not any(_is_within(place, other) for other in found)
    ]
    ordered = sorted(longest, key=lambda place: place.start)
    return [place for place in ordered if not any(_qualifies(place, other, words) for other in ordered)]


def subject_of(statement: Statement, lexicon: Lexicon) -> str | None:
    """The place that a sentence opens with and says something of: "the gallbladder is distended"; None otherwise."""
    words, grammar = statement.words.words, statement.grammar
    place = next((place for place in places_of(statement, lexicon) if place.start <= 1), None)
    if place is None or place.end >= len(words):
        return None
    following = words[place.end]
    is_said = following in grammar.verbs or following == "well" or grammar.is_adverb(following)
    return place.payload if is_said else None


def is_fragment(statement: Statement) -> bool:
    """Whether a sentence has no verb, so that it goes on about what the one before named: "12 mm cyst, left."."""
    return not any(word in statement.grammar.verbs for word in statement.words.words)


def _is_within(place: Match[str], other: Match[str]) -> bool:
    return other.start <= place.start and place.end <= other.end and other.end - other.start > place.end - place.start


def _qualifies(place: Match[str], other: Match[str], words: Sequence[str]) -> bool:
    """Whether a place only says which of another it is: "the C5/6 and C6/7 foramina", "femoral artery"."""
    gap, links = words[place.end : other.start], _OF_LEVELS if _LEVEL(words[place.start]) else frozenset()
    return place.end <= other.start and all(word in links or word.isdecimal() or _LEVEL(word) for word in gap)


def _without_grade(mention: Mention, statement: Statement, lexicon: Lexicon) -> Mention:
    """A mention without the severity that its phrase begins with, which is an attribute: "mild steatosis"."""
    words = statement.words.words
    grade = statement.grammar.modifiers.longest_at(words, mention.start)
    if grade is None or grade[0] >= mention.end or all(name != "severity" for name, _ in grade[1]):
        return mention
    bare = lexicon.terms.longest_at(words, grade[0])
    is_named = bare is not None and bare[0] == mention.end and mention.concept in bare[1]
    return replace(mention, start=grade[0]) if is_named and words[grade[0]] != "bowel" else mention


def _narrowed(
    mention: Mention, statement: Statement, places: Sequence[Match[str]], lexicon: Lexicon, before: str | None
) -> Mention:
    """A mention as the finding of the place beside it, if it is one of no place yet."""
    table = load_composition()
    kind = table.narrows.get(mention.concept)
    words = statement.words.words
    is_typed = kind == "dissected" and not _TYPES.isdisjoint(words[max(0, mention.start - 3) : mention.end])
    if mention.is_closed or is_typed:
        return mention
    if kind in table.of_findings:
        head = table.kinds.longest_at(words, mention.end - 1)
        kind = head[1][0] if head is not None and head[0] == mention.end else kind  # "enhancing lesion" of the liver
    if kind is None:
        return _of_its_place(mention, statement, places, lexicon)
    change = Match(mention.start, mention.end, kind)
    near = _nearest(change, statement, places)
    candidates = [place.payload for place in near]
    if not places and before is not None and kind in _GOING_ON:
        candidates = [before]
    candidates += [place.payload for place in reversed(places) if place.end <= mention.start and not near]
    for place in candidates:
        concept = table.concept(place, kind)
        if concept is not None and concept in lexicon.concepts:
            return replace(mention, concept=concept)
    return mention


def _of_its_place(mention: Mention, statement: Statement, places: Sequence[Match[str]], lexicon: Lexicon) -> Mention:
    """A mention by its form alone as the finding of the place that it is of: "horizontal tear of the TFCC"."""
    table, words = load_composition(), statement.words.words
    kind = table.by_form.get(mention.concept)
    place = next((place for place in places if place.start >= mention.end), None)
    if kind is None or place is None or words[mention.end] not in ("of", "in"):
        return mention
    if any(p.start < mention.end and mention.start < p.end and table.concept(p.payload, kind) for p in places):
        return mention  # "torn meniscus in the knee" says it itself
    parting = _PARTING | statement.grammar.verbs
    if not parting.isdisjoint(words[mention.end + 1 : place.start]):
        return mention
    concept = table.concept(place.payload, kind)
    return replace(mention, concept=concept) if concept is not None and concept in lexicon.concepts else mention


def _made(
    change: Match[str],
    statement: Statement,
    places: Sequence[Match[str]],
    named: Sequence[Mention],
    lexicon: Lexicon,
) -> Iterator[Mention]:
    """What a change makes with the places nearest to it, or with the finding that it is said of."""
    table = load_composition()
    polarity = statement.polarity(change.start, change.end)
    near = _nearest(change, statement, [place for place in places if not _is_own(place, change, table)])
    is_of_finding = change.payload in table.of_findings and any(mention.end <= change.start for mention in named)
    if polarity is None or not (near or is_of_finding):
        return
    concepts = [table.concept(place.payload, change.payload) for place in near]
    if not any(name in lexicon.concepts for name in concepts):  # "Bladder: polypoid lesion at the left VUJ"
        label = [place for place in places if statement.words.words[place.end : place.end + 1] == (":",)]
        concepts = [table.concept(place.payload, change.payload) for place in label]
    general = None if _is_of_a_finding(change, statement, named) else table.anywhere.get(change.payload)
    concept = next((name for name in concepts if name in lexicon.concepts), general)
    if concept is not None and concept in lexicon.concepts:
        yield Mention(concept, polarity, change.start, change.end)


def _is_of_a_finding(change: Match[str], statement: Statement, named: Iterable[Mention]) -> bool:
    """Whether a change is that of a finding, and none by itself: "increase in size of the left effusion"."""
    words = statement.words.words
    parting = _PARTING | statement.grammar.verbs
    return words[change.end : change.end + 1] == ("of",) and any(
        mention.start > change.end and parting.isdisjoint(words[change.end + 1 : mention.start])
        for mention in named
        if not mention.is_closed
    )


def _is_own(place: Match[str], change: Match[str], table: Composition) -> bool:
    """Whether the words of a change only look like a place: "a meniscus climbs along the chest wall"."""
    is_inside = change.start <= place.start and place.end <= change.end
    return is_inside and table.concept(place.payload, change.payload) is None


def _describes(change: Match[str], statement: Statement, named: Iterable[Mention]) -> bool:
    """Whether a change is said of a finding that follows: "a displaced fracture", "lesion 1: metastasis"."""
    words = statement.words.words
    parting = (_PARTING - {":"} if change.payload == "lesion" else _PARTING) | statement.grammar.verbs
    return any(
        mention.start >= change.end and parting.isdisjoint(words[change.end : mention.start])
        for mention in named
        if not mention.is_closed
    )


def _nearest(change: Match[str], statement: Statement, places: Iterable[Match[str]]) -> list[Match[str]]:
    """The places that are nearest to a change; empty where none is near."""
    distances = [(_distance(change, place, statement), place) for place in places]
    least = min((far for far, _ in distances), default=0)
    return [place for far, place in distances if far == least <= _FURTHEST]


def _distance(change: Match[str], place: Match[str], statement: Statement) -> int:
    """How far a place is from a change: in words, commas and clauses between them."""
    words = statement.words.words
    if place.start < change.end and change.start < place.end:
        return 0
    is_behind = place.start >= change.end
    gap = words[change.end : place.start] if is_behind else words[place.end : change.start]
    is_another = is_behind and bool(gap) and gap[0] in _LISTING  # "two cysts and liver lesions"
    if is_another or _MARKS & set(gap):
        return _FURTHEST + 1
    far = len(gap) + _COMMA * gap.count(",")
    if is_behind and not (gap and gap[0] in _LINKS):
        far += _AFTER
    if statement.clauses[change.start] != statement.clauses[place.start]:
        far += _CLAUSE
    return far
