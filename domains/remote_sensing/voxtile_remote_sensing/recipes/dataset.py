"""What a dataset of remote sensing is made of: its facts, a layout that lists its samples, and the pixels of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voxtile.corpus.records import Row
from voxtile_datasets.recipes.entries import Box, Entry
from voxtile_datasets.recipes.recipe import DataSet

# Spellings of the official splits.
SPLITS: Mapping[str, str] = {
    "train": "train", "training": "train", "trn": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "tst": "test", "test_gt": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Pixels:
    """The pixels of one entry.

    Attributes:
        payload: encoded JPEG or PNG, or an array in the order of `row["axes"]`.
        row: columns that the pixels decide (axes, channels, units, crs, transform, …).
        preview: for arrays, 8-bit [Y, X] or [Y, X, 3].
        boxes: further regions, found in the pixels' own frame.
        tables: further rows by table, without `uid`.
    """

    payload: bytes | npt.NDArray[Any]
    row: Row
    preview: npt.NDArray[np.uint8] | None = None
    boxes: tuple[Box, ...] = ()
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)


class Layout(Protocol):
    """How a dataset lies on disk. Implementations are frozen dataclasses: they travel to workers."""

    def entries(self, root: Path) -> Iterator[Entry]:
        """The samples, in a fixed order.

        Raises:
            InputError: the folder is not laid out so; the sentence says what was expected where.
        """

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The pixels of one entry, in a worker.

        Raises:
            InputError: a file is damaged.
        """


@dataclass(frozen=True, kw_only=True)
class Dataset(DataSet):
    """What is known of a public dataset of remote sensing.

    Attributes:
        modality: RGB, MSI, SAR, …
        layout: how it lies on disk.
        vocabularies: vocabulary → all its concepts (a closed scope).
        caption_kind: `raw` for captions that people wrote, `vlm` for those of a model, `template` for rules.
        gsd_m: ground sampling distance where it is one for all.
    """

    modality: str
    layout: Layout
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caption_kind: str = "raw"
    gsd_m: float | None = None
