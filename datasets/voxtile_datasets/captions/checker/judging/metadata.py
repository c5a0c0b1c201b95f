"""What a sample's own row says of how and of what its picture was made, arranged for looking claims up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from voxtile.corpus.geoparquet import latitude_of
from voxtile.words.phrases import Phrases
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.aspects import Aspect
from voxtile_datasets.captions.checker.attributes import leaves
from voxtile_datasets.captions.checker.extraction.claims import Detail
from voxtile_datasets.captions.checker.extraction.numbers.imaging_numbers import AGE, MAGNIFICATION, RESOLUTION
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.stated_facts import mapping_of

Row = Mapping[str, Any]
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    AGE: ("age", "age_band", "age_years"),
    MAGNIFICATION: ("magnification", "objective_power"),
}
# Column → millimetres that its unit has.
_PIXEL = {"mpp": 0.001, "gsd_m": 1000.0, "gsd": 1000.0, "spacing": 1.0, "resolution_m": 1000.0}
_MICROMETRES_AT_ONE = 10.0  # 0.5 µm a pixel is called 20x (Aperio and Hamamatsu scanners)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


_OF_ROW = ("modality", "datetime", "gsd_m", "mpp", "spacing")
_KEPT_BACK = frozenset(["described_as", "image_type"])  # words of a series' name are no statements about it


def metadata_of(row: Row) -> dict[str, Any]:
    """Columns and attributes of a row of the samples table in one mapping; what is null is left out.

    Args:
        row: of the samples table.
    """
    kept = {name: value for name, value in mapping_of(row.get("attributes")).items() if name not in _KEPT_BACK}
    if row.get("geometry") and (latitude := latitude_of(row["geometry"])) is not None:
        kept["latitude"] = round(latitude, 1)
    return kept | {name: row[name] for name in _OF_ROW if row.get(name) is not None}


class Metadata:
    """The row of a sample by aspects of a vocabulary.

    Args:
        row: columns of the samples table and its attributes, in one mapping.
        vocabulary: names of values.
        facts: attributes of the sample's facts, one mapping each.
    """

    def __init__(self, row: Row, vocabulary: Vocabulary, facts: Sequence[Row] = ()) -> None:
        self._row = {str(name): value for name, value in row.items() if value is not None and value != ""}
        self._vocabulary = vocabulary
        self._texts = [leaf.text for values in (self._row, *facts) for leaf in leaves(values)]
        self.values: dict[str, frozenset[str]] = {
            name: self._stated(name, aspect, facts) for name, aspect in vocabulary.imaging.items()
        }
        self.numbers: dict[str, tuple[tuple[float, float], ...]] = {
            AGE: tuple(self._ages()),
            MAGNIFICATION: tuple(self._magnifications()),
            RESOLUTION: tuple(self._pixels()),
        }

    def __bool__(self) -> bool:
        return bool(self._row)

    @property
    def words(self) -> frozenset[str]:
        """Words of its values, which name nobody."""
        texts = (value for value in self._row.values() if isinstance(value, str))
        return frozenset(word for text in texts for word in words_of(text).words)

    def said(self, name: str) -> str:
        """What the row says of an aspect, for a sentence that explains; empty where it says nothing."""
        if name in self.values:
            return " and ".join(sorted(self.values[name]))
        columns = _COLUMNS.get(name, tuple(_PIXEL))
        return ", ".join(f"{column} {self._row[column]}" for column in columns if column in self._row)

    def has(self, detail: Detail) -> bool:
        """Whether a column has a side or a number: "1 mm slices", "left wrist"."""
        if detail.kind == "side":
            sides = {str(self._row.get(name, "")).lower() for name in ("laterality", "side")}
            return detail.value in sides or bool(sides & {"l", "r", "b"} & {detail.value[:1]}) or "bilateral" in sides
        values = self._numbers
        sizes = {1.0} if detail.dimension != "length" else {1.0, 10.0, 0.001, 1000.0}
        return any(low <= value * size <= high for low, high in detail.bounds for value in values for size in sizes)

    def agrees(self, name: str, values: tuple[str, ...]) -> bool | None:
        """Whether the row has one of the values of an aspect, or a kind of it; None where it says nothing.

        Of an aspect that is `exact` a kind of what the row has is more than it says: a PET/CT where it has a CT.
        """
        aspect = self._vocabulary.imaging[name]
        known = self.values.get(name, frozenset())
        known -= frozenset(more for value in known for more in aspect.above(value) - {value})
        if not known:
            return None
        return any(
            said in aspect.above(value) or (value in aspect.above(said) and not aspect.is_exact)
            for said in values
            for value in known
        )

    def names(self, name: str, values: tuple[str, ...]) -> bool:
        """Whether any text of the row or of a fact, whatever it is called, names one of the values of an aspect."""
        aspect = self._vocabulary.imaging[name]
        return any(said in aspect.above(value) for value in self._named(name) for said in values)

    def _named(self, name: str) -> frozenset[str]:
        terms = self._vocabulary.imaging[name].terms
        return frozenset(value for text in self._texts for value in _values_in(text, terms))

    def _stated(self, name: str, aspect: Aspect, facts: Sequence[Row]) -> frozenset[str]:
        own = (*self._found(self._row, aspect.columns, name), *self._of_facts(facts, aspect, name))
        return frozenset(own) | (self._named(name) if aspect.is_anywhere else frozenset())

    def agrees_in_number(self, name: str, bounds: tuple[float, float]) -> bool | None:
        """Whether a number of the row lies within bounds; None where it has none of the kind."""
        known = self.numbers.get(name, ())
        return any(low <= bounds[1] and bounds[0] <= high for low, high in known) if known else None

    def _of_facts(self, facts: Sequence[Row], aspect: Aspect, name: str) -> Iterator[str]:
        for attributes in facts if aspect.attributes else ():
            yield from self._found(attributes, aspect.attributes, name)

    def _found(self, row: Row, columns: tuple[str, ...], name: str) -> Iterator[str]:
        aspect = self._vocabulary.imaging[name]
        for column in columns:
            for text in _texts(row.get(column)):
                words = words_of(text.replace("_", " ")).words
                yield from (match.payload for match in aspect.written.find(words))

    @cached_property
    def _numbers(self) -> list[float]:
        return [value for leaf in leaves(self._row) for value in _numbers_in(leaf.value)]

    def _ages(self) -> Iterator[tuple[float, float]]:
        for text in self._texts_of(AGE):
            years = [float(number) for number in _NUMBER.findall(text)]
            if text.strip().upper().endswith(("M", "W", "D")) and len(years) == 1:
                yield 0.0, 0.99 if not text.upper().endswith("M") else years[0] / 12
            elif len(years) == 1:
                yield years[0], (120.0 if "+" in text else years[0] + 0.99)
            elif len(years) > 1:
                yield years[0], years[1] + 0.99

    def _magnifications(self) -> Iterator[tuple[float, float]]:
        stated = [float(n) for text in self._texts_of(MAGNIFICATION) for n in _NUMBER.findall(text)[:1]]
        derived = [_MICROMETRES_AT_ONE / mpp for mpp in _numbers(self._row.get("mpp")) if mpp]
        yield from ((value * 0.97, value * 1.03) for value in stated)
        if not stated:  # a scanner's pixel is rarely exactly that of the objective
            yield from ((value * 0.85, value * 1.15) for value in derived)

    def _pixels(self) -> Iterator[tuple[float, float]]:
        for column, size in _PIXEL.items():
            yield from ((value * size, value * size) for value in _numbers(self._row.get(column)))

    def _texts_of(self, name: str) -> list[str]:
        return [text for column in _COLUMNS[name] for text in _texts(self._row.get(column))]


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif value is not None:
        yield str(value)


def _numbers(value: Any) -> Iterator[float]:  # noqa: ANN401
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield float(value)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)


def _numbers_in(value: str | float | bool) -> list[float]:
    return [float(number) for number in _NUMBER.findall(value)] if isinstance(value, str) else list(_numbers(value))


@lru_cache(maxsize=50_000)
def _values_in(text: str, terms: Phrases[str]) -> tuple[str, ...]:
    return tuple(match.payload for match in terms.find(words_of(text).words))
