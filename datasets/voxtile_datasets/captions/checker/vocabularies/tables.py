"""Tables of vocabulary files as what claims are found and judged by: concepts, pairs of words, phrases.

The syntax of phrases is that of `voxtile.words.phrases`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from voxtile.words.phrases import Phrases
from voxtile_datasets.captions.checker.verb_forms import forms_of

Pair: TypeAlias = tuple[str, str]  # structure, quality
FINDING = " finding"  # of a region


@dataclass(frozen=True)
class Concept:
    """Something that a picture can show.

    Attributes:
        name: as facts call it.
        aliases: other names in facts.
        is_a: more general concepts: whatever shows this shows them.
        kin: concepts that are easily told of the same thing; where a fact states one of them, this is not known.
        excludes: concepts that cannot be where this one is.
        denies: concepts that its denial denies, too.
        is_diagnosis: where the facts state only something more general, it is not merely unknown but unsupported.
        is_healthy: a part of a normal picture, such as a tissue or a device, and no finding.
        has: concepts that belong to it: a forest has trees.
        unless: phrases beside a name of it that make it something else.
        part_of: concepts whose part it is: whatever shows them shows it, and facts of them hold its colour and number.
        is_optional: a part that its whole may lack, so that it is there only where a fact says so.
        share_of: a concept of which it says how much there is, from `share` to `share`: an overcast sky of cloud.
        is_recorded: whether a record states it and no look at the picture: a season, a resolution.
    """

    name: str
    aliases: tuple[str, ...] = ()
    is_a: tuple[str, ...] = ()
    kin: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    is_diagnosis: bool = False
    is_healthy: bool = False
    unless: Phrases[bool] | None = field(default=None, compare=False)
    part_of: tuple[str, ...] = ()
    is_optional: bool = False
    share_of: str | None = None
    share: tuple[float, float] = (0.0, 1.0)
    is_recorded: bool = False


def with_regions(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Concepts with what is more general by where they are: a nodule with the region `lungs` is a `lungs finding`."""
    found = {name: dict(entry) for name, entry in entries.items()}
    for entry in list(found.values()):
        if (region := entry.get("region")) and region != "general":
            name = f"{region}{FINDING}"
            entry["is_a"] = [*entry.get("is_a", ()), name]
            found.setdefault(name, {})
    return found


def concepts_of(entries: Mapping[str, Mapping[str, Any]], exclusive: Sequence[Sequence[str]]) -> dict[str, Concept]:
    """Concepts by name.

    Args:
        entries: name → what the files say of it.
        exclusive: lists of names of which one at most is true.
    """
    apart: dict[str, set[str]] = defaultdict(set)
    for group in exclusive:
        for name in group:
            apart[name] |= set(group) - {name}
    found = {}
    for name, entry in entries.items():
        texts: dict[str, Any] = {
            key: tuple(str(t) for t in entry.get(key, ()))
            for key in ("aliases", "is_a", "kin", "excludes", "denies", "has", "part_of")
        }
        texts["excludes"] = (*texts["excludes"], *sorted(apart[name]))
        unless = Phrases((str(phrase), True) for phrase in entry["unless"]) if entry.get("unless") else None
        low, high = entry.get("share", (0.0, 1.0))
        found[name] = Concept(
            name,
            **texts,
            unless=unless,
            share_of=entry.get("share_of"),
            share=(float(low), float(high)),
            is_diagnosis=bool(entry.get("diagnosis")),
            is_healthy=bool(entry.get("healthy")),
            is_recorded=bool(entry.get("recorded")),
            is_optional=bool(entry.get("optional")),
        )
    return found


def pairs_of(entries: Mapping[str, Mapping[str, Any]]) -> dict[Pair, tuple[str, ...]]:
    """Concepts that a structure and a quality name together."""
    found: dict[Pair, tuple[str, ...]] = {}
    for name, entry in entries.items():
        for structure, quality in entry.get("pairs", ()):
            found[structure, quality] = (*found.get((structure, quality), ()), name)
    return found


def values_of_concepts(table: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """Concept → values, of a table of value → concepts."""
    found: dict[str, set[str]] = defaultdict(set)
    for value, concepts in table.items():
        for concept in concepts:
            found[str(concept)].add(value)
    return {concept: frozenset(values) for concept, values in found.items()}


def phrases_said(table: Mapping[str, Sequence[str]], key: str) -> Phrases[bool]:
    """Phrases under one key of a table."""
    return Phrases((str(phrase), True) for phrase in table.get(key, ()))


def phrases_of(table: Mapping[str, Sequence[str]]) -> Phrases[str]:
    """Phrases, each with the name that it stands under."""
    return Phrases(_rows(table))


def phrases_of_places(places: Mapping[str, Sequence[str]], levels: Mapping[str, int]) -> Phrases[str]:
    """Phrases of places, and numbered ones: of levels `{L: 5}` L1 to L5."""
    numbered = [f"{letter}{n}" for letter, count in levels.items() for n in range(1, int(count) + 1)]
    return Phrases([*_rows(places), *((name, name) for name in numbered)])


def phrases_beyond(said: Mapping[str, Sequence[str]], acts: Mapping[str, Sequence[str]]) -> Phrases[str]:
    """Phrases of what no picture shows, and verbs in all their forms."""
    verbs = [(form, name) for name, verbs in acts.items() for verb in verbs for form in forms_of(str(verb))]
    return Phrases([*_rows(said), *verbs])


def both_ways(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Name → all that it is paired with, first or second."""
    found: dict[str, set[str]] = defaultdict(set)
    for first, second in pairs:
        found[first].add(second)
        found[second].add(first)
    return {name: frozenset(others) for name, others in found.items()}


def key_of_name(name: str) -> str:
    """A name as names are compared."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _rows(table: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(str(phrase), name) for name, phrases in table.items() for phrase in phrases]
