"""Images that dialogues show beside those of their item."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from voxtile.corpus.view.view import CompiledView
from voxtile.data.batches.dataset import PackedPreset
from voxtile.types import Batch


def rows_of(view: CompiledView, split: str | None, wanted: Collection[str]) -> dict[str, int]:
    """Rows of some samples of a split by their uids; those that are not in it are left out."""
    marks = np.array([int(uid[:16], 16) & (2**63 - 1) for uid in wanted], np.int64)
    first, found = view.rows(split).start, dict[str, int]()
    for part in view.uid_marks(split):
        entries = [view.entry(first + int(place)) for place in np.flatnonzero(np.isin(part, marks))]
        found |= {entry.uid: entry.row for entry in entries if entry.uid in wanted}
        first += len(part)
    return found


def unpack_images(batch: Batch, preset: PackedPreset) -> None:
    """Normalise all images of a batch, in place; without images there is nothing to do."""
    if batch.images.numel():
        batch.images = preset.unpack(batch.images)
        if batch.others is not None:
            batch.others.images = preset.unpack(batch.others.images)
