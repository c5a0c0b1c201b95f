"""Aspects of how and of what pictures are made (modality, part of the body, contrast, stain) and the words for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from voxtile.words.phrases import Phrases

Judgement: TypeAlias = Literal["supported", "unknown", "unsupported"]


@dataclass(frozen=True, eq=False)
class Aspect:
    """One aspect.

    Attributes:
        columns: of the samples table and its attributes that state it; none for words that only stand beside others.
        attributes: of facts that state it.
        silent: the judgement where neither states anything of it; `supported` where that means nothing.
        terms: phrase → value.
        written: the same as columns write it (DICOM terms and other codes besides).
        is_a: value → more general values; a picture of the heart is one of the chest.
        beside: aspects in whose phrase alone a value is said of the picture ("CT of the neck").
        unless: phrases beside a value that make it one of another picture ("prior", "guided").
        instead: the aspect of which a value with such a phrase is said: the primary site of a metastasis.
        is_exact: a kind of what the row has is more than it says.
        is_anywhere: stated by its words in any column or attribute, whatever that is called.
        denies: value → concepts that are not there where it holds: a stage N0, and a metastasis.
    """

    columns: tuple[str, ...]
    attributes: tuple[str, ...]
    silent: Judgement
    terms: Phrases[str]
    written: Phrases[str]
    is_a: Mapping[str, tuple[str, ...]]
    beside: tuple[str, ...]
    unless: Phrases[bool]
    instead: str | None = None
    is_exact: bool = False
    is_anywhere: bool = False
    denies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def above(self, value: str) -> frozenset[str]:
        """A value and all that are more general."""
        found, waiting = {value}, [value]
        while waiting:
            for more in self.is_a.get(waiting.pop(), ()):
                if more not in found:
                    found.add(more)
                    waiting.append(more)
        return frozenset(found)


def compile_aspects(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Aspect]:
    """The aspects of vocabulary files.

    Args:
        table: aspect → `columns`, `attributes`, `silent`, `values` (value → `terms`, `codes`, `is_a`, `denies`),
            `beside`, `unless`, `instead`, `exact` and `anywhere`; `like` takes over what it does not say from another
            aspect.
    """
    return {
        name: _aspect({**(table[entry["like"]] if "like" in entry else {}), **entry}) for name, entry in table.items()
    }


def _aspect(entry: Mapping[str, Any]) -> Aspect:
    values: Mapping[str, Mapping[str, Any]] = {
        str(name): value or {} for name, value in entry.get("values", {}).items()
    }
    return Aspect(
        tuple(map(str, entry.get("columns", ()))),
        tuple(map(str, entry.get("attributes", ()))),
        _judgement(entry.get("silent", "unknown")),
        Phrases((str(phrase), name) for name, value in values.items() for phrase in value.get("terms", ())),
        Phrases(_codes(values)),
        {name: tuple(map(str, value.get("is_a", ()))) for name, value in values.items()},
        tuple(map(str, entry.get("beside", ()))),
        Phrases((str(phrase), True) for phrase in entry.get("unless", ())),
        entry.get("instead"),
        bool(entry.get("exact")),
        bool(entry.get("anywhere")),
        {name: tuple(map(str, value["denies"])) for name, value in values.items() if "denies" in value},
    )


def _codes(values: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for code in (name, *value.get("codes", ()), *value.get("terms", ())):
            yield str(code).replace("_", " "), name


def _judgement(value: object) -> Judgement:
    if value == "unknown":
        return "unknown"
    if value == "supported":
        return "supported"
    if value == "unsupported":
        return "unsupported"
    raise ValueError(f"'silent: {value}' of an aspect can be supported, unknown or unsupported")
