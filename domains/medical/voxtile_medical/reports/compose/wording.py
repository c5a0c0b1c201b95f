"""Wording tables: how findings and measurements are said in a language (`english.yaml`).

Fields of `noun_phrases`, and of `end_phrases`, which stand at the end of a sentence only: name, change, number,
severity, size, side, location (with its preposition: in the upper lobe), where (side and location: in the right upper
lobe). Fields of sentences: finding, a_finding (with its article), ending, is, has, list; measure, region, value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from voxtile.bounded_text import read_yaml
from voxtile.errors import ConfigError

ENGLISH = Path(__file__).with_name("english.yaml")
Style: TypeAlias = Literal["structured", "narrative"]
T = TypeVar("T")
_TABLES = frozenset(
    ["headings", "regions", "names", "plurals", "articles", "verbs", "lists", "values", "sides", "places", "sizes"]
)
_KEYS = _TABLES | {"language", "version", "noun_phrases", "end_phrases", "narrative", "structured"}
_SENTENCES = frozenset(["present", "absent", "absences", "resolved", "uncertain", "measurement"])


@dataclass(frozen=True, eq=False)
class Wording:
    """A wording table.

    Attributes:
        language, version: identify it in the captions table.
        sha256: of the file.
        table: its content.
    """

    language: str
    version: str
    sha256: str
    table: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """Language and version."""
        return f"report-{self.language}@{self.version}"

    def names(self, concept: str) -> Sequence[str]:
        """What a concept is called."""
        names: Sequence[str] = self.table["names"].get(concept) or [concept.replace("_", " ")]
        return names

    @property
    def lesions(self) -> Mapping[str, Any]:
        """How lesions that masks measured are said; a table without words for it takes the English ones."""
        own: Mapping[str, Any] | None = self.table.get("lesions")
        return own if own is not None else load_wording().lesions

    def plural(self, name: str) -> str | None:
        """The plural of a name, None where it has none."""
        plural: str | None = self.table["plurals"].get(name)
        return plural


class Choice:
    """A repeatable choice among wordings: the same key chooses the same."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._count = 0

    def of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self._draw() % len(options)]

    def _draw(self) -> int:
        self._count += 1
        return int.from_bytes(hashlib.sha256(f"{self._key}|{self._count}".encode()).digest()[:8], "big")


@cache
def load_wording(path: Path = ENGLISH) -> Wording:
    """Read a wording table, by its file or, of those that come with voxtile, by name.

    Raises:
        ConfigError: the file is missing or malformed; the sentence names what is missing.
    """
    if not path.suffix and not path.is_file():
        shipped = ENGLISH.parent / f"{path}.yaml"
        if not shipped.is_file():
            raise ConfigError(f"there is no wording table '{path}'; give {ENGLISH.stem}, or a YAML file")
        path = shipped
    content, table = read_yaml(path, "the wording table")
    missing = _KEYS - set(table if isinstance(table, dict) else ())
    if missing:
        raise ConfigError(f"the wording table '{path}' lacks '{sorted(missing)[0]}'; {ENGLISH.name} has all keys")
    for style in ("narrative", "structured"):
        lacking = _SENTENCES - set(table[style] if isinstance(table[style], dict) else ())
        if lacking:
            raise ConfigError(f"the wording table '{path}' lacks '{sorted(lacking)[0]}' under '{style}'")
    if path != ENGLISH:
        _check_shape(table, load_wording().table, f"the wording table '{path}'")
    return Wording(str(table["language"]), str(table["version"]), hashlib.sha256(content).hexdigest(), table)


def _check_shape(given: object, english: object, where: str) -> None:
    """Raise ConfigError where a value is of another kind than in English: of one text for a list, letters are chosen.

    Args:
        given: a part of a table.
        english: what stands there in English, or None where anything may.
        where: the table and the part, for the message.
    """
    if isinstance(english, dict):
        if not isinstance(given, dict):
            raise ConfigError(f"{where}: there must be names with values, as in {ENGLISH.name}")
        kinds = {type(value) for value in english.values()}
        other = next(iter(english.values())) if len(kinds) == 1 else None
        for name, value in given.items():
            _check_shape(value, english.get(name, other), f"{where}, {name}")
    elif isinstance(english, list):
        if not isinstance(given, list) or not given:
            raise ConfigError(f"{where}: there must be a list, as in {ENGLISH.name}")
        if all(isinstance(text, str) for text in english) and not all(isinstance(text, str) for text in given):
            raise ConfigError(f"{where}: there must be a list of texts, as in {ENGLISH.name}")
    elif isinstance(english, str) and not isinstance(given, str):
        raise ConfigError(f"{where}: there must be a text, as in {ENGLISH.name}")
