"""The table of published models: `models.yaml` beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError, nearest

Opened: TypeAlias = Literal["pair", "image"]
"""What voxtile opens of a model: both towers, or the image tower."""

_TABLE = Path(__file__).with_name("models.yaml")


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A model that others have published.

    Attributes:
        name: how it is called here.
        title: how its authors call it.
        reads: what its images are.
        preset: class and arguments of its preprocessing.
        opened: what voxtile opens.
        tower: what opening it needs: architecture of open_clip, or class and arguments of a tower; of a pair whose text
            side has a tokenizer of its own, also its name and where on the hub that tokenizer is.
        layout: of the keys of its file: `open_clip` or `transformers`.
        hub: repository of the Hugging Face hub, where there is one, and the file in it.
        folder: whether a folder with configuration and tokenizer is opened rather than one file.
        weights: licence of the weights, and where they are.
        code: licence of the code, and where it is.
        unusual: what of the preprocessing one would not expect.
        checked: against what, and how close.
    """

    name: str
    title: str
    reads: str
    preset: Mapping[str, Any]
    opened: Opened
    weights: str
    code: str
    checked: str
    unusual: str = ""
    tower: Mapping[str, Any] = field(default_factory=dict)
    layout: Literal["open_clip", "transformers"] = "open_clip"
    hub: str | None = None
    folder: bool = False


@cache
def published_models() -> Mapping[str, PublishedModel]:
    """All of them by name, in the order of the table."""
    content = load_yaml(_TABLE.read_text("utf-8"))
    return MappingProxyType({name: PublishedModel(name=name, **row) for name, row in content["models"].items()})


def published(name: str) -> PublishedModel:
    """A model by name.

    Raises:
        ConfigError: no such model; the message has the nearest name.
    """
    table = published_models()
    if name not in table:
        near = nearest(name, list(table)) or f"; there are {', '.join(table)}"
        raise ConfigError(f"no published model is called '{name}'{near}")
    return table[name]
