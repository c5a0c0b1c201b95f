"""Stored vectors in place of pixels: what a frozen tower makes of each sample, computed once by `voxtile embed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from voxtile.data.presets.base import BasePreset, SampleSource
from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.errors import ConfigError, PresetError


@dataclass(frozen=True)
class StoredVectors(BasePreset):
    """Gives the vector of a sample as an image of one pixel, for `voxtile.models.StoredImageTower`.

    No pixel is read, and nothing is random: there is no augmentation. The table is held in memory, 2 bytes a number.

    Attributes:
        corpus: folder whose table `embeddings` has the vectors.
        length: of a vector.
        model: name of the model in the table; may be left out where there is only one.
    """

    corpus: str
    length: int
    model: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stored", StoredEmbeddings(self.corpus, self.model))

    @property
    def version(self) -> str:
        """Of the preset; what the vectors are of is said by their model."""
        return "1"

    @property
    def channels(self) -> int:
        """The vector's length."""
        return self.length

    @property
    def grid(self) -> tuple[int, ...]:
        """One pixel."""
        return (1, 1)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError where the corpus has no such vectors, or of another length."""
        try:
            found = self._embeddings.length
        except ConfigError as error:
            raise PresetError(str(error)) from None
        if found != self.length:
            raise PresetError(
                f"the vectors in '{self.corpus}' are {found} long, but the preset's length is {self.length}; set it"
            )

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [length, 1, 1] float32."""
        return self._embeddings.vectors([str(source.meta["uid"])])[0].float().view(-1, 1, 1)

    @property
    def _embeddings(self) -> StoredEmbeddings:
        stored: StoredEmbeddings = self._stored  # type: ignore[attr-defined]  # no field, so that it is no setting
        return stored
