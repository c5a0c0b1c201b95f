"""What is said of places of a country whose name a row holds: adjectives, its continent and its part of that."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_yaml
from voxtile.words.tokens import words_of

_FILE = Path(__file__).with_name("countries.yaml")
_KEYS = frozenset(["adjectives"])


def words_for_country(name: str) -> frozenset[str]:
    """Words in normal form that a text may use of places of a country; none of a name that is no country's.

    Args:
        name: of the country in English, or an adjective of it, as a row has it.
    """
    return _table().get(" ".join(words_of(name.replace("_", " ")).words), frozenset())


@cache
def _table() -> dict[str, frozenset[str]]:
    data: dict[str, Any] = load_yaml(_FILE.read_text(encoding="utf-8"))
    said: dict[str, list[str]] = {name: [name, *map(str, forms)] for name, forms in data["adjectives"].items()}
    for continent, entry in data.items():
        if continent in _KEYS:
            continue
        for part, names in entry["regions"].items():
            for name in names:
                said.setdefault(name, [name]).extend([continent, entry["adjective"], part, f"{part}ern"])
        for word, names in entry["also"].items():
            for name in names:
                said.setdefault(name, [name]).extend([word, continent, entry["adjective"]])
    found: dict[str, frozenset[str]] = {}
    for name, texts in said.items():
        words = frozenset(word for text in texts for word in words_of(text).words)
        for form in (name, *data["adjectives"].get(name, ())):
            found.setdefault(" ".join(words_of(form).words), words)
    return found
