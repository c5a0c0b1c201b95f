"""Deterministic parts of samples kept in memory, shared by all loader processes of a rank."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import psutil
import torch
from torch import Tensor

from voxtile.data.presets.base import SampleSource
from voxtile.data.presets.roles import StudySource
from voxtile.errors import ConfigError

_SHARE_OF_FREE_MEMORY = 0.8


@runtime_checkable
class CacheablePreset(Protocol):
    """A preset whose costly part is deterministic: `preset(source, rng)` equals `finish(base(source), rng)`."""

    @property
    def cacheable(self) -> bool:
        """Whether that holds for its settings."""

    @property
    def base_shape(self) -> tuple[int, ...]:
        """Shape of every base."""

    @property
    def base_dtype(self) -> torch.dtype:
        """Type of every base."""

    def base(self, source: SampleSource) -> Tensor:
        """The deterministic part, of `base_shape` and `base_dtype`."""

    def finish(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """The rest: [C, *grid], as the preset gives it."""


@runtime_checkable
class CacheableStudies(Protocol):
    """The same of a preset that reads whole studies (`voxtile.data.presets.roles.StudyReader`)."""

    @property
    def base_shape(self) -> tuple[int, ...]:
        """Shape of every base."""

    @property
    def base_dtype(self) -> torch.dtype:
        """Type of every base."""

    def study_base(self, source: StudySource) -> Tensor:
        """The deterministic part, of `base_shape` and `base_dtype`."""

    def finish_study(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """The rest: [C, *grid], as the preset gives it."""


class BaseCache:
    """Anonymous shared memory that forked workers fill on first use; the same bytes whoever fills a slot.

    Args:
        rows: row numbers that will be asked for, or study numbers where the preset reads studies.
        preset: gives shape and type.

    Raises:
        ConfigError: the preset cannot be cached, or the memory would not suffice.
    """

    def __init__(self, rows: range, preset: object) -> None:
        if not isinstance(preset, CacheableStudies) and not (isinstance(preset, CacheablePreset) and preset.cacheable):
            raise ConfigError(
                f"cache_in_memory: {type(preset).__name__} has no deterministic part with these settings; "
                "take the centre crop or turn the cache off"
            )
        item = math.prod(preset.base_shape) * preset.base_dtype.itemsize
        needed, free = item * len(rows), psutil.virtual_memory().available
        if needed > _SHARE_OF_FREE_MEMORY * free:
            raise ConfigError(
                f"cache_in_memory: {len(rows):,} samples need {needed / 1e9:.1f} GB but {free / 1e9:.1f} GB are free; "
                "turn the cache off or make the preset's shape smaller"
            )
        self._rows = rows
        self._bases = torch.frombuffer(_shared(needed), dtype=preset.base_dtype).view(len(rows), *preset.base_shape)
        self._filled = torch.frombuffer(_shared(len(rows)), dtype=torch.uint8)

    def get(self, row: int, make: Callable[[], Tensor]) -> Tensor:
        """The base of a row, made on first use. Do not change it."""
        slot = row - self._rows.start
        if not self._filled[slot]:
            self._bases[slot] = make()
            self._filled[slot] = 1  # after the bytes: another process that still sees 0 writes the same ones
        return self._bases[slot]

    def __reduce__(self) -> tuple[object, ...]:
        raise ConfigError("cache_in_memory works only where loader workers are forked; turn the cache off")


def _shared(nbytes: int) -> mmap.mmap:
    """Zeroed memory that forked processes share; unlike /dev/shm it has no small limit in containers."""
    return mmap.mmap(-1, max(nbytes, 1))
