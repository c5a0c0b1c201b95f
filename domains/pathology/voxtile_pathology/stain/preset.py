"""Preprocessing of histology patches: the picture preset, and in training other stains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voxtile.data.presets.base import SampleSource
from voxtile.data.presets.image import ImagePreset
from voxtile.errors import PresetError
from voxtile_pathology.stain.augment import StainAugment


@dataclass(frozen=True, kw_only=True)
class HistologyPreset(ImagePreset):
    """A patch in the model's grid.

    Attributes:
        stain: random change of stain in training; evaluation is that of `ImagePreset`.
    """

    stain: StainAugment = field(default_factory=StainAugment)

    def __post_init__(self) -> None:
        if isinstance(self.stain, Mapping):
            object.__setattr__(self, "stain", StainAugment(**self.stain))
        super().__post_init__()
        if self.stain.method != "none" and self.channels != 3:
            raise PresetError("stain: a change of stain needs channels: 3")

    def pixels(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """As `ImagePreset.pixels`; random, stain included, only with `rng`."""
        out = super().pixels(source, rng)
        if rng is None or self.stain.method == "none":
            return out
        if out.dtype != torch.uint8:
            raise PresetError("stain: a change of stain needs 8-bit pictures, but the corpus holds other arrays")
        changed = self.stain(np.ascontiguousarray(out.permute(1, 2, 0).numpy()), rng)
        return torch.from_numpy(changed).permute(2, 0, 1).contiguous()
