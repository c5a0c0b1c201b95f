"""Preprocessed images of a corpus in the order asked for, read ahead by a few threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.data.preset import Preset
from voxtile.errors import EvaluationError, VoxtileError

_AHEAD = 32  # samples in flight


class CorpusImages:
    """The images of some samples as a model wants them; nothing is random.

    Args:
        corpus: where they are.
        preset: the model's preprocessing.
        uids: all samples that will be asked for.
        batch_size: samples a batch.

    Raises:
        PresetError: the corpus cannot satisfy the preset.
    """

    def __init__(self, corpus: Corpus, preset: Preset, uids: Sequence[str], batch_size: int) -> None:
        self._corpus, self._preset, self._batch_size = corpus, preset, batch_size
        samples = corpus.table("samples", with_root=True)
        wanted = samples.filter(pc.is_in(samples["uid"], value_set=pa.array(uids, pa.string())))
        self.rows: Mapping[str, Mapping[str, Any]] = {row["uid"]: row for row in wanted.to_pylist()}
        preset.check(list(self.rows.values()))

    def __call__(self, uids: Sequence[str]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """Batches (uids, images [S, C, *G] float32)."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            pending: deque[Future[Tensor]] = deque()
            remaining = iter(uids)
            for start in range(0, len(uids), self._batch_size):
                batch = uids[start : start + self._batch_size]
                images = []
                for _ in batch:
                    while len(pending) < _AHEAD and (uid := next(remaining, None)) is not None:
                        pending.append(pool.submit(self.image, uid))
                    images.append(pending.popleft().result())
                yield batch, torch.stack(images)

    def source(self, uid: str) -> StoredSample:
        """The stored sample."""
        return self._corpus.source(self.rows[uid])

    def image(self, uid: str) -> Tensor:
        """[C, *G] float32 of one sample.

        Raises:
            EvaluationError: it cannot be read; evaluation never leaves a sample out silently.
        """
        try:
            return self._preset(self.source(uid), None)
        except VoxtileError as error:
            raise EvaluationError(f"sample {uid} cannot be read: {error}") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise EvaluationError(
                f"sample {uid} cannot be read: {error}; check the corpus with: voxtile verify CORPUS"
            ) from error
