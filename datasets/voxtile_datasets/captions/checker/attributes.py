"""Attributes of a row in whatever form they were written: nested, as texts, with their unit in the key.

`{"size_mm": [31, 22]}`, `{"size": "3.1 x 2.2 cm"}`, `{"diameter": {"value": 31, "unit": "mm"}}` and `{"suvmax": 7.9}`
all hold a measurement; `{"receptors": {"ER": "positive"}}` holds the words "ER positive".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT
from voxtile_datasets.captions.checker.extraction.numbers.stated_numbers import amounts

Row: TypeAlias = Mapping[str, Any]
_UNIT_NAMES = {"1": "fraction", "fraction": "fraction", "SUVbw": "SUV", "count": COUNT, "degrees": "degree", "": ""}
# Ends of keys that are no unit's own name.
_KEY_UNITS = {"pct": "percent", "deg": "degree", "hu": "HU", "years": "year", "yrs": "year", "suv": "SUV"}
_PERCENT = frozenset(["percent", "pct"])
_COUNTING = frozenset(["count", "number", "n", "num", "quantity", "counts"])
_NOT_COUNTING = frozenset(["slice", "slices", "series", "image", "frames", "pixels"])
_VALUES = ("value", "measured", "amount")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Leaf:
    """One value of a row's attributes.

    Attributes:
        key: its names from the outermost mapping to the innermost, as words: `receptors ER`.
        name: the innermost one.
        value: a text, a number or a truth value.
        unit: that the mapping around it names.
    """

    key: str
    name: str
    value: str | float | bool
    unit: str | None = None

    @property
    def text(self) -> str:
        """What it says, in words: `ER positive`, `grade group 3`."""
        name = self.name.replace("_", " ")
        if isinstance(self.value, bool):
            return name if self.value else f"no {name}"
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"{name} {value.replace('_', ' ')}"


def leaves(attributes: Row) -> list[Leaf]:
    """Every value of a mapping, however deep it lies."""
    return list(_leaves(attributes, ""))


def _leaves(values: Row, above: str) -> Iterator[Leaf]:
    unit = values.get("unit") or values.get("units") or values.get("measured_unit")
    for name, value in values.items():
        if value is None or value == "" or name in ("unit", "units", "measured_unit"):
            continue
        name = _CAMEL.sub("_", str(name))
        inner = above.rsplit(" ", 1)[-1] if name in _VALUES and above else name
        key = f"{above} {name}".strip()
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Mapping):
                yield from _leaves(one, key)
            elif isinstance(one, str | int | float):
                yield Leaf(key, inner, one, str(unit) if unit else None)


def measurements(leaf: Leaf) -> tuple[tuple[str, float], ...]:
    """Dimension and value in its base of what a leaf measures (`count`: how many there are); empty for what is none."""
    if isinstance(leaf.value, bool):
        return ()
    if isinstance(leaf.value, str):
        return _measured_in(leaf.value.replace("_", " "))
    unit = dimension_of(leaf.unit) if leaf.unit else _unit_of_key(leaf.name)
    return ((unit[0], float(leaf.value) * unit[1]),) if unit is not None else ()


@lru_cache(maxsize=10_000)
def _measured_in(text: str) -> tuple[tuple[str, float], ...]:
    words = words_of(text)
    found = amounts(words, load_grammar(), frozenset())
    return tuple(
        (amount.dimension, (low + high) / 2)
        for amount in found
        if amount.dimension != COUNT and not amount.is_vague
        for low, high in amount.bounds
    )


@lru_cache(maxsize=1000)
def _unit_of_key(name: str) -> tuple[str, float] | None:
    """What the end of a key says of its number: `diameter_mm`, `suvmax`, `ki67_percent`, `n`."""
    words = name.lower().split("_")
    if words[0].startswith("suv"):
        return "uptake", 1.0
    if _COUNTING & set(words) and not _NOT_COUNTING & set(words):
        return COUNT, 1.0
    if len(words) < 2 and words[0] not in _PERCENT:
        return None
    return dimension_of(_KEY_UNITS.get(words[-1], words[-1]))


@lru_cache(maxsize=1000)
def dimension_of(written: str) -> tuple[str, float] | None:
    """Dimension and size of a unit as facts write it."""
    name = _UNIT_NAMES.get(written, written)
    if name == COUNT:
        return COUNT, 1.0
    if name == "fraction":
        return "share", 1.0
    words = words_of(name).words
    found = load_grammar().units.longest_at(words, 0) if words else None
    return (found[1][0].dimension, found[1][0].size) if found is not None and found[0] == len(words) else None
