"""What embeds pictures: a model with its own transforms, found by name.

A name is a checkpoint of ours, `open_clip:NAME[/PRETRAINED]`, `timm:NAME`, `hf:ORG/REPO`, or a folder that holds a
model of one of these kinds.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from voxtile.data.preset import SampleSource
from voxtile.errors import ConfigError


class Extractor(Protocol):
    """A model that turns samples into vectors."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    @property
    def width(self) -> int:
        """Length D of a vector."""

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing that a corpus cannot satisfy."""

    def prepare(self, source: SampleSource) -> Tensor:
        """The input [C, *G] of one sample, by the model's own transforms; nothing is random."""

    def encode(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, D] float32 on the CPU. No gradient, evaluation mode."""


# Prefix → "module:function" that takes what follows it.
HUBS: Mapping[str, str] = MappingProxyType(
    {
        "open_clip": "voxtile.embed.own:open_clip_extractor",
        "timm": "voxtile.embed.timm_model:timm_extractor",
        "hf": "voxtile.embed.hub:hub_extractor",
    }
)


def load_extractor(spec: str) -> Extractor:
    """Load a model by name; on a GPU where there is one.

    Raises:
        ConfigError: no such model, or a folder that holds none.
        CheckpointError: its weights cannot be loaded safely.
        MissingExtraError: a library that it needs is not installed.
    """
    path = Path(spec)
    if path.is_dir():
        return _load("voxtile.embed.hub:folder_extractor", path)
    if path.is_file():
        return _load("voxtile.embed.own:checkpoint_extractor", path)
    hub, colon, name = spec.partition(":")
    if not colon or hub not in HUBS or not name:
        known = ", ".join(f"{prefix}:NAME" for prefix in HUBS)
        raise ConfigError(f"'{spec}' is no model: there is no such file or folder, and names are {known}")
    return _load(HUBS[hub], name)


def short_name(path: Path, content: bytes) -> str:
    """A name for a local model: what it is called, and a hash of what it is; no folder of this machine."""
    return f"{path.stem or path.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def _load(target: str, name: str | Path) -> Extractor:
    module, _, function = target.partition(":")
    make: Callable[[str | Path], Extractor] = getattr(importlib.import_module(module), function)
    return make(name)
