"""What a recipe is made of: a dataset's facts, a layout that lists its samples, and one entry a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voxtile.corpus.records import Row

# Spellings of the official splits.
SPLITS: Mapping[str, str] = {
    "train": "train", "training": "train", "trn": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "tst": "test", "test_gt": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A phrase and where in the picture it holds.

    Attributes:
        phrase: expression or class.
        box: min row, min column, max row, max column, in pixel edges.
        angle: degrees counter-clockwise by which the box is turned about its centre; None for an upright one.
        note: what distinguishes it, e.g. the split of the expression.
    """

    phrase: str
    box: tuple[float, float, float, float]
    angle: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """One sample to be, before a pixel is read; all values are JSON-able.

    Attributes:
        key: unique in the dataset, also the ledger's name.
        files: its files, relative to the dataset's folder.
        split: train, val or test where the dataset says; None for a keyed choice by subject.
        labels: vocabulary → concepts that are present; the others of the dataset's list are absent.
        texts: captions.
        boxes: regions.
        subject: the unit of splitting; the key where there is none.
        study: samples that belong together (dates of a place, sensors).
        part: where in the file it lies (offset, index), if not all of it.
        row: columns of the samples table that are known.
        attributes: facts for the row's `attributes`.
        caption_kind: of its captions where it is not the dataset's.
    """

    key: str
    files: tuple[str, ...]
    split: str | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    subject: str | None = None
    study: str | None = None
    part: Mapping[str, Any] = field(default_factory=dict)
    row: Row = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    caption_kind: str | None = None

    def to_inputs(self) -> dict[str, Any]:
        """As JSON-able values; the kind only where it is given, so that samples keep their jobs."""
        values = asdict(self)
        return values if self.caption_kind else {k: v for k, v in values.items() if k != "caption_kind"}

    @classmethod
    def from_inputs(cls, values: Mapping[str, Any]) -> Entry:
        """Back from `to_inputs`, also after a trip through JSON."""
        boxes = tuple(Box(b["phrase"], tuple(b["box"]), b["angle"], b["note"]) for b in values["boxes"])
        labels = {name: tuple(concepts) for name, concepts in values["labels"].items()}
        rest = {k: v for k, v in values.items() if k not in ("boxes", "labels", "files", "texts")}
        return cls(files=tuple(values["files"]), texts=tuple(values["texts"]), boxes=boxes, labels=labels, **rest)


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


@dataclass(frozen=True)
class Dataset:
    """What is known of a public dataset.

    Attributes:
        name: of the recipe.
        title: one line for people.
        source: where it is downloaded, and the paper.
        licence: as its makers state it.
        modality: RGB, MSI, SAR, …
        layout: how it lies on disk.
        vocabularies: vocabulary → all its concepts (a closed scope).
        caption_kind: `raw` for captions that people wrote, `vlm` for those of a model, `template` for rules.
        gsd_m: ground sampling distance where it is one for all.
    """

    name: str
    title: str
    source: str
    licence: str
    modality: str
    layout: Layout
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caption_kind: str = "raw"
    gsd_m: float | None = None
