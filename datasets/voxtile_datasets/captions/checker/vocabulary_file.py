"""Vocabulary files: YAML, one or more a domain, read and joined with what they include.

The syntax of phrases is that of `voxtile.words.phrases`: `(a|b)` is a choice, `[a]` may be left out. A file may include
files that other readers of the domain use; keys that only those need are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml, of_known_form
from voxtile.errors import ConfigError, cause_of

_KEYS = frozenset(
    ["vocabulary", "version", "include", "about", "concepts", "anatomy", "normal", "qualities", "complete", "places",
     "near", "exclusive", "levels", "measures", "imaging", "beyond", "acts", "implied_places", "natural", "alike",
     "wordings"]  # further phrases of a reader of reports, which no caption is judged by
)  # fmt: skip
_ABOUT = frozenset(["patients", "sides", "grades"])
_LARGEST = 4 << 20  # bytes


@dataclass
class Joined:
    """The content of several files, one key after the other.

    Attributes:
        names: identities of the files, `name@version`.
        sha256: of all bytes read, in order.
        tables: key → entry name → what the files say of it; lists of an entry that is in two files are joined.
        exclusive: lists of concepts of which one at most is true.
        implied_places: places that a finding can have without a fact that says so.
        alike: lists of concepts that are taken for each other.
        about: what the texts are about, see `Vocabulary`.
    """

    names: list[str] = field(default_factory=list)
    sha256: str = ""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    exclusive: list[list[str]] = field(default_factory=list)
    alike: list[list[str]] = field(default_factory=list)
    about: set[str] = field(default_factory=set)
    implied_places: set[str] = field(default_factory=set)


def read_files(files: Sequence[Path]) -> Joined:
    """Read vocabulary files and what they include, each once.

    Raises:
        ConfigError: a file is missing or malformed; the sentence names it.
    """
    with of_known_form(f"the vocabulary {', '.join(map(repr, map(str, files)))}"):
        return _joined(files)


def _joined(files: Sequence[Path]) -> Joined:
    joined, digest = Joined(), hashlib.sha256()
    for path, data, content in _with_included(files):
        digest.update(content)
        if "vocabulary" in data:
            joined.names.append(f"{data['vocabulary']}@{data.get('version', '1')}")
        joined.implied_places |= set(map(str, _list(data, "implied_places", path)))
        joined.about |= set(_list(data, "about", path))
        joined.alike += [list(map(str, group)) for group in _list(data, "alike", path)]
        joined.exclusive += [list(map(str, group)) for group in _list(data, "exclusive", path)]
        for key in (
            "concepts",
            "anatomy",
            "normal",
            "qualities",
            "places",
            "near",
            "complete",
            "levels",
            "imaging",
            "beyond",
            "acts",
            "natural",
        ):
            _merge(joined.tables.setdefault(key, {}), data.get(key) or {}, f"{path}, {key}")
    unknown = joined.about - _ABOUT
    if unknown:
        raise ConfigError(f"vocabularies say 'about: {sorted(unknown)[0]}'; it can be {', '.join(sorted(_ABOUT))}")
    joined.sha256 = digest.hexdigest()
    return joined


def _with_included(files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any], bytes]]:
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = Path(waiting.pop(0))
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        data, content = _load(path)
        yield path, data, content
        waiting[:0] = [path.parent / str(name) for name in _list(data, "include", path)]


def _load(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"the vocabulary '{path}' is larger than 4 MiB; split it")
        content = path.read_bytes()
        data = load_yaml(content)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the vocabulary '{path}' cannot be read: {cause_of(error)}") from error
    if not isinstance(data, dict) or not data.keys() <= _KEYS:
        extra = sorted(set(data) - _KEYS)[:1] if isinstance(data, dict) else ["no mapping"]
        raise ConfigError(f"the vocabulary '{path}' has '{extra[0]}'; its keys can be {', '.join(sorted(_KEYS))}")
    return data, content


def _list(data: dict[str, Any], key: str, path: Path) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise ConfigError(f"the vocabulary '{path}' needs a list under '{key}'")
    return value


def _merge(into: dict[str, Any], more: Any, where: str) -> None:  # noqa: ANN401
    """Join mappings of lists and mappings, the lists one after the other."""
    if not isinstance(more, dict):
        raise ConfigError(f"the vocabulary {where} must be a mapping")
    for name, entry in more.items():
        key = str(name)
        known = into.get(key)
        if isinstance(known, list) and isinstance(entry, list):
            into[key] = [*known, *(item for item in entry if item not in known)]
        elif isinstance(known, dict) and isinstance(entry, dict):
            copy = dict(known)
            _merge(copy, entry, f"{where}, {key}")
            into[key] = copy
        else:
            into[key] = entry
