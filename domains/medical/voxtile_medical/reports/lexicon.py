"""A versioned lexicon of findings: what each is called, and what statement of normality denies it.

A concept has `terms` (regular expressions that name it), `pairs` ([anatomy, property]: both in one clause, anatomy
first or after), and `normal` ([anatomy, normal property]: denies it). `unless` drops a mention whose sentence matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from voxtile.errors import InputError
from voxtile_medical.reports.polarity import Polarity, polarity

LEXICON = Path(__file__).with_name("ct_lexicon.yaml")
_CLAUSE = re.compile(r"[^;:]+")
_GAP = r"[^.;:]{0,60}?"


@dataclass(frozen=True)
class Mention:
    """One mention of a concept: its polarity and the matched words."""

    concept: str
    polarity: Polarity
    words: str
    laterality: str | None = None


@dataclass(frozen=True)
class Concept:
    """Compiled patterns of one finding."""

    name: str
    terms: tuple[re.Pattern[str], ...]
    normal: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None


@dataclass(frozen=True)
class Lexicon:
    """All concepts, with the version that facts record."""

    version: str
    concepts: tuple[Concept, ...]

    def mentions(self, sentence: str) -> Iterator[Mention]:
        """Yield at most one mention a concept and clause: a denial by normality counts as absent."""
        for clause in _CLAUSE.findall(sentence):
            for concept in self.concepts:
                if concept.unless is not None and concept.unless.search(clause):
                    continue
                found = _first(concept.terms, clause)
                if found is not None:
                    # In a pair ("heart … not enlarged") the words between are judged too: look from the property.
                    verdict = polarity(clause, *found.span("property" if found.re.groups else 0))
                    yield Mention(concept.name, verdict, found.group(), _laterality(clause))
                    continue
                normal = _first(concept.normal, clause)
                if normal is not None:
                    yield Mention(concept.name, "absent", normal.group())


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> re.Match[str] | None:
    return next((m for m in (p.search(text) for p in patterns) if m), None)


def _laterality(clause: str) -> str | None:
    sides = {s.lower() for s in re.findall(r"\b(left|right|bilateral|both)\b", clause, re.IGNORECASE)}
    if sides & {"bilateral", "both"} or sides == {"left", "right"}:
        return "bilateral"
    return sides.pop() if sides else None


@cache
def load_lexicon(path: Path = LEXICON) -> Lexicon:
    """Read and compile a lexicon file.

    Raises:
        InputError: it is missing, or not a lexicon.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Lexicon(str(data["version"]), tuple(_compile(name, entry) for name, entry in data["concepts"].items()))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, re.error) as error:
        raise InputError(
            f"lexicon '{path}' cannot be read ({error}); it needs a version and concepts with terms, see {LEXICON.name}"
        ) from error


def _compile(name: str, entry: dict[str, list[str] | list[list[str]] | str]) -> Concept:
    flags = re.IGNORECASE
    terms = [re.compile(rf"\b(?:{t})\b", flags) for t in entry.get("terms", [])]
    terms += [re.compile(p, flags) for pair in entry.get("pairs", []) for p in _either_order(*pair)]
    normal = [re.compile(p, flags) for pair in entry.get("normal", []) for p in _either_order(*pair)]
    unless = entry.get("unless")
    return Concept(name, tuple(terms), tuple(normal), re.compile(rf"\b(?:{unless})\b", flags) if unless else None)


def _either_order(anatomy: str, quality: str) -> tuple[str, str]:
    return (
        rf"\b(?:{anatomy})\b{_GAP}\b(?P<property>{quality})\b",
        rf"\b(?P<property>{quality})\b{_GAP}\b(?:{anatomy})\b",
    )
