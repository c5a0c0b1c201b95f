"""Whether a fact has a detail that a claim gives."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import PART, Detail
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.parts import are_apart
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

_HARDLY = 3  # things of which one says that there are hardly any
_BOTH = frozenset(["left", "right"])
_GLUE = frozenset(["the", "of", "in", "at", "a", "part", "portion", "region", "area", "zone", "lobe"])


def agrees_with_any(detail: Detail, rows: Sequence[Fact], vocabulary: Vocabulary) -> bool:
    """Whether a fact has a detail."""
    return any(agrees(detail, row, vocabulary) for row in rows)


def agrees(detail: Detail, row: Fact, vocabulary: Vocabulary) -> bool | None:
    """Whether a fact has a detail (True) or another in its place (False); None where it says nothing of the kind."""
    kind, value = detail.kind, detail.value
    if kind == "side" and value == "unilateral":
        return not (row.sides & {"bilateral"} or row.sides >= _BOTH) if row.sides else None
    if kind == "side" and detail.is_vague and row.sides:
        return row.sides == {value}
    if kind == "side":
        if not row.sides or (value == "bilateral" and not {"bilateral", *_BOTH} <= {"bilateral", *row.sides}):
            return True if value == "bilateral" and "bilateral" in row.sides else None
        return value in row.sides or "bilateral" in row.sides or value == "bilateral"
    if kind == "place":
        return _agrees_in_place(detail, row, vocabulary)
    if kind == "number":
        values = row.numbers.get(detail.dimension or "", ())
        if not values and row.counts and detail.dimension == SHARE and detail.bounds[0][0] == 0:
            return all(least <= _HARDLY for least, _ in row.counts)  # "hardly any cars"
        return all(any(low <= v <= high for v in values) for low, high in detail.bounds) if values else None
    if kind == "count":
        spans = [
            (low, high) for low, high in detail.bounds for least, most in row.counts if low <= most and least <= high
        ]
        return bool(spans) if row.counts else None
    if kind == "colour":
        similar = load_grammar().similar if not detail.is_exact else frozenset()
        return any(c == value or frozenset((c, value)) in similar for c in row.colours) if row.colours else None
    if kind == "rank":
        return None
    if kind == "shape":
        similar = load_grammar().similar_shapes
        return any(s == value or frozenset((s, value)) in similar for s in row.shapes) if row.shapes else None
    if kind == "severity":
        return any(_is_like(int(grade), int(value)) for grade in row.grades) if row.grades else None
    if kind == "change":
        return value in row.changes or "other" in row.changes if row.changes else None
    there = row.positions | row.bearings if detail.is_vague else row.positions
    return any(_is_toward(value, place) for place in there) if there else None


def _agrees_in_place(detail: Detail, row: Fact, vocabulary: Vocabulary) -> bool | None:
    """By the names of places that both have, else by words: the tail of an organ is not its head."""
    if row.places & (vocabulary.near.get(detail.value, frozenset()) | {detail.value}):
        return True
    said = words_of(detail.words).words
    if row.located and set(said) - _GLUE <= set(row.located):
        return True
    is_part = detail.dimension == PART
    apart = are_apart(said, row.located)
    if apart is not None and (is_part or not row.places):
        return not apart
    return False if row.places and not is_part else None


def _is_like(known: int, said: int) -> bool:
    """Whether two grades are told apart by nobody: a trace and a little."""
    return known == said or {known, said} == {0, 1}


def _is_toward(said: str, known: str) -> bool:
    """Whether a point of the compass is the known one or a part of it: north of what lies north-east."""
    return said == known or said in known.split("-") or known in said.split("-")
