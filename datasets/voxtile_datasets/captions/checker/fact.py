"""A row of the facts table, read: sides, places, numbers, counts and the like by the checker's names."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import normal_form, words_of
from voxtile_datasets.captions.checker.extraction.grammar import Grammar, load_grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT
from voxtile_datasets.captions.checker.extraction.relations import OPPOSITE
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

Row: TypeAlias = Mapping[str, Any]
_PLACES = ("location", "lobe", "segment", "region", "site", "structure", "place")
_COLOURS = ("colour", "color", "colours", "colors")
_PARTS = ("location", "part", "component")
_NUMBERS = {"area_m2": "m2", "volume_ml": "ml", "length_m": "m", "measured": "", "suvmax": "SUV", "gsd_m": "m"}
_UNIT_NAMES = {"1": "fraction", "fraction": "fraction", "SUVbw": "SUV", "count": COUNT, "degrees": "degree"}
_COUNTS = ("count", "number")


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
        colours, grades, changes, shapes: by the grammar's names.
        part: words for the part of it of which the row tells: "three towers".
        part_counts: how many such parts, at least and at most.
        bearings: points of the compass at which it lies of something else.
        source: whose fact it is.
        is_one: it is of a single thing, with its own size.
        name: of its concept as the row has it.
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
    shapes: frozenset[str] = frozenset()
    part: tuple[str, ...] = ()
    part_counts: tuple[tuple[float, float], ...] = ()
    bearings: frozenset[str] = frozenset()
    source: str = ""
    is_one: bool = False
    name: str = ""

    @property
    def is_detailed(self) -> bool:
        """Whether it says more than that something is there."""
        return bool(self.sides or self.places or self.numbers)


def fact_of(row: Row, attributes: Row, vocabulary: Vocabulary) -> Fact:
    """Read a row.

    Args:
        row: of the facts table.
        attributes: of the row, parsed.
        vocabulary: names of places.
    """
    grammar = load_grammar()
    places = [str(attributes[key]) for key in _PLACES if isinstance(attributes.get(key), str)]
    if attributes.get("relation") and attributes.get("other") and vocabulary.has_sides:
        places.append(f"{attributes['relation']} {attributes['other']}")
    sides = {str(attributes[key]).lower() for key in ("laterality", "side") if attributes.get(key)}
    positions: set[str] = set()
    named: set[str] = set()
    part = " ".join(str(attributes[key]) for key in _PARTS if isinstance(attributes.get(key), str)).replace("_", " ")
    for text in places:
        read = _place(text, vocabulary)
        sides |= read.sides if not attributes.get("laterality") else frozenset()
        named |= read.places
        positions |= read.positions
    if isinstance(attributes.get("position"), str):
        positions.add(direction_of(attributes["position"]))
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
        _said(attributes, ("shape", "form"), grammar.shapes),
        words_of(part).words,
        _amount(part) if part else (),
        frozenset([direction_of(str(attributes.get("relation", "")))]) & OPPOSITE.keys(),
        row.get("source") or "",
        bool(attributes.get("size_mm")) and attributes.get("count", 1) == 1,
        row["concept"],
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
    known = frozenset([direction_of(text)]) & (OPPOSITE.keys() | {"centre"})
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
    numbers = [(float(grammar.numbers[w]),) * 2 for w in words if w in grammar.numbers]
    return (*numbers, *((match.payload.low, match.payload.high) for match in grammar.counts.find(words)))


def _said(attributes: Row, keys: Sequence[str], phrases: Phrases[str]) -> frozenset[str]:
    texts = [str(attributes[key]) for key in keys if attributes.get(key)]
    return frozenset(match.payload for text in texts for match in _found(text, phrases))


@lru_cache(maxsize=10_000)
def _found(text: str, phrases: Phrases[str]) -> list[Match[str]]:
    return phrases.find(words_of(text.replace("_", " ")).words)


@lru_cache(maxsize=1000)
def direction_of(kind: str) -> str:
    """`northwest_of` → `north-west`; another kind of relation as it is."""
    words = words_of(kind.replace("_", " ")).words
    if not words:
        return kind
    grammar = load_grammar()
    for table in (grammar.directions, grammar.body_directions):
        found = table.longest_at(words, 0)
        if found is not None:
            return found[1][0]
    return grammar.edges.get(normal_form(words[0]), kind) if len(words) == 1 else kind


def attributes_of(value: Any) -> Row:  # noqa: ANN401
    """The attributes of a row, given as JSON or as a mapping."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}
