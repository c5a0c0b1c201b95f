"""Short names of classes, as people write them in YAML: each stands for one full name, whatever happens to be imported.

They are for what a person writes. A checkpoint or an export names its classes in full (`voxtile.listed_classes`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from voxtile.domain import ENTRY_POINT_GROUP, discover
from voxtile.errors import ConfigError, nearest

PACKAGES = (
    "voxtile.data", "voxtile.models", "voxtile.objectives", "voxtile.training", "voxtile.evaluation", "voxtile.assist"
)  # fmt: skip


def full_name(name: str) -> str | None:
    """What a short name stands for; None where no package offers such a class.

    Raises:
        ConfigError: classes of two packages have the name.
    """
    paths = offered().get(name, ())
    if len(paths) > 1 and len({id(_imported(path)) for path in paths}) > 1:
        listed = f"'{', '.join(paths[:-1])}' and '{paths[-1]}'".replace(", ", "', '")
        raise ConfigError(f"the class name '{name}' is of several packages, {listed}; write the one that is meant")
    return paths[0] if paths else None


def with_full_names(config: Any) -> Any:  # noqa: ANN401 - what a YAML file holds
    """A description with each short `class_path` in full; all else as it is.

    Raises:
        ConfigError: no package has a class of such a name, or two have.
    """
    if isinstance(config, Mapping):
        return {
            key: _full(value) if key == "class_path" and _is_short(value) else with_full_names(value)
            for key, value in config.items()
        }
    return [with_full_names(value) for value in config] if isinstance(config, list) else config


@cache
def offered() -> Mapping[str, tuple[str, ...]]:
    """Full names of the classes of the core and of installed plugins, by short name."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for path in (*_public(PACKAGES), *_of_plugins()):
        found[path.rpartition(".")[2]][path] = None
    return {name: tuple(paths) for name, paths in found.items()}


def _full(name: str) -> str:
    if (full := full_name(name)) is None:
        raise ConfigError(f"there is no class '{name}'{nearest_class(name)}")
    return full


def nearest_class(name: str) -> str:
    """The question whether one of the offered classes was meant, by its full name; empty where none is near."""
    close = nearest(name, offered())
    return f"; did you mean '{offered()[close.split(chr(39))[1]][0]}'?" if close else ""


def _is_short(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _public(packages: tuple[str, ...]) -> Iterator[str]:
    """Classes that packages offer at their top; functions begin with a small letter."""
    for package in packages:
        names = getattr(importlib.import_module(package), "__all__", ())
        yield from (f"{package}.{name}" for name in names if name[:1].isupper())


def _of_plugins() -> Iterator[str]:
    domains, broken = discover()
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry.name not in {plugin.name for plugin in broken}:
            yield from _public((entry.module.partition(".")[0],))
    for domain in domains.values():
        yield from (target.replace(":", ".") for target in domain.classes)


def _imported(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, path)
    except ImportError:
        return path
