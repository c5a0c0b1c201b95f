"""Datasets whose items are batches, and the draws that ask for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Sampler

from voxtile.data.presets.base import SampleSource
from voxtile.errors import VoxtileError
from voxtile.types import Batch


@runtime_checkable
class PackedPreset(Protocol):
    """A preset that leaves normalisation for later, so that bytes and not floats move between processes."""

    def pixels(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """[C, *grid] of one sample, all but normalised."""

    def unpack(self, pixels: Tensor) -> Tensor:
        """Normalise a batch [S, C, *grid] to float32."""


@runtime_checkable
class ReadsInPart(Protocol):
    """A preset that reads a box of a sample."""

    def share_read(self, meta: Mapping[str, Any]) -> float:
        """Part of a sample's values that is read, from 0 to 1."""


class Draws(NamedTuple):
    """What one loader worker turns into a batch.

    Attributes:
        items: item numbers (rows, or studies) within the split.
        numbers: global draw indices, the key of all randomness; None in evaluation.
        is_announced: all that they take of remote corpora is on its way.
        is_filler: the item counts for nothing: the batch has fewer than there are ranks, and this one has none of it.
    """

    items: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64] | None
    is_announced: bool = False
    is_filler: bool = False


class Failed(NamedTuple):
    """What a worker hands back instead of a batch: torch would wrap the exception in a traceback of its own."""

    message: str


class BatchDataset(torch.utils.data.Dataset[Any], ABC):
    """A dataset whose items are batches, one for each `Draws`."""

    @abstractmethod
    def load(self, draws: Draws) -> Batch:
        """Load a batch.

        Raises:
            CorpusError: a sample is damaged.
        """

    def __getitem__(self, draws: Draws) -> Batch | Failed:
        """Load a batch, or say what is wrong with a sample of it."""
        try:
            batch = self.load(draws)
            return replace(batch, is_filler=True) if draws.is_filler else batch
        except VoxtileError as error:
            return Failed(str(error))


class OrderedDraws(Sampler[Draws]):
    """Every item once, in order, nothing random; of each batch the ranks take parts that differ by one item at most."""

    def __init__(self, size: int, batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self._size, self._batch_size, self._rank, self._ranks = size, batch_size, rank, ranks

    def __iter__(self) -> Iterator[Draws]:
        for start in range(0, self._size, self._batch_size):
            items = np.arange(start, min(start + self._batch_size, self._size), dtype=np.int64)
            own = np.array_split(items, self._ranks)[self._rank]
            # All ranks go through the towers equally often: one that has none of a small batch takes its last item.
            yield Draws(own, None) if len(own) else Draws(items[-1:], None, is_filler=True)

    def __len__(self) -> int:
        return -(-self._size // self._batch_size)
