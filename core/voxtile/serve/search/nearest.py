"""Approximate search beyond a million vectors: an inverted file (Jégou, Douze and Schmid, PAMI 2011) by faiss.

Vectors lie in lists, each round a centroid. A search reads the lists whose centroids are nearest to the query, until so
many samples were looked at as the recall was measured with. The lists hold the vectors in 8 bits a number and say which
samples are likely to be near; their cosines are those of the exact search.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.extras import missing_extra
from voxtile.serve.sample_index import Mask, Numbers
from voxtile.serve.search.vectors import Floats, Found, VectorFile

INDEX, RECALL = "nearest.faiss", "recall.json"
RANKED = 1000
"""Samples that are put in order by likeness; further ones say little."""

_SPARE = 1.3  # more than a filter's share says are fetched
_WORTH = 0.5  # a share of all samples from which looking at them is no quicker than the exact search


@dataclass(frozen=True)
class Recall:
    """Which share of the ten nearest samples it finds, on queries by which nothing was chosen.

    Attributes:
        images: of queries by samples, which are not their own neighbours.
        words: of queries by captions of the corpus; None where it has none.
        looked_at: samples that a search goes through at least.
    """

    images: float
    words: float | None
    looked_at: int

    @property
    def least(self) -> float:
        """The lower of the two."""
        return self.images if self.words is None else min(self.images, self.words)


class InvertedFile:
    """Lists of vectors on disk, of which only what a search goes through is read.

    Args:
        folder: where `voxtile.serve.search.nearest_build` wrote it.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._faiss = import_faiss()
        mapped = self._faiss.IO_FLAG_MMAP | self._faiss.IO_FLAG_READ_ONLY
        self._index: Any = self._faiss.read_index(str(folder / INDEX), mapped)
        self._centroids: Floats = self._index.quantizer.reconstruct_n(0, self._index.nlist)
        self._sizes = np.array([self._index.invlists.list_size(number) for number in range(self._index.nlist)])

    def likely(self, unit: Floats, count: int, looked_at: int) -> Numbers:
        """Samples that are likely to be nearest to a query, in no order.

        Args:
            unit: [D] of length 1.
            count: how many at most.
            looked_at: samples in the lists that are read, at least.
        """
        nearest_first = np.argsort(-(self._centroids @ unit), kind="stable")
        lists = 1 + int(np.searchsorted(np.cumsum(self._sizes[nearest_first]), looked_at))
        settings = self._faiss.SearchParametersIVF(nprobe=min(lists, len(self._sizes)))
        found = self._index.search(unit[None], count, params=settings)[1][0]
        return np.asarray(found[found >= 0], np.int64)


class Nearest:
    """Approximate search by an inverted file that was built.

    Args:
        folder: where it lies.
        vectors: those that it was built of.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """

    def __init__(self, folder: Path, vectors: VectorFile) -> None:
        self.recall = read_recall(folder)
        self._vectors = vectors
        self._lists = InvertedFile(folder)

    @property
    def is_quicker(self) -> bool:
        """Whether it finds what it should by looking at much fewer than all."""
        return self.recall.looked_at <= _WORTH * self._vectors.count

    def best(self, query: Floats, count: int, allowed: Mask | None = None) -> Found | None:
        """The samples nearest to a query by cosine, or None where the exact search is as quick, or alone can say.

        Of what is found without a filter those are left that it allows: where enough are, it lost none that is nearer.

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
        # As many as the recall was measured with, since 8 bits order roughly: of few the nearest may be missing.
        wanted = max(count, min(RANKED, left))
        fetched = min(wanted if may is None else int(_SPARE * wanted * total / left) + wanted, total)
        looked_at = max(self.recall.looked_at * fetched // RANKED, self.recall.looked_at)
        if looked_at > _WORTH * total:
            return None
        found = self._lists.likely(unit, fetched, looked_at)
        if may is not None:
            found = found[may[found]]
        if len(found) < count:
            return None
        return replace(self._vectors.among(unit, np.sort(found), count), is_exact=False)


def import_faiss() -> Any:  # noqa: ANN401 - faiss has no types
    """The library.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        if (missing := missing_extra(error)) is not None:
            raise missing from error
        raise
    return faiss


def read_recall(folder: Path) -> Recall:
    """What was measured when it was built."""
    return Recall(**json.loads((folder / RECALL).read_text("utf-8")))


def write_recall(folder: Path, recall: Recall) -> None:
    """Keep it beside the lists."""
    (folder / RECALL).write_text(json.dumps(asdict(recall)), "utf-8")
