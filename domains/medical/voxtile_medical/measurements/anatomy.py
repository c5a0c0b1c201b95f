"""What the phrase of a region names: an organ, a vessel, a part of an organ, or a finding, and its side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from voxtile.bounded_text import load_yaml

Kind = Literal["organ", "vessel", "part", "bone", "other", "finding", "unknown"]
SIDES = ("left", "right")
_TABLE = Path(__file__).with_name("anatomy.yaml")
_SHORT_SIDES = {"l": "left", "lt": "left", "r": "right", "rt": "right"}


@dataclass(frozen=True)
class Named:
    """What a phrase names.

    Attributes:
        name: of the structure (`kidney`), or the finding's words without its side (`renal stone`).
        kind: what it is; `unknown` where the phrase names nothing that the table knows.
        side: left, right, or None where the phrase says none.
        organ: the organ that a part or a finding belongs to, where the phrase says so.
        level: number or level of a rib or vertebra.
        carcinoma: a finding that is staged as a carcinoma of the pancreas if it lies there.
    """

    name: str
    kind: Kind
    side: str | None = None
    organ: str | None = None
    level: str | None = None
    carcinoma: bool = False

    @property
    def full(self) -> str:
        """The name with its side and level: `left kidney`, `vertebrae L1`."""
        return " ".join(part for part in (self.side, self.name, self.level and self.level.upper()) if part)


@dataclass(frozen=True)
class Anatomy:
    """The table of structures.

    Attributes:
        version: of the table.
        names: normalised name or alias → structure.
        structures: structure → its entry.
        numbered: structure → pattern with the number or level.
        adjectives: adjective → structure.
        findings: words that make a phrase a finding.
        carcinoma: those that are staged in the pancreas.
    """

    version: str
    names: Mapping[str, str]
    structures: Mapping[str, Mapping[str, Any]]
    numbered: Mapping[str, re.Pattern[str]]
    adjectives: Mapping[str, str]
    findings: frozenset[str]
    carcinoma: frozenset[str]

    def read(self, phrase: str) -> Named:
        """Read the phrase of a region in any of the usual spellings: `kidney_left`, `Left kidney`, `Kidney L`."""
        words = [word for word in re.split(r"[^a-z0-9]+", phrase.casefold()) if word]
        if len(words) > 1 and words[-1] in _SHORT_SIDES:
            words[-1] = _SHORT_SIDES[words[-1]]
        side = next((word for word in words if word in SIDES), None)
        bare = [word for word in words if word not in SIDES]
        if self.findings & {_singular(word) for word in bare} | self.findings & set(bare):
            tokens = {_singular(word) for word in bare} | set(bare)
            return Named(" ".join(bare), "finding", side, self._organ_in(bare), carcinoma=bool(self.carcinoma & tokens))
        text = " ".join(bare)
        for structure, pattern in self.numbered.items():
            if match := pattern.match(text):
                return self._structure(structure, side, level=match.group(1))
        known = self.names.get(text) or self.names.get(_singular(text))
        return self._structure(known, side) if known else Named(text or phrase, "unknown", side)

    def is_paired(self, named: Named) -> bool:
        """The structure is an organ or vessel that exists on both sides."""
        return named.kind in ("organ", "vessel") and bool(self.structures[named.name].get("paired"))

    def _structure(self, name: str, side: str | None, level: str | None = None) -> Named:
        entry = self.structures[name]
        return Named(name, entry["kind"], side, entry.get("of"), level)

    def _organ_in(self, words: list[str]) -> str | None:
        """The structure that a finding's words name, longest name first."""
        for size in range(len(words), 0, -1):
            for start in range(len(words) - size + 1):
                text = " ".join(words[start : start + size])
                known = self.names.get(text) or self.names.get(_singular(text)) or self.adjectives.get(text)
                if known:
                    return str(self.structures[known].get("of") or known)
        return None


@cache
def load_anatomy(path: Path = _TABLE) -> Anatomy:
    """The table that ships with voxtile."""
    table = load_yaml(path.read_text("utf-8"))
    names: dict[str, str] = {}
    for name, entry in table["structures"].items():
        for alias in (name, *entry.get("aliases", ())):
            names[alias] = name
    return Anatomy(
        table["version"],
        names,
        table["structures"],
        {name: re.compile(pattern) for name, pattern in table["numbered"].items()},
        table["adjectives"],
        frozenset(table["findings"]),
        frozenset(table["pancreatic_carcinoma"]),
    )


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
