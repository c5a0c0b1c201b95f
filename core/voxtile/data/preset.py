"""What a preset is: the preprocessing that belongs to a model and travels inside its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor


class SampleSource(Protocol):
    """A sample as the loader and the evaluation see it: metadata now, pixels on demand."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Columns that presets use: kind, modality, axes, shape, dtype, units, channels, affine, spacing, mpp."""

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        """Stored values of an array sample; with a selection only the chunks that it touches are read."""

    def encoded(self) -> bytes:
        """The JPEG or PNG bytes of a picture sample."""


class Preset(Protocol):
    """Turns a stored sample into the model's input tensor. Versioned; serialised as {"class_path", "init_args"}."""

    @property
    def version(self) -> str:
        """Bumped whenever the tensor for the same sample changes."""

    @property
    def channels(self) -> int:
        """Number of channels of the output."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Spatial shape of the output: (Y, X) or (Z, Y, X)."""

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing (units, channels, modality, kind) that a corpus cannot satisfy."""

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, *grid] float32. Nothing is random with `rng` None (evaluation); else it crops and augments."""

    def to_config(self) -> dict[str, Any]:
        """JSON-able {"class_path": …, "init_args": …} that `preset_from_config` turns back."""
