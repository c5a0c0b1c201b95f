"""Regions that questions mark, placed as the image of the question is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import Preset
from voxtile.data.regions.masks import mask_metas, masking, placed_mask, soft
from voxtile.data.regions.regions import Placed
from voxtile.types import Turn

_COLUMNS = ("region_id", "uid", "phrase", "box", "angle", "mask_shard", "mask_offset", "mask_nbytes", "source")
Dialogues = tuple[tuple[Turn, ...], ...]


class MarkedRegions:
    """The regions of a corpus by id.

    Args:
        corpus: where they and their masks are.
        boxes: share of the draws in which a region is its box rather than its outline, where it has both.
    """

    def __init__(self, corpus: Corpus, boxes: float) -> None:
        self._corpus, self._boxes = corpus, boxes

    @cached_property
    def _rows(self) -> Mapping[str, Mapping[str, Any]]:
        table = self._corpus.table("regions", columns=list(_COLUMNS))
        return {row["region_id"]: row for row in table.to_pylist()}

    def place(
        self,
        item: Mapping[str, Mapping[str, Any]],
        dialogues: Dialogues,
        preset: Preset,
        pixels: Callable[[], np.random.Generator | None],
        rng: np.random.Generator | None,
    ) -> tuple[Dialogues, list[Placed]]:
        """The dialogues whose marked regions the image shows, and these regions.

        Args:
            item: metadata of its samples by uid.
            dialogues: that were drawn.
            preset: of this image.
            pixels: gives a generator in the state in which the image's preset was given it, or None.
            rng: draws whether a region is its box; None takes outlines.
        """
        wanted = dict.fromkeys(mark for turns in dialogues for turn in turns for mark in turn.marks)
        boxed = {mark: rng is not None and bool(rng.random() < self._boxes) for mark in wanted}
        masks, metas = masking(preset), mask_metas(preset, item)
        found: dict[str, Placed] = {}
        for mark in wanted:
            row = self._rows.get(mark)
            if row is None or row["uid"] not in metas:
                continue
            shape = {"mask_shard": None} if boxed[mark] and row["box"] else {}
            mask = soft(placed_mask(self._corpus, [{**row, **shape}], metas, lambda part: masks(part, pixels())))
            if mask.any():
                found[mark] = Placed(row["phrase"] or "", mask, bool(shape), 1.0, mark)
        kept = tuple(turns for turns in dialogues if all(mark in found for turn in turns for mark in turn.marks))
        return kept, [found[mark] for mark in found]
