"""Captions on which the model and the checker disagree: what one of them holds for right looks wrong to the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata

from voxtile.errors import ConfigError
from voxtile.serve.explored import Explored
from voxtile.serve.reviews.figures import OBJECTIONS
from voxtile.serve.reviews.targets import REPORT
from voxtile.serve.search.meaning import MeaningSearch

_POOL = 256  # captions that are scored at a time, half of them such as the checker objects to
_AT_ONCE = 32  # texts of a batch
_NO_MODEL = "no model was named; start voxtile serve with --model to judge where it and the checker disagree"
_NO_VERDICTS = (
    "the checker has said nothing of captions whose samples have vectors; run voxtile check, and voxtile embed"
)


@dataclass
class Disagreement:
    """Captions in pools, each put in order by how much model and checker disagree.

    A caption's score is the cosine of its text and its sample's image in the model's space, as a share of the pool that
    scores lower. The disagreement is that share where the checker objects, and what is missing from it to 1 where the
    checker holds the caption for supported; captions of which it says nothing are left out.

    Attributes:
        explored: the corpus, with a model.
    """

    explored: Explored
    _pools: list[list[tuple[str, str]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def orders(self) -> Iterator[list[tuple[str, str]]]:
        """Pools of (uid, caption), the strongest disagreement first; a further one is scored when it is needed.

        Raises:
            ConfigError: there is no model, or nothing to compare.
        """
        if self.explored.meaning is None:
            raise ConfigError(_NO_MODEL)
        place, found = 0, False
        while (pool := self._made(self.explored.meaning, place)) is not None:
            found = found or bool(pool)
            yield pool
            place += 1
        if not found:
            raise ConfigError(_NO_VERDICTS)

    def _made(self, meaning: MeaningSearch, place: int) -> list[tuple[str, str]] | None:
        """A pool; None behind the last one."""
        with self._lock:
            if place == len(self._pools):
                if not (rows := self._pool(place)):
                    return None
                self._pools.append(_ordered(self.explored, meaning, rows))
            return self._pools[place]

    def _pool(self, place: int) -> list[dict[str, Any]]:
        """Captions that the checker objects to and such that it supports, as many of each while there are both."""
        return self.explored.tables.rows(
            f"""SELECT * FROM (SELECT DISTINCT uid, caption_id, text, verdict FROM captions
            JOIN judged USING (caption_id) WHERE kind <> '{REPORT}' AND verdict IN {("supported", *OBJECTIONS)})
            ORDER BY row_number() OVER (PARTITION BY verdict = 'supported' ORDER BY md5(uid || caption_id)),
            verdict = 'supported', caption_id LIMIT {_POOL} OFFSET {place * _POOL}"""
        )


def _ordered(explored: Explored, meaning: MeaningSearch, rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Captions whose samples have a vector, the strongest disagreement first."""
    stored = meaning.vectors
    if stored is None:
        return []
    numbers = explored.index.numbers(pa.array([row["uid"] for row in rows], pa.string()))
    kept = [n for n, number in enumerate(numbers) if number >= 0 and stored.present[number]]
    rows = [rows[n] for n in kept]
    if not rows:
        return []
    texts = [row["text"] for row in rows]
    batches = [meaning.model.encode_texts(texts[n : n + _AT_ONCE]) for n in range(0, len(texts), _AT_ONCE)]
    vectors = np.concatenate([batch.float().numpy() for batch in batches])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = (vectors * stored.vectors(numbers[kept])).sum(axis=1)
    share = (rankdata(cosines) - 1) / max(1, len(rows) - 1)
    objected = np.array([row["verdict"] in OBJECTIONS for row in rows])
    order = np.argsort(-np.where(objected, share, 1 - share), kind="stable")
    return [(rows[n]["uid"], rows[n]["caption_id"]) for n in order]
