"""Vectors of a corpus's samples by an earlier or a larger model, as `voxtile embed` stored them.

Shape letters: B items of a batch, E length of a stored vector, M stored vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.types import Batch


class StoredEmbeddings:
    """The vectors of one model in a corpus's table `embeddings`. It is read when first asked for, and kept in memory.

    Args:
        corpus: folder of the corpus.
        model: name of the model in the table, as `voxtile embed` printed it; may be left out where there is only one.
    """

    def __init__(self, corpus: str, model: str | None) -> None:
        self.corpus, self.model = corpus, model
        self._loaded: tuple[npt.NDArray[np.bytes_], npt.NDArray[np.float16]] | None = None

    def of(self, batch: Batch, like: Tensor) -> Tensor:
        """[B, E] normalised vectors of the items, of the type and on the device of `like`.

        Raises:
            ConfigError: items are studies of several samples, or an item or the model is not in the table.
        """
        if len(batch.image_item) > len(batch):
            raise ConfigError(
                "stored embeddings are those of samples, but items have several; use data.unit: sample, or apply the "
                "objective through OfSamples"
            )
        found = self.vectors(batch.uids).to(like.device, torch.promote_types(like.dtype, torch.float32))
        return F.normalize(found, dim=1)

    def vectors(self, uids: Sequence[str]) -> Tensor:
        """[n, E] float16 vectors of samples, as they are stored.

        Raises:
            ConfigError: a sample or the model is not in the table.
        """
        known, vectors = self._table()
        wanted = np.array([uid.encode() for uid in uids])
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        missing = np.flatnonzero(known[places] != wanted)
        if len(missing):
            raise ConfigError(
                f"corpus '{self.corpus}' has no embedding of sample {uids[int(missing[0])]} by "
                f"'{self.model or 'its model'}'; run 'voxtile embed' on it again, without --where"
            )
        return torch.from_numpy(vectors[places])

    @property
    def length(self) -> int:
        """E, of each vector.

        Raises:
            ConfigError: the model is not in the table.
        """
        return int(self._table()[1].shape[1])

    def _table(self) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.float16]]:
        """Sorted uids [M] and their vectors [M, E]."""
        if self._loaded is None:
            table = Corpus(Path(self.corpus)).table("embeddings")
            name = self._name(pc.unique(table["model"]).to_pylist())
            table = table.filter(pc.equal(table["model"], pa.scalar(name))).sort_by("uid")
            values = [part.flatten().to_numpy(zero_copy_only=False) for part in table["vector"].chunks]
            uids = np.array([uid.encode() for uid in table["uid"].to_pylist()])
            self._loaded = (uids, np.concatenate(values).reshape(len(uids), -1))
        return self._loaded

    def _name(self, known: list[str]) -> str:
        if not known:
            raise ConfigError(f"corpus '{self.corpus}' has no embeddings; run 'voxtile embed {self.corpus} MODEL'")
        if self.model in known:
            return self.model
        if self.model is None and len(known) == 1:
            return known[0]
        asked = "several models" if self.model is None else f"no '{self.model}'"
        raise ConfigError(
            f"the embeddings of corpus '{self.corpus}' are of {asked}; set model, beside that corpus, to one of: "
            f"{', '.join(sorted(known))}"
        )
