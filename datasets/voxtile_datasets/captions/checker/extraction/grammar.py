"""The checker's English as a table (`grammar.yaml`), compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_yaml
from voxtile.words.phrases import Phrases
from voxtile.words.tokens import normal_form, words_of

FILE = Path(__file__).with_name("grammar.yaml")
_BEYOND = Path(__file__).with_name("beyond.yaml")
_CUES = Path(__file__).parent / "scenes" / "cues.yaml"
_COMPARATORS = ("about", "at_most", "no_more", "less", "more", "just_under", "just_over")


@dataclass(frozen=True)
class Unit:
    """A unit of measurement: its name, its dimension, and its size in the dimension's base."""

    name: str
    dimension: str
    size: float


@dataclass(frozen=True)
class Span:
    """What a word for an amount means: at least and at most; `is_vague` for words such as `several`."""

    low: float
    high: float
    is_vague: bool = False


@dataclass(frozen=True, eq=False)
class Grammar:
    """The table.

    Attributes:
        version: of the table.
        cues: phrases that deny, doubt or part statements; the payload is their kind.
        sides, grades, changes, colours: phrase → side, grade (`0` to `3`), change, colour.
        shapes: phrase → form of a thing seen from above.
        similar, similar_shapes: pairs of colours and of forms that people do not tell apart.
        numbers: word → number.
        counts: phrase → amount.
        shares: phrase → share; `is_vague` for words that need no "of" after them ("mostly").
        ranks: phrase → `largest` or `smallest`.
        comparisons: phrase → `more`, `less` or `equal`.
        fractions: word → number of parts: third → 3.
        units: phrase → unit.
        measures: phrase → dimension of the number that follows it.
        comparators: phrase → `about`, `at_most`, `no_more`, `less`, `more`, `just_under` or `just_over`.
        behind: phrase after a number → `more` or `no_more`.
        margins: phrases between a number and the margin beside it.
        directions: phrase → point of the compass.
        picture_directions: the same for words that mean one in a picture with north up.
        body_directions: phrase → direction in a body.
        edges: word → edge of the picture as a point of the compass, or `centre`.
        pictures: words for the picture.
        relations: phrase → kind.
        beyond: phrase → what it says that no picture shows: cause, advice, prognosis, change, history.
        months: word → number.
        pronouns: phrases that point back.
        verbs, tails, openers, prepositions, roles, records, capitals: words, see the table.
        known_words: all words of the table, in normal form.
    """

    version: str
    cues: Phrases[str]
    sides: Phrases[str]
    grades: Phrases[str]
    changes: Phrases[str]
    colours: Phrases[str]
    shapes: Phrases[str]
    similar: frozenset[frozenset[str]]
    similar_shapes: frozenset[frozenset[str]]
    numbers: Mapping[str, int]
    counts: Phrases[Span]
    shares: Phrases[Span]
    fractions: Mapping[str, int]
    ranks: Phrases[str]
    comparisons: Phrases[str]
    units: Phrases[Unit]
    measures: Phrases[str]
    comparators: Phrases[str]
    behind: Phrases[str]
    margins: Phrases[bool]
    directions: Phrases[str]
    picture_directions: Phrases[str]
    body_directions: Phrases[str]
    edges: Mapping[str, str]
    pictures: Phrases[bool]
    relations: Phrases[str]
    beyond: Phrases[str]
    months: Mapping[str, int]
    pronouns: Phrases[bool]
    verbs: frozenset[str]
    tails: frozenset[str]
    openers: frozenset[str]
    prepositions: frozenset[str]
    roles: frozenset[str]
    records: frozenset[str]
    capitals: frozenset[str]
    known_words: frozenset[str]


@cache
def load_grammar() -> Grammar:
    """Read and compile the table."""
    data: dict[str, Any] = load_yaml(FILE.read_text(encoding="utf-8"))
    for kind, phrases in load_yaml(_CUES.read_text(encoding="utf-8")).items():
        data["cues"][kind] = [*data["cues"].get(kind, ()), *phrases]
    comparators = {kind: data[kind] for kind in _COMPARATORS}
    return Grammar(
        version=str(data["version"]),
        cues=_table(data["cues"]),
        sides=_table(data["sides"]),
        grades=_table(data["grades"]),
        changes=_table(data["changes"]),
        colours=_table(data["colours"]),
        shapes=_table(data["shapes"]),
        similar_shapes=frozenset(frozenset(pair) for pair in data["similar_shapes"]),
        similar=frozenset(frozenset(pair) for pair in data["similar_colours"]),
        numbers={normal_form(word): int(number) for word, number in data["numbers"].items()},
        counts=Phrases([*_spans(data["exact"], is_vague=False), *_spans(data["vague"], is_vague=True)]),
        shares=Phrases([*_spans(data["shares"], is_vague=False), *_spans(data["mostly"], is_vague=True)]),
        ranks=_table(data["ranks"]),
        comparisons=_table(data["comparisons"]),
        fractions={normal_form(word): int(number) for word, number in data["fractions"].items()},
        units=Phrases(_units(data["units"])),
        measures=_table(data["measures"]),
        comparators=_table(comparators),
        behind=_table(data["behind"]),
        margins=Phrases((phrase, True) for phrase in data["margins"]),
        directions=_table(data["directions"]),
        picture_directions=_table(data["picture_directions"]),
        body_directions=_table(data["body_directions"]),
        edges={normal_form(word): edge for edge, words in data["edges"].items() for word in words},
        pictures=Phrases((phrase, True) for phrase in data["picture"]),
        relations=_table(data["relations"]),
        beyond=_table(load_yaml(_BEYOND.read_text(encoding="utf-8"))),
        months={normal_form(word): int(number) for word, number in data["months"].items()},
        pronouns=Phrases((phrase, True) for phrase in data["pronouns"]),
        **{key: _words(data[key]) for key in ("verbs", "tails", "openers", "prepositions", "roles", "records")},
        capitals=_words(data["written_with_capitals"]),
        known_words=frozenset(_all_words(data)),
    )


def _table(table: Mapping[str, Sequence[str]]) -> Phrases[str]:
    return Phrases((str(phrase), str(name)) for name, phrases in table.items() for phrase in phrases)


def _spans(table: Mapping[str, Sequence[float]], *, is_vague: bool) -> Iterable[tuple[str, Span]]:
    return [(phrase, Span(float(low), float(high), is_vague)) for phrase, (low, high) in table.items()]


def _units(table: Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterable[tuple[str, Unit]]:
    for dimension, units in table.items():
        for name, (size, *phrases) in units.items():
            for phrase in phrases:
                yield str(phrase), Unit(name, dimension, float(size))


def _words(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(normal_form(str(text)) for text in texts)


def _all_words(value: Any) -> Iterable[str]:  # noqa: ANN401
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from words_of(str(key)).words
            yield from _all_words(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _all_words(entry)
    else:
        yield from words_of(str(value)).words
