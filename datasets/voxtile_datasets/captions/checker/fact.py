"""A row of the facts table, read: sides, places, numbers, counts and the like by the checker's names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from voxtile.corpus.schema import MEASURED
from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import normal_form, words_of
from voxtile_datasets.captions.checker.attributes import Leaf, Row, dimension_of, leaves, measurements
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT
from voxtile_datasets.captions.checker.extraction.relations import OPPOSITE
from voxtile_datasets.captions.checker.extraction.scenes.changes import changes_named
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# Of these a row's attributes say something that is no side or place of what the row is of.
_OF_ANOTHER = frozenset(["relation", "other", "other_id", "name", "color", "colour", "change", "comparison", "source"])
# What a measurement writes of how it was made: "both sides of lower lobe" is where the midline comes from.
_HOW_MEASURED = frozenset(["evidence", "midline", "by", "by_affine"])
_COLOURS = ("colour", "color", "colours", "colors")
_PARTS = ("location", "part", "component")
_LOCATED = frozenset(
    ["location", "site", "region", "place", "zone", "lobe", "segment", "compartment", "level", "quadrant", "position",
     "part", "component", "subsite", "area", "wall", "where", "body_part", "organ", "structure", "vessel", "bone"]
)  # fmt: skip
_GRADED = frozenset(
    ["severity", "size", "grade", "extent", "degree", "amount", "burden", "volume", "quantity", "activity", "density",
     "intensity", "dilatation", "width", "level", "completeness"]
)  # fmt: skip
_CHANGED = ("change", "comparison", "trend", "evolution", "course", "interval", "interval_change", "progression")
_OF_PICTURE = frozenset(["corner", "edge", "border", "margin", "half", "side", "rim"])
_COUNTS = ("count", "number", "n", "num", "quantity", "amount")
_SINGLE = ("size_mm", "diameter_mm", "size", "diameter")


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
        bare: its numbers of which no unit is known.
        words: all words of its attributes, in normal form.
        located: those of them that say where it is, in their order.
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
    bare: tuple[float, ...] = ()
    words: frozenset[str] = frozenset()
    located: tuple[str, ...] = ()

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
    grammar, held = load_grammar(), leaves(attributes)
    apart = _OF_ANOTHER | (_HOW_MEASURED if str(row.get("source") or "").startswith(MEASURED) else frozenset())
    places = [str(leaf.value) for leaf in held if isinstance(leaf.value, str) and leaf.name not in apart]
    if attributes.get("relation") and attributes.get("other") and vocabulary.has_sides:
        places.append(f"{attributes['relation']} {attributes['other']}")
    sides = {side for key in ("laterality", "side") if (side := _side(attributes.get(key)))}
    if (
        not sides
        and vocabulary.has_sides
        and (named_side := _side(row["concept"].replace("_", " ").partition(" ")[0])) in _SIDES
    ):
        sides.add(named_side)  # "left kidney" is a concept of some sets of pictures
    positions: set[str] = set()
    named: set[str] = set()
    part = " ".join(str(attributes[key]) for key in _PARTS if isinstance(attributes.get(key), str)).replace("_", " ")
    for text in places:
        read = _place(text, vocabulary)
        sides |= read.sides if not attributes.get("laterality") else frozenset()
        named |= read.places
        positions |= read.positions
    name = row["concept"].replace("_", " ")
    own = _place(name, vocabulary).places
    if not named and (name.endswith(" fracture") or re.sub("^(left|right) ", "", name) in own):
        named |= own  # a clavicle fracture is of the clavicle, and the left femur is the femur
    if isinstance(attributes.get("position"), str):
        positions.add(direction_of(attributes["position"]))
    return Fact(
        row["polarity"],
        frozenset(sides),
        frozenset(named),
        frozenset(positions),
        _numbers(row, held),
        _counts(row, held),
        _said(attributes, _COLOURS, grammar.colours),
        _said(attributes, _GRADED, grammar.grades),
        _changes(attributes, grammar.changes) | _changed(attributes, vocabulary),
        _said(attributes, ("shape", "form"), grammar.shapes),
        words_of(part).words,
        _amount(part) if part else (),
        frozenset([direction_of(str(attributes.get("relation", "")))]) & OPPOSITE.keys(),
        row.get("source") or "",
        any(attributes.get(key) for key in _SINGLE) and attributes.get("count", 1) == 1,
        row["concept"],
        _bare(row, held),
        frozenset(word for leaf in held if leaf.name not in _OF_ANOTHER for word in words_of(leaf.text).words),
        tuple(w for leaf in held if leaf.name in _LOCATED for w in words_of(str(leaf.value).replace("_", " ")).words),
    )


def _changes(attributes: Row, phrases: Phrases[str]) -> frozenset[str]:
    """How it changed, `other` where the words are none that are known."""
    said = any(attributes.get(key) for key in _CHANGED)
    return _said(attributes, _CHANGED, phrases) or (frozenset(["other"]) if said else frozenset())


_SIDES = frozenset(["left", "right", "bilateral"])


def _side(value: object) -> str:
    """A side as rows write it: left, L, Left."""
    said = str(value or "").lower()
    return {"l": "left", "r": "right", "b": "bilateral", "both": "bilateral"}.get(said, said)


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
    known = frozenset([direction_of(text), _in_picture(words)]) & (OPPOSITE.keys() | {"centre"})
    return _Place(sides, frozenset(place.payload for place in places), known)


def _in_picture(words: tuple[str, ...]) -> str:
    """Point of the compass of a part of the picture: "lower left corner"; empty for what names something else."""
    edges = [load_grammar().edges.get(word, "") for word in words[:-1]]
    if not edges or not all(edges) or words[-1] not in _OF_PICTURE:
        return ""
    rows, columns = ([e for e in edges if e in pair] for pair in (("north", "south"), ("east", "west")))
    return "-".join([*rows[:1], *columns[:1]]) or "centre"


def _numbers(row: Row, held: Sequence[Leaf]) -> dict[str, tuple[float, ...]]:
    """What the value of a row and all its attributes measure, by dimension."""
    found: dict[str, list[float]] = defaultdict(list)
    own = dimension_of(str(row["unit"])) if row.get("unit") else None
    if own is not None and _is_number(row.get("value")):
        found[own[0]].append(float(row["value"]) * own[1])
    for leaf in held:
        if leaf.name == "measured" and leaf.unit is None and own is not None and _is_number(leaf.value):
            found[own[0]].append(float(leaf.value) * own[1])
        for dimension, value in measurements(leaf):
            found[dimension].append(value)
    return {dimension: tuple(values) for dimension, values in found.items() if dimension != COUNT}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bare(row: Row, held: Sequence[Leaf]) -> tuple[float, ...]:
    """Its numbers of which no unit is known: a score, a grade."""
    values: list[Any] = [leaf.value for leaf in held if not measurements(leaf)]
    values += [row.get("value")] if not row.get("unit") else []
    return tuple(float(value) for value in values if _is_number(value))


def _counts(row: Row, held: Sequence[Leaf]) -> tuple[tuple[float, float], ...]:
    found = [row.get("value")] if row.get("unit") == COUNT else []
    found += [leaf.value for leaf in held if leaf.name in _COUNTS and isinstance(leaf.value, str)]
    exact = [(float(v), float(v)) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    exact += [(value, value) for leaf in held for dimension, value in measurements(leaf) if dimension == COUNT]
    words = [span for v in found if isinstance(v, str) for span in _amount(v)]
    return tuple(dict.fromkeys(exact)) or tuple(words)  # beside a count "multiple" says nothing


@lru_cache(maxsize=1000)
def _amount(word: str) -> tuple[tuple[float, float], ...]:
    """What a word such as `multiple` says."""
    grammar, words = load_grammar(), words_of(word).words
    if len(words) == 1 and words[0] in grammar.numbers:
        return ((float(grammar.numbers[words[0]]),) * 2,)
    numbers = [(float(grammar.numbers[w]),) * 2 for w in words if w in grammar.numbers]
    return (*numbers, *((match.payload.low, match.payload.high) for match in grammar.counts.find(words)))


def _said(attributes: Row, keys: Iterable[str], phrases: Phrases[str]) -> frozenset[str]:
    texts = [str(attributes[key]) for key in keys if attributes.get(key)]
    return frozenset(match.payload for text in texts for match in _found(text, phrases))


def _changed(attributes: Row, vocabulary: Vocabulary) -> frozenset[str]:
    """Kinds of change between two pictures of one place; of patients the grammar's own are enough."""
    said = attributes.get("change")
    return changes_named(str(said)) if said and not vocabulary.is_about_patients else frozenset()


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
