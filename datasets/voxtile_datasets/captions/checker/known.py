"""What is known of a sample, arranged for looking claims up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from voxtile.corpus.schema import MEASURED, ROLE
from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import normal_form, words_of
from voxtile_datasets.captions.checker.amounts import COUNT
from voxtile_datasets.captions.checker.grammar import Grammar, load_grammar
from voxtile_datasets.captions.checker.relations import OPPOSITE
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

Row: TypeAlias = Mapping[str, Any]
_STRENGTH = {"present": 2, "uncertain": 1, "absent": 0}
_PLACES = ("location", "lobe", "segment", "region", "site", "structure", "place")
_COLOURS = ("colour", "color", "colours", "colors")
_NUMBERS = {"area_m2": "m2", "volume_ml": "ml", "length_m": "m", "measured": "", "suvmax": "SUV", "gsd_m": "m"}
_UNIT_NAMES = {"1": "fraction", "fraction": "fraction", "SUVbw": "SUV", "count": COUNT, "degrees": "degree"}
_COUNTS = ("count", "number")
_DATES = ("date", "datetime", "month", "year")


@dataclass(frozen=True)
class Fact:
    """A row of the facts table, read.

    Attributes:
        polarity: as there.
        sides: left, right, bilateral, as far as the row says.
        places: parts of organs, by the vocabulary's names.
        positions: places in the picture, as points of the compass or `centre`.
        numbers: dimension → values in its base.
        counts: how many, at least and at most.
        colours, grades, changes: by the grammar's names.
        bearings: points of the compass at which it lies of something else.
        source: whose fact it is.
    """

    polarity: str
    sides: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    positions: frozenset[str] = frozenset()
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    counts: tuple[tuple[float, float], ...] = ()
    colours: frozenset[str] = frozenset()
    grades: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    bearings: frozenset[str] = frozenset()
    source: str = ""

    @property
    def is_detailed(self) -> bool:
        """Whether it says more than that something is there."""
        return bool(self.sides or self.places or self.numbers)


class Facts:
    """The facts and scopes of a sample by concept of the vocabulary.

    Args:
        facts: rows of the facts table; `attributes` as JSON or as a mapping.
        scopes: rows of the scopes table.
        vocabulary: names of concepts.
    """

    def __init__(self, facts: Sequence[Row], scopes: Sequence[Row], vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._rows: dict[str, list[Fact]] = defaultdict(list)
        self._strength: dict[str, int] = {}
        self._relations: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._objects: dict[str, set[str]] = defaultdict(set)
        self.dates: set[str] = set()
        self.words: set[str] = set()
        self.unknown_names: set[str] = set()
        for row in facts:
            self._add(row)
        self.closed = self._closed(scopes)
        concepts = vocabulary.concepts
        self._implied = frozenset(part for c in self.present() if c in concepts for part in concepts[c].has)

    def all_rows(self) -> list[Fact]:
        """Every fact that states something."""
        return [row for rows in self._rows.values() for row in rows if row.polarity != "absent"]

    def strength(self, concept: str) -> str | None:
        """What the facts say of a concept, its special kinds included: present, uncertain, absent, or None."""
        found = [s for name in self.vocabulary.below(concept) if (s := self._strength.get(name)) is not None]
        if found and max(found) > 0:
            return "present" if max(found) == 2 else "uncertain"
        if not found and concept in self._implied:
            return "present"
        absent = any(self._strength.get(name) == 0 for name in self.vocabulary.above(concept))
        return "absent" if absent else None

    def is_closed(self, concept: str) -> bool:
        """Whether a closed scope looked for a concept, or for what it is a kind of."""
        return self.closed is None or bool(self.closed & self.vocabulary.above(concept))

    def lists(self, concept: str) -> bool:
        """Whether a closed scope names a concept itself."""
        return self.closed is None or concept in self.closed

    def present(self) -> frozenset[str]:
        """The concepts that a fact states."""
        return frozenset(name for name, strength in self._strength.items() if strength == 2)

    def rows(self, concept: str) -> list[Fact]:
        """The facts that state a concept or a special kind of it."""
        return [
            row
            for name in self.vocabulary.below(concept)
            for row in self._rows.get(name, ())
            if row.polarity != "absent"
        ]

    def objects(self, concept: str) -> int:
        """How many different regions or map objects the facts list of a concept; 0 where they list none."""
        return len(set().union(*(self._objects.get(name, set()) for name in self.vocabulary.below(concept))))

    def relations(self, subject: str, other: str) -> frozenset[str]:
        """Kinds of the relations that facts state between two concepts, seen from the first."""
        found: set[str] = set()
        for first in self.vocabulary.below(subject):
            for second in self.vocabulary.below(other):
                found |= self._relations.get((first, second), set())
        return frozenset(found)

    def _closed(self, scopes: Sequence[Row]) -> frozenset[str] | None:
        """Concepts of closed scopes; None where one of them is closed for everything."""
        names: set[str] = set()
        for scope in scopes:
            if scope["closed"]:
                if scope.get("concepts") is None:
                    return None
                names.update(scope["concepts"])
        return frozenset(concept for name in names for concept in self._resolve(name))

    def _resolve(self, name: str) -> tuple[str, ...]:
        found = self.vocabulary.resolve(name)
        if found == (name,) and name not in self.vocabulary.concepts:
            self.unknown_names.add(name)
        return found

    def _add(self, row: Row) -> None:
        name, source = row["concept"], row.get("source") or ""
        if name == ROLE:
            return
        attributes = _attributes(row.get("attributes"))
        is_measurement = source.startswith(MEASURED)
        concepts = self._resolve(str(attributes.get("region", name))) if is_measurement else self._resolve(name)
        fact = _fact(row, attributes, self.vocabulary)
        for concept in concepts:
            if not is_measurement:
                self._strength[concept] = max(self._strength.get(concept, -1), _STRENGTH[row["polarity"]])
                if (thing := row.get("region_id") or attributes.get("osm_id")) and row["polarity"] == "present":
                    self._objects[concept].add(str(thing))
            self._rows[concept].append(fact)
            self._relate(concept, attributes, fact)
        self._note(attributes)

    def _relate(self, concept: str, attributes: Row, fact: Fact) -> None:
        kind, other = attributes.get("relation"), attributes.get("other")
        if not kind or not other:
            return
        kind = _direction(str(kind))
        for second in self._resolve(str(other)):
            self._relations[concept, second].add(kind)
            self._relations[second, concept].add(OPPOSITE.get(kind, f"{kind} of"))
            self._rows[second].append(Fact(fact.polarity, numbers=fact.numbers))

    def _note(self, attributes: Row) -> None:
        for key in _DATES:
            if attributes.get(key) is not None:
                self.dates.add(str(attributes[key]))
        for key in ("name", "country", "city"):
            if isinstance(attributes.get(key), str):
                self.words.update(words_of(attributes[key]).words)


def _fact(row: Row, attributes: Row, vocabulary: Vocabulary) -> Fact:
    grammar = load_grammar()
    places = [str(attributes[key]) for key in _PLACES if isinstance(attributes.get(key), str)]
    sides = {str(attributes[key]).lower() for key in ("laterality", "side") if attributes.get(key)}
    positions: set[str] = set()
    named: set[str] = set()
    for text in places:
        read = _place(text, vocabulary)
        sides |= read.sides if not attributes.get("laterality") else frozenset()
        named |= read.places
        positions |= read.positions
    if isinstance(attributes.get("position"), str):
        positions.add(_direction(attributes["position"]))
    return Fact(
        row["polarity"],
        frozenset(sides),
        frozenset(named),
        frozenset(positions),
        _numbers(row, attributes, grammar),
        _counts(row, attributes),
        _said(attributes, _COLOURS, grammar.colours),
        _said(attributes, ("severity", "size", "grade"), grammar.grades),
        _said(attributes, ("change",), grammar.changes),
        frozenset([_direction(str(attributes.get("relation", "")))]) & OPPOSITE.keys(),
        row.get("source") or "",
    )


@dataclass(frozen=True)
class _Place:
    sides: frozenset[str]
    places: frozenset[str]
    positions: frozenset[str]


@lru_cache(maxsize=10_000)
def _place(text: str, vocabulary: Vocabulary) -> _Place:
    """What the name of a place says: "left upper lobe"."""
    words, grammar = words_of(text.replace("_", " ")).words, load_grammar()
    places = vocabulary.places.find(words)
    inside = {i for p in places if p.payload.startswith(("left", "right")) for i in range(p.start, p.end)}
    sides = frozenset(side.payload for side in grammar.sides.find(words) if side.start not in inside)
    known = frozenset([_direction(text)]) & (OPPOSITE.keys() | {"centre"})
    return _Place(sides, frozenset(place.payload for place in places), known)


def _numbers(row: Row, attributes: Row, grammar: Grammar) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = defaultdict(list)

    def add(value: Any, unit: str | None) -> None:  # noqa: ANN401
        if unit is None or isinstance(value, bool) or not isinstance(value, int | float):
            return
        size = _unit(unit)
        if size is not None:
            found[size[0]].append(float(value) * size[1])

    add(row.get("value"), row.get("unit"))
    for millimetres in attributes.get("size_mm") or ():
        add(millimetres, "mm")
    for key, unit in _NUMBERS.items():
        add(attributes.get(key), unit or attributes.get("measured_unit") or row.get("unit"))
    return {dimension: tuple(values) for dimension, values in found.items() if dimension != COUNT}


@lru_cache(maxsize=1000)
def _unit(written: str) -> tuple[str, float] | None:
    """Dimension and size of a unit as facts write it."""
    name = _UNIT_NAMES.get(written, written)
    if name == COUNT:
        return COUNT, 1.0
    if name == "fraction":
        return "share", 1.0
    words = words_of(name).words
    found = load_grammar().units.longest_at(words, 0)
    return (found[1][0].dimension, found[1][0].size) if found is not None and found[0] == len(words) else None


def _counts(row: Row, attributes: Row) -> tuple[tuple[float, float], ...]:
    found = [row.get("value")] if row.get("unit") == COUNT else []
    if attributes.get("measured_unit") == COUNT:
        found.append(attributes.get("measured"))
    found += [attributes.get(key) for key in _COUNTS]
    exact = [(float(v), float(v)) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    words = [span for v in found if isinstance(v, str) for span in _amount(v)]
    return (*exact, *words)


@lru_cache(maxsize=1000)
def _amount(word: str) -> tuple[tuple[float, float], ...]:
    """What a word such as `multiple` says."""
    grammar, words = load_grammar(), words_of(word).words
    if len(words) == 1 and words[0] in grammar.numbers:
        return ((float(grammar.numbers[words[0]]),) * 2,)
    return tuple((match.payload.low, match.payload.high) for match in grammar.counts.find(words))


def _said(attributes: Row, keys: Sequence[str], phrases: Phrases[str]) -> frozenset[str]:
    texts = [str(attributes[key]) for key in keys if attributes.get(key)]
    return frozenset(match.payload for text in texts for match in _found(text, phrases))


@lru_cache(maxsize=10_000)
def _found(text: str, phrases: Phrases[str]) -> list[Match[str]]:
    return phrases.find(words_of(text.replace("_", " ")).words)


@lru_cache(maxsize=1000)
def _direction(kind: str) -> str:
    """`northwest_of` → `north-west`; another kind of relation as it is."""
    words = words_of(kind.replace("_", " ")).words
    if not words:
        return kind
    grammar = load_grammar()
    found = grammar.directions.longest_at(words, 0)
    if found is not None:
        return found[1][0]
    return grammar.edges.get(normal_form(words[0]), kind) if len(words) == 1 else kind


def _attributes(value: Any) -> Row:  # noqa: ANN401
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}
