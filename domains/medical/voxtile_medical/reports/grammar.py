"""The language of reports as a table: what denies, doubts, places, grades and compares (`english.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from voxtile.bounded_text import load_yaml
from voxtile.words.phrases import Phrases
from voxtile.words.tokens import normal_form, words_of

ENGLISH = Path(__file__).with_name("english.yaml")
Modifier: TypeAlias = tuple[str, str]  # attribute, value
_LOBE_SIDE, _VERTEBRA = "laterality", "location"


@dataclass(frozen=True)
class Grammar:
    """A compiled language table.

    Attributes:
        version: of the table.
        cues: phrases that deny, doubt, or end a statement; the payload is the key in the table.
        modifiers: phrases that say an attribute; the payload is (attribute, value).
        strong: the breaks that part organs from what is said of them.
        verbs, tails, openers, adjectives: words, see the table.
        numbers: words that count, and how many they say.
    """

    version: str
    cues: Phrases[str]
    modifiers: Phrases[Modifier]
    strong: frozenset[tuple[str, ...]]
    verbs: frozenset[str]
    tails: frozenset[str]
    openers: frozenset[str]
    adjectives: frozenset[str]
    numbers: Mapping[str, int]


@cache
def load_grammar(path: Path = ENGLISH) -> Grammar:
    """Read and compile a language table."""
    data = load_yaml(path.read_text(encoding="utf-8"))
    breaks = data["breaks"]
    cues = [(phrase, kind) for kind, phrases in data["polarity"].items() for phrase in phrases]
    cues += [(phrase, "break") for phrase in breaks["hard"]]
    return Grammar(
        version=str(data["version"]),
        cues=Phrases(cues),
        modifiers=Phrases(_modifiers(data)),
        strong=frozenset(words_of(phrase).words for phrase in breaks["strong"]),
        verbs=_words(breaks["verbs"]),
        tails=_words(breaks["tails"]),
        openers=_words(breaks["openers"]),
        adjectives=_words(breaks["adjectives"]),
        numbers=data["numbers"],
    )


def _words(texts: list[str]) -> frozenset[str]:
    return frozenset(normal_form(text) for text in texts)


def _modifiers(data: dict[str, Any]) -> list[tuple[str, Modifier]]:
    tables = {"laterality": "laterality", "places": "location", "severity": "severity", "change": "change"}
    tables["number"] = "number"
    found = [
        (phrase, (attribute, value))
        for table, attribute in tables.items()
        for value, phrases in data[table].items()
        for phrase in phrases
    ]
    found += [(lobe, (_LOBE_SIDE, side)) for lobe, side in data["sides_of_lobes"].items()]
    for letter, count in data["vertebrae"].items():
        found += [(f"{letter}{number}", (_VERTEBRA, f"{letter}{number}")) for number in range(1, count + 1)]
    return found
