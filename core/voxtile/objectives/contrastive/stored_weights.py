"""Weights of a corpus's samples or captions that were computed before training: its scores, or a curated view's.

Shape letters: B items and T texts of a batch, M stored weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.selection import SAMPLES, SUFFIX, curated_names
from voxtile.corpus.view.text import text_hash
from voxtile.errors import ConfigError
from voxtile.types import Batch

Of: TypeAlias = Literal["samples", "captions"]
_Table: TypeAlias = tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]  # sorted keys [M], weights [M]


class StoredWeights:
    """Weights by sample or caption. They are read when first asked for, and kept in memory.

    Args:
        corpus: folder of the corpus.
        score: name of a score in its table `scores`.
        view: name of a curated view in place of a score: its weights.
        of: what the score is of.
        missing: weight of what has none; None refuses it.

    Raises:
        ConfigError: not exactly one of score and view, or a view's weights of captions.
    """

    def __init__(self, corpus: str, score: str | None, view: str | None, of: Of, missing: float | None) -> None:
        if (score is None) == (view is None):
            raise ConfigError("weights come from a score or from a curated view; set exactly one of score and view")
        if view is not None and of != "samples":
            raise ConfigError("a curated view weighs samples; set of: samples, or name a score")
        self.corpus, self.score, self.view, self.of, self.missing = corpus, score, view, of, missing
        self._loaded: _Table | None = None

    def items(self, batch: Batch, like: Tensor) -> Tensor:
        """[B] weights of items, of the type and on the device of `like`; 1 where the weights are of captions.

        Raises:
            ConfigError: items are studies of several samples, or one has no weight.
        """
        if self.of == "captions":
            return like.new_ones(len(batch))
        if len(batch.image_item) > len(batch):
            raise ConfigError("stored weights are those of samples, but items have several; use data.unit: sample")
        return self._looked_up(np.array([uid.encode() for uid in batch.uids]), batch.uids, like)

    def texts(self, batch: Batch, like: Tensor) -> Tensor:
        """[T] weights of texts; 1 where the weights are of samples.

        Raises:
            ConfigError: a text has no weight.
        """
        if self.of == "samples":
            return like.new_ones(len(batch.texts))
        return self._looked_up(batch.text_hash.cpu().numpy(), batch.texts, like)

    def _looked_up(self, wanted: npt.NDArray[np.generic], names: list[str], like: Tensor) -> Tensor:
        keys, weights = self._table()
        places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        known = keys[places] == wanted
        if self.missing is None and not known.all():
            what = "sample" if self.of == "samples" else "text"
            raise ConfigError(
                f"corpus '{self.corpus}' has no {self._source} of the {what} '{names[int(np.argmin(known))][:60]}'; "
                "compute it for all, or set missing to the weight of those without"
            )
        found = np.where(known, weights[places], self.missing or 0.0)
        return torch.from_numpy(found).to(like.device, like.dtype)

    @property
    def _source(self) -> str:
        return f"score '{self.score}'" if self.score is not None else f"weight by the view '{self.view}'"

    def _table(self) -> _Table:
        if self._loaded is None:
            keys, weights = self._of_view() if self.view is not None else self._of_score()
            if not len(keys):
                raise ConfigError(f"corpus '{self.corpus}' has no {self._source}; see its table of scores")
            if not (np.isfinite(weights).all() and (weights >= 0).all()):
                raise ConfigError(
                    f"the {self._source} of corpus '{self.corpus}' has values below 0 or without meaning, which weigh "
                    "nothing; name a score of zero or more"
                )
            distinct, place = np.unique(keys, return_inverse=True)
            self._loaded = distinct, np.bincount(place, weights) / np.bincount(place)
        return self._loaded

    def _of_score(self) -> _Table:
        corpus = Corpus(Path(self.corpus))
        rows = corpus.table("scores", ["uid", "name", "value"])
        rows = rows.filter(pc.equal(rows["name"], pa.scalar(self.score))).drop_columns("name")
        if self.of == "captions":
            captions = corpus.table("captions", ["caption_id", "text"])
            rows = rows.join(captions, "uid", "caption_id", join_type="inner")
            keys = np.array([text_hash(text) for text in rows["text"].to_pylist()], np.int64)
        else:
            keys = np.array([uid.encode() for uid in rows["uid"].to_pylist()])
        return keys, rows["value"].to_numpy().astype(np.float64)

    def _of_view(self) -> _Table:
        views = Path(self.corpus, "views")
        path = views / f"{self.view}{SUFFIX}" / SAMPLES
        if not path.is_file():
            known = ", ".join(curated_names(views)) or "none"
            raise ConfigError(f"corpus '{self.corpus}' has no curated view '{self.view}'; there are: {known}")
        rows = pq.read_table(path, columns=["uid", "weight"])
        keys = np.array([uid.encode() for uid in rows["uid"].to_pylist()])
        return keys, rows["weight"].to_numpy().astype(np.float64)
