"""Loaders: draws to worker processes, batches back in order. What a batch holds depends on no worker and no rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from voxtile.corpus.remote.announcing import announced_so_far
from voxtile.data.batches.dataset import Draws, Failed, OrderedDraws, PackedPreset
from voxtile.data.batches.other_images import unpack_images
from voxtile.data.cursor import Cursor
from voxtile.data.draws import DrawDataset
from voxtile.data.epoch_order import EpochOrder, WeightedOrder
from voxtile.data.handing_out import by_place, reads_by_blocks
from voxtile.data.lost_worker import Watch
from voxtile.data.mixture.order import MixtureOrder
from voxtile.errors import CorpusError
from voxtile.types import Batch

if TYPE_CHECKING:
    from voxtile.data.mixture.draws import MixtureDataset, OrderedBySource


WORKER_TIMEOUT = 600.0  # seconds; the slowest batch of whole slides over a network takes a tenth


class TrainingDraws(Sampler[Draws]):
    """The draws of one rank from where the cursor stands to the end of the epoch.

    A global batch is `batch_size` consecutive positions; rank r takes the r-th equal part of it, so that the parts of
    all ranks, in order, are the same batch whatever their number. Of a corpus that is read by blocks the batch is in
    the order of `by_place`. What is left over at the end of an epoch is dropped.
    """

    def __init__(
        self,
        order: EpochOrder | WeightedOrder | MixtureOrder,
        cursor: Cursor,
        batch_size: int,
        rank: int,
        ranks: int,
    ) -> None:
        self._order, self._cursor = order, cursor
        self._batch_size, self._rank, self._ranks = batch_size, rank, ranks
        self._by_blocks = reads_by_blocks(order)

    def __iter__(self) -> Iterator[Draws]:
        cursor, size, share = self._cursor, self._order.size, self._batch_size // self._ranks
        epoch, start = cursor.epoch, cursor.consumed
        while start + self._batch_size <= size:
            begin = start + self._rank * share
            if self._by_blocks:
                positions = np.arange(start, start + self._batch_size, dtype=np.int64)
                rows = self._order.rows(epoch, positions)
                own = by_place(rows)[begin - start : begin - start + share]
                yield Draws(rows[own], epoch * size + positions[own])
            else:
                positions = np.arange(begin, begin + share, dtype=np.int64)
                yield Draws(self._order.rows(epoch, positions), epoch * size + positions)
            start += self._batch_size

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._order.size // self._batch_size


class AnnouncedDraws(Sampler[Draws]):
    """Draws whose images were announced, so that those of remote corpora are on their way before a worker needs them.

    Args:
        draws: which draws.
        dataset: knows where their images lie.
    """

    def __init__(
        self, draws: TrainingDraws | OrderedDraws | OrderedBySource, dataset: DrawDataset | MixtureDataset
    ) -> None:
        self._draws, self._dataset = draws, dataset

    def __iter__(self) -> Iterator[Draws]:
        for draws, is_whole in announced_so_far(self._draws, self._dataset.places):
            yield draws._replace(is_announced=is_whole)

    def __len__(self) -> int:
        return len(self._draws)


class BatchLoader:
    """An iterable of batches that Lightning takes as it is, without a sampler of its own in between.

    Args:
        dataset: turns draws into batches.
        draws: which draws; it reads the cursor when iteration starts.
        num_workers: worker processes; 0 loads in this one.
        worker_timeout: seconds that a worker may take for a batch.
        pin_memory: put batches into page-locked memory.
        unpack: normalise packed images here, on the CPU; otherwise they stay bytes until `CorpusDataModule` has moved
            them.
    """

    def __init__(
        self,
        dataset: DrawDataset | MixtureDataset,
        draws: TrainingDraws | OrderedDraws | OrderedBySource,
        *,
        num_workers: int = 0,
        worker_timeout: float = WORKER_TIMEOUT,
        pin_memory: bool = False,
        unpack: bool = True,
    ) -> None:
        self.dataset = dataset
        self.draws = draws
        self._worker_timeout = worker_timeout
        self._unpack = unpack and isinstance(dataset.preset, PackedPreset)
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=None,
            sampler=AnnouncedDraws(draws, dataset)
            if dataset.is_remote
            else draws,  # one Draws is one index: a worker loads a whole batch
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            multiprocessing_context="fork" if num_workers and dataset.cache is not None else None,
            worker_init_fn=_single_threaded,
            collate_fn=_same,
        )

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: nothing starts before the first batch is asked for, since Lightning calls iter() more than once.
        preset: Any = self.dataset.preset
        batches = iter(self._loader)
        watch = Watch(getattr(batches, "_workers", ()), self._worker_timeout)
        try:
            while (batch := watch.next(batches)) is not None:
                if isinstance(batch, Failed):
                    raise CorpusError(batch.message)
                if self._unpack:
                    unpack_images(batch, preset)
                yield batch
        finally:
            watch.end()

    def state_dict(self) -> dict[str, Any]:
        """Empty: the cursor is saved by the datamodule."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to do; see `state_dict`."""


def _single_threaded(worker: int) -> None:
    """Workers are the parallelism; more threads in each would fight over the cores."""
    torch.set_num_threads(1)


def _same(batch: Any) -> Any:  # noqa: ANN401 - torch's signature
    return batch
