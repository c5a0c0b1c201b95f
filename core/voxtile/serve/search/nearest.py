"""Approximate search beyond a million vectors: a graph of neighbours (HNSW: Malkov and Yashunin 2018) by usearch.

The graph holds the vectors in 8 bits and says which samples are likely to be near; their cosines are those of the exact
search. How many it looks at is chosen, and its recall measured, when it is built.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.extras import missing_extra
from voxtile.serve.sample_index import Mask
from voxtile.serve.search.vectors import Floats, Found, VectorFile

GRAPH, RECALL = "nearest.usearch", "recall.json"
RANKED = 1000
"""Samples that are put in order by likeness; further ones say little."""

MOST_FETCHED = 16_384
"""Samples that are asked of the graph at once; where a filter leaves so few that more were needed, search is exact."""

_SPARE = 1.3  # more than a filter's share says are fetched


@dataclass(frozen=True)
class Recall:
    """Which share of the ten nearest samples it finds, on queries by which nothing was chosen.

    Attributes:
        images: of queries by samples, which are not their own neighbours.
        words: of queries by captions of the corpus; None where it has none.
        looked_at: samples that the search goes through at least.
    """

    images: float
    words: float | None
    looked_at: int

    @property
    def least(self) -> float:
        """The lower of the two."""
        return self.images if self.words is None else min(self.images, self.words)


class Nearest:
    """A graph that was built, mapped into memory.

    Args:
        folder: where it lies.
        vectors: those that it was built of.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """

    def __init__(self, folder: Path, vectors: VectorFile) -> None:
        self.recall = read_recall(folder)
        self._vectors = vectors
        self._graph = open_graph(folder / GRAPH)
        self._lock = threading.Lock()  # a search uses buffers of the graph, and how far it looks is a setting of it

    def best(self, query: Floats, count: int, allowed: Mask | None = None) -> Found | None:
        """The samples nearest to a query by cosine, or None where only the exact search can say.

        Args:
            query: [D], of any length but zero.
            count: how many at most.
            allowed: [samples] those that may be found; all by default.
        """
        unit = query / np.linalg.norm(query)
        total = self._vectors.count
        may = None if allowed is None else self._vectors.present & allowed
        left = total if may is None else int(may.sum())
        count = min(count, left)
        if not count:
            return Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
        # As many as the recall was measured with, since the graph orders by 8 bits: of few the nearest may be missing.
        wanted = max(count, min(RANKED, left))
        fetched = wanted if may is None else int(_SPARE * wanted * total / left) + wanted
        if fetched > MOST_FETCHED:
            return None
        with self._lock:
            self._graph.expansion_search = max(self.recall.looked_at, fetched)
            found = np.asarray(self._graph.search(unit, min(fetched, total), threads=1).keys, np.int64)
        if may is not None:
            found = found[may[found]]
        if len(found) < count:
            return None
        return replace(self._vectors.among(unit, np.sort(found), count), is_exact=False)


def open_graph(path: Path) -> Any:  # noqa: ANN401 - usearch has no types
    """A graph on disk, of which only what a search goes through is read.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """
    try:
        from usearch.index import Index
    except ImportError as error:
        if (missing := missing_extra(error)) is not None:
            raise missing from error
        raise
    return Index.restore(str(path), view=True)


def read_recall(folder: Path) -> Recall:
    """What was measured when it was built."""
    return Recall(**json.loads((folder / RECALL).read_text("utf-8")))


def write_recall(folder: Path, recall: Recall) -> None:
    """Keep it beside the graph."""
    (folder / RECALL).write_text(json.dumps(asdict(recall)), "utf-8")
