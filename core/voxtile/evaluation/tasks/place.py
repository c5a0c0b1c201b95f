"""Places in a task file: typed look-ups whose errors name the file, the key and the nearest right word."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """A place in a task file, for typed look-ups whose errors name it.

    Examples:
        >>> from voxtile.evaluation import Place
        >>> place = Place("tasks/mine.yaml").at("classes")
        >>> place.words({"names": ["nodule", "mass"]}, "names")
        ('nodule', 'mass')
        >>> str(place.at("unit").error("expected sample or study"))
        "task file 'tasks/mine.yaml', at classes.unit: expected sample or study"
    """

    file: str
    path: str = ""
    what: str = "task file"

    def at(self, key: str) -> Place:
        """The place of a key below this one."""
        return Place(self.file, f"{self.path}.{key}" if self.path else key, self.what)

    def error(self, text: str) -> ConfigError:
        """An error that names the file and the place."""
        return ConfigError(f"{self.what} '{self.file}'{f', at {self.path}' if self.path else ''}: {text}")

    def mapping(self, value: object, keys: Collection[str]) -> Mapping[str, Any]:
        """The value, if it is a mapping with no other keys than these."""
        if not isinstance(value, dict):
            raise self.error(f"expected a mapping, found {shown(value)}")
        for key in value:
            if key not in keys:
                raise self.error(f"unknown key '{key}'; {nearest(str(key), keys)}")
        return value

    def text(self, mapping: Mapping[str, Any], key: str, default: str) -> str:
        """The text under a key."""
        value = mapping.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.at(key).error(f"expected a text, found {shown(value)}; put it in quotes")
        return value.strip()

    def flag(self, mapping: Mapping[str, Any], key: str) -> bool:
        """The switch under a key; false where there is none."""
        value = mapping.get(key, False)
        if not isinstance(value, bool):
            raise self.at(key).error(f"expected true or false, found {shown(value)}")
        return value

    def words(self, mapping: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """The list of words under a key; none where there is no such key."""
        value = mapping.get(key) or []
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise self.at(key).error(f"expected a list of words, found {shown(value)}")
        return tuple(value)

    def choice(self, mapping: Mapping[str, Any], key: str, choices: Collection[str], default: str | None) -> Any:  # noqa: ANN401
        """The word under a key, if it is one of the choices."""
        value = mapping.get(key, default)
        if value not in choices:
            raise self.at(key).error(f"'{value}' is not a choice; {nearest(str(value), choices)}")
        return value


def nearest(word: str, choices: Collection[str]) -> str:
    """The hint of an error message: the nearest valid word, or all of them."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(choices)}"


def shown(value: object) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
