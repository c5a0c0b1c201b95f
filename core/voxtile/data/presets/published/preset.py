"""The preprocessing of a published model by its name, for `data.preset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from voxtile.data.presets.base import BasePreset, Preset, SampleSource
from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.published.table import published


def published_preset(model: str, changes: Mapping[str, Any] | None = None) -> Preset:
    """The preprocessing of a published model.

    Args:
        model: name of `docs/models.md`.
        changes: arguments of its preset that shall be others, such as `augment`.

    Raises:
        ConfigError: no such model.
        PresetError: a change that its preset does not know.
    """
    config = published(model).preset
    arguments = {**config["init_args"], **(changes or {})}
    return preset_from_config({"class_path": config["class_path"], "init_args": arguments})


@dataclass(frozen=True, kw_only=True)
class PublishedPreset(BasePreset):
    """The preprocessing of a published model by name; what it is called with is that model's preset.

    A checkpoint holds that preset with all of its settings, so that a later table changes nothing.

    Attributes:
        model: name of `docs/models.md`, such as `merlin`.
        changes: arguments of its preset that shall be others, such as `augment` or `modalities`.

    Examples:
        >>> from voxtile.data import PublishedPreset
        >>> PublishedPreset(model="merlin").grid
        (224, 224, 160)
        >>> PublishedPreset(model="chexzero").to_config()["class_path"]
        'voxtile.data.PublishedPicture'
    """

    model: str
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _ = self.named

    @cached_property
    def named(self) -> Preset:
        """The preset itself."""
        return published_preset(self.model, self.changes)

    @property
    def version(self) -> str:
        """That of the preset itself."""
        return self.named.version

    @property
    def channels(self) -> int:
        """Number of channels of the output."""
        return self.named.channels

    @property
    def grid(self) -> tuple[int, ...]:
        """Spatial shape of the output."""
        return self.named.grid

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing that a corpus cannot satisfy."""
        self.named.check(metas)

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, *grid] float32."""
        return self.named(source, rng)

    def to_config(self) -> dict[str, Any]:
        """The description of the preset itself."""
        return self.named.to_config()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what else the preset itself has
        if name.startswith("_") or name == "named":
            raise AttributeError(name)
        return getattr(self.named, name)
