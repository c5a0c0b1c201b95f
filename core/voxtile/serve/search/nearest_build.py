"""Building the inverted file of vectors, in a process of its own that gives way to the server; it tells how far it is.

    python -P -m voxtile.serve.search.nearest_build FOLDER WIDTH QUERIES OUT

FOLDER holds the vectors, QUERIES is an array of further queries, such as texts of the corpus. A line of two numbers,
samples that are in and all, is written to standard output from time to time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.processors import usable_processors
from voxtile.serve.sample_index import Numbers
from voxtile.serve.search.nearest import INDEX, RANKED, InvertedFile, Recall, import_faiss, write_recall
from voxtile.serve.search.vectors import Floats, VectorFile

WANTED = 0.99
"""Recall of the ten nearest from which searches go by the lists."""

_CHOSEN_WITH = (1 + WANTED) / 2  # on the queries by which it is chosen, so that others do not fall short by chance
_LISTS = 4  # times the root of the number of samples, as faiss advises
_MOST_LISTS = 8192
_LEARNED_FROM = 64  # vectors a list
_LEARNED_BYTES = 512 << 20
_ITERATIONS = 10  # of k-means
_QUERIES = 128  # samples by which how far to look is chosen; as many others say the recall
_NEAREST = 10
_CHUNK = 16_384


def build(folder: Path, width: int, queries: Floats, out: Path, tell: Callable[[int, int], None]) -> Recall:
    """Lay vectors out in lists, choose how many samples a search looks at, and measure its recall on other queries.

    Args:
        folder: of the vectors (`vectors.f16`, `present.npy`).
        width: D.
        queries: [Q, D] texts; none is fine.
        out: folder for the lists.
        tell: called with how many samples are in, and of how many.
    """
    faiss = import_faiss()
    faiss.omp_set_num_threads(usable_processors())
    vectors = VectorFile(folder / "vectors.f16", np.load(folder / "present.npy", allow_pickle=False), width)
    numbers = np.flatnonzero(vectors.present)
    index = _learned(faiss, vectors, numbers)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        index.add_with_ids(vectors.vectors(chunk), chunk)
        tell(start + len(chunk), len(numbers))
    faiss.write_index(index, str(out / INDEX))
    del index
    recall = _measured(InvertedFile(out), vectors, numbers, queries)
    write_recall(out, recall)
    vectors.close()
    return recall


def _learned(faiss: Any, vectors: VectorFile, numbers: Numbers) -> Any:  # noqa: ANN401 - faiss has no types
    """An empty inverted file whose centroids were learned from some of the vectors."""
    count = max(1, min(int(_LISTS * len(numbers) ** 0.5), _MOST_LISTS, len(numbers) // 2))
    quantizer = faiss.IndexFlatIP(vectors.width)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, vectors.width, count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, _ITERATIONS, 1
    index.cp.max_points_per_centroid = _LEARNED_FROM
    most = max(min(_LEARNED_FROM * count, _LEARNED_BYTES // (4 * vectors.width)), count)
    some = np.random.default_rng(0).choice(numbers, min(most, len(numbers)), replace=False)
    index.train(vectors.vectors(np.sort(some)))
    return index


def _measured(lists: InvertedFile, vectors: VectorFile, numbers: Numbers, queries: Floats) -> Recall:
    """How many samples to look at, by half of the queries, and the recall on the other half."""
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(numbers, min(2 * _QUERIES, len(numbers)), replace=False))
    asked = np.concatenate([vectors.vectors(drawn), queries]).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True).clip(1e-12)
    own = np.concatenate([drawn, np.full(len(queries), -1)])
    truth = exact_nearest(vectors, numbers, asked, own)
    chosen_by = np.arange(len(asked)) % 2 == 0
    is_image = own >= 0
    looked_at = min(RANKED, len(numbers))
    while True:
        shares = _shares(lists, asked, truth, looked_at)
        groups = [shares[chosen_by & kind] for kind in (is_image, ~is_image)]
        if min(group.mean() for group in groups if len(group)) >= _CHOSEN_WITH or looked_at >= len(numbers):
            break
        looked_at = min(looked_at * 3 // 2, len(numbers))
    words = shares[~chosen_by & ~is_image]
    return Recall(float(shares[~chosen_by & is_image].mean()), float(words.mean()) if len(words) else None, looked_at)


def exact_nearest(vectors: VectorFile, numbers: Numbers, asked: Floats, own: Numbers) -> Numbers:
    """[Q, 10] the nearest samples of each query, itself left out, all queries in one pass; -1 where there are fewer."""
    units = asked / np.linalg.norm(asked, axis=1, keepdims=True).clip(1e-12)
    best = np.full((len(asked), 0), -1, np.int64)
    cosines = np.zeros((len(asked), 0), np.float32)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        here = units @ vectors.vectors(chunk).T
        here[chunk[None, :] == own[:, None]] = -np.inf
        cosines = np.concatenate([cosines, here], axis=1)
        best = np.concatenate([best, np.broadcast_to(chunk, here.shape)], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :_NEAREST]
        cosines, best = np.take_along_axis(cosines, order, 1), np.take_along_axis(best, order, 1)
    return np.where(np.isfinite(cosines), best, -1)


def _shares(lists: InvertedFile, asked: Floats, truth: Numbers, looked_at: int) -> npt.NDArray[np.float64]:
    """[Q] share of the true neighbours that are found among as many as the server fetches."""
    shares = np.ones(len(asked))
    for place, query in enumerate(asked):
        found = lists.likely(query, RANKED, looked_at)
        wanted = truth[place][truth[place] >= 0]
        shares[place] = np.isin(wanted, found).mean() if len(wanted) else 1.0
    return shares


def main() -> None:
    """As a process of its own."""
    folder, width, queries, out = sys.argv[1:5]
    os.nice(10)

    def tell(done: int, total: int) -> None:
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()

    build(Path(folder), int(width), np.load(queries, allow_pickle=False), Path(out), tell)


if __name__ == "__main__":
    main()
