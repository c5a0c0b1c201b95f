"""From a stored spectrogram to the model's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.data import BasePreset, SampleSource
from voxtile.errors import PresetError


@dataclass(frozen=True, kw_only=True)
class SpectrogramPreset(BasePreset):
    """The whole recording on a grid of frequency and time, its level from a floor to full scale as 0 to 1.

    Attributes:
        bands: rows of the grid; frequencies are averaged.
        frames: columns of the grid, whatever the length of the recording.
        floor_db: level that becomes 0.
        gain_db: training makes a recording louder or softer by up to this.
    """

    bands: int = 32
    frames: int = 64
    floor_db: float = -80.0
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        if min(self.bands, self.frames) < 1 or not self.floor_db < 0 or self.gain_db < 0:
            raise PresetError(
                "bands and frames of a SpectrogramPreset are positive, floor_db is below 0 and gain_db not"
            )

    @property
    def version(self) -> str:
        """Of the tensor that a sample gives."""
        return "1"

    @property
    def channels(self) -> int:
        """One."""
        return 1

    @property
    def grid(self) -> tuple[int, ...]:
        """(bands, frames)."""
        return (self.bands, self.frames)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Refuse what is no spectrogram in dB."""
        for meta in metas:
            if (meta.get("axes"), meta.get("units"), meta.get("modality")) != ("YX", "dB", "AUDIO"):
                raise PresetError(
                    f"this model reads spectrograms in dB, but the corpus holds a {meta.get('modality')} in "
                    f"{meta.get('units')}; choose others with data.where"
                )

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [1, bands, frames] float32 in 0 to 1."""
        [channel] = source.meta["channels"]
        levels = np.asarray(source.array(), np.float32) * channel["scale"] + channel["offset"]
        if rng is not None and self.gain_db:
            levels = levels + rng.uniform(-self.gain_db, self.gain_db)
        shown = torch.from_numpy(np.clip(1 - levels / self.floor_db, 0, 1).astype(np.float32))
        return F.adaptive_avg_pool2d(shown[None, None], self.grid)[0]

    def placed(self, shape: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The grid covers the whole spectrogram."""
        return tuple(have / out for have, out in zip(shape, self.grid, strict=True)), (0.0, 0.0)
