"""What a recipe states of a public data set: its name and licence, what is read, and how a row becomes a sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from voxtile.corpus.records import Mask, Row
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError


class DroppedError(InputError):
    """A sample is not wanted, though nothing of it is damaged; `reason` is the ledger's name for that."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class MissingFileError(DroppedError):
    """A table names something that the download does not hold; a later run reads it when it is there."""

    def __init__(self, sentence: str) -> None:
        super().__init__("missing-file", sentence)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What is known of a public data set.

    Attributes:
        name: of the recipe; it begins the identity of what is stored.
        title: one line for people.
        source: where it is downloaded, and the paper.
        licence: as its makers state it.
    """

    name: str
    title: str
    source: str
    licence: str


@dataclass(frozen=True)
class Record:
    """A sample of a data set, as it was read.

    Attributes:
        uid: of the sample.
        subject: the unit of splitting.
        source: what the row of the sample calls its origin.
        payload: encoded JPEG or PNG, or an array in the order of `row["axes"]`.
        row: further columns of the samples table; a licence there stands in place of the data set's.
        preview: for arrays, 8-bit [Y, X] or [Y, X, 3].
        split: official split; None for a keyed choice by subject.
        labels: vocabulary → classes that hold; those of `Recipe.vocabularies` are closed.
        texts: captions, not yet checked.
        text_source: where they came from, for their ids.
        text_kind: `raw`, `vlm` or `template`.
        text_provider: which stage brought them.
        text_language: of the captions, as a code of ISO 639; None where it is not stated.
        attributes: JSON-able facts of the acquisition.
        tables: rows of other tables, complete.
        masks: regions with a mask.
    """

    uid: str
    subject: str
    source: str
    payload: bytes | npt.NDArray[Any]
    row: Row
    preview: npt.NDArray[np.uint8] | None = None
    split: str | None = None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Sequence[str] = ()
    text_source: str = ""
    text_kind: str = "raw"
    text_provider: str = "import"
    text_language: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    masks: tuple[Mask, ...] = ()


class Recipe(ABC):
    """A public data set as it is downloaded. Implementations are frozen dataclasses: they travel to workers.

    Attributes:
        data: what is known of the data set.
        version: bumped whenever the samples of the same input change.
        lists_apart: the plan reads what nobody vouches for (tables, lists), and is made in a supervised process.
    """

    data: DataSet
    version: ClassVar[str] = "1"
    lists_apart: ClassVar[bool] = False

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """Vocabulary → all its classes, for labels of which those that are not given are absent."""
        return {}

    def check(self, root: Path) -> None:
        """Refuse what cannot be the data set at a glance.

        Raises:
            InputError: the sentence says what to give.
        """
        return

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """JSON-able settings that change the samples, beside the licence and the shares of the splits."""

    @abstractmethod
    def items(self, root: Path) -> Iterator[Item]:
        """What is read, in a fixed order; of the files themselves no more than their edges.

        Args:
            root: the folder or file that was given; no part of the items' identity.

        Raises:
            InputError: it is not laid out like the data set.
        """

    @abstractmethod
    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The samples of an item, in a worker; a `Part` for one that cannot be read beside others that can.

        Raises:
            DroppedError: it is not wanted; a MissingFileError: it is not there.
            InputError: it is damaged; a PictureError names a reason.
        """
