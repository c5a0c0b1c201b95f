"""Ordered, deterministic loading for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from voxtile.corpus.view.view import CompiledView
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset, Draws, OrderedDraws
from voxtile.data.loader import BatchLoader
from voxtile.data.presets.base import Preset


class EvaluationBatch(NamedTuple):
    """Images of an evaluation, in order.

    Attributes:
        uids: S uids.
        images: [S, C, *grid] float32.
        rows: S rows of the view.
    """

    uids: list[str]
    images: Tensor
    rows: list[int]


class _Rows(OrderedDraws):
    """Chosen rows in the order given."""

    def __init__(self, rows: Sequence[int], batch_size: int) -> None:
        super().__init__(len(rows), batch_size)
        self._rows = np.asarray(rows, dtype=np.int64)

    def __iter__(self) -> Iterator[Draws]:
        for start in range(0, len(self._rows), self._batch_size):
            yield Draws(self._rows[start : start + self._batch_size], None)


def evaluation_loader(
    view: CompiledView, preset: Preset, rows: Sequence[int], *, batch_size: int = 32, num_workers: int = 0
) -> Iterator[EvaluationBatch]:
    """Load rows of a view in the order given, with nothing random.

    Args:
        view: the compiled view.
        preset: the model's preprocessing.
        rows: rows of the view, e.g. `view.rows("test")`.
        batch_size: images a batch.
        num_workers: worker processes.

    Raises:
        PresetError: the corpus cannot satisfy the preset.
    """
    metas = {view.entry(row).meta: view.meta(view.entry(row)) for row in rows}
    preset.check(list(metas.values()))
    dataset = DrawDataset(view, preset, CaptionPolicy())
    loader = BatchLoader(dataset, _Rows(rows, batch_size), num_workers=num_workers)
    for batch in loader:
        yield EvaluationBatch(batch.uids, batch.images, batch.draws.tolist())
