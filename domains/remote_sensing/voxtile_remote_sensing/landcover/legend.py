"""Legends of land-cover rasters: what each value means, from YAML with a name, a version and its source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError

_FOLDER = Path(__file__).with_name("legends")
_NEEDED = frozenset({"legend", "version", "title", "source", "licence", "nodata", "classes"})


@dataclass(frozen=True)
class Legend:
    """A legend.

    Attributes:
        name, version: its identity, as `name@version`.
        sha256: of the file.
        title: one line for people.
        source, licence: where the classes come from, and the terms of the product.
        concepts: in the file's order.
        values: raster value → concept; several values may stand for one.
        nodata: values that say nothing.
    """

    name: str
    version: str
    sha256: str
    title: str
    source: str
    licence: str
    concepts: tuple[str, ...]
    values: Mapping[int, str]
    nodata: frozenset[int]

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"


def legend_names() -> tuple[str, ...]:
    """Legends that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load_legend(name: str) -> Legend:
    """Read a legend.

    Args:
        name: one of `legend_names()`, or the path of a YAML file.

    Raises:
        ConfigError: there is none, or the file is malformed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no legend '{name}'; give one of {', '.join(legend_names())}, or a YAML file")
    data = path.read_bytes()
    try:
        content = load_yaml(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the legend '{path}' cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content.keys() >= _NEEDED or content.keys() - _NEEDED - {"codes"}:
        raise ConfigError(f"the legend '{path}' must be a mapping with the keys {', '.join(sorted(_NEEDED))}")
    values = _values(content["classes"], content.get("codes") or {}, str(path))
    nodata = frozenset(_codes(content["nodata"], "nodata", str(path)))
    if nodata & values.keys():
        raise ConfigError(f"the legend '{path}' gives {min(nodata & values.keys())} both as a class and as no data")
    return Legend(
        name=str(content["legend"]),
        version=str(content["version"]),
        sha256=hashlib.sha256(data).hexdigest(),
        title=str(content["title"]),
        source=str(content["source"]),
        licence=str(content["licence"]),
        concepts=tuple(dict.fromkeys(content["classes"].values())),
        values=values,
        nodata=nodata,
    )


def _values(classes: Any, codes: Any, where: str) -> dict[int, str]:  # noqa: ANN401
    if not isinstance(classes, dict) or not all(isinstance(k, int) and isinstance(v, str) for k, v in classes.items()):
        raise ConfigError(f"the legend '{where}': classes map whole numbers to names")
    values = dict(classes)
    if not isinstance(codes, dict):
        raise ConfigError(f"the legend '{where}': codes map classes to lists of whole numbers")
    for value, others in codes.items():
        for other in _codes(others, f"codes of class {value!s:.40}", where):
            if value not in classes or values.setdefault(other, classes[value]) != classes[value]:
                raise ConfigError(f"the legend '{where}': the code {other} of class {value} is taken or has no class")
    return values


def _codes(found: object, what: str, where: str) -> list[int]:
    if not isinstance(found, list) or not all(isinstance(code, int) for code in found):
        raise ConfigError(f"the legend '{where}': {what} must be a list of whole numbers")
    return found
