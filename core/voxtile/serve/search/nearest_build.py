"""Building the graph of neighbours, in a process of its own that gives way to the server; it tells how far it is.

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
from voxtile.serve.search.nearest import GRAPH, MOST_FETCHED, RANKED, Recall, open_graph, write_recall
from voxtile.serve.search.vectors import Floats, VectorFile

WANTED = 0.99
"""Recall of the ten nearest from which the graph is searched by."""

_CONNECTIONS, _LOOKED_AT_ADDING = 32, 128  # of HNSW: M and efConstruction
_QUERIES = 128  # samples by which how far to look is chosen; as many others say the recall
_NEAREST = 10
_CHUNK = 4096


def build(folder: Path, width: int, queries: Floats, out: Path, tell: Callable[[int, int], None]) -> Recall:
    """Build the graph, choose how far it looks, and measure its recall on other queries.

    Args:
        folder: of the vectors (`vectors.f16`, `present.npy`).
        width: D.
        queries: [Q, D] texts; none is fine.
        out: folder for the graph.
        tell: called with how many samples are in, and of how many.
    """
    from usearch.index import Index

    vectors = VectorFile(folder / "vectors.f16", np.load(folder / "present.npy", allow_pickle=False), width)
    numbers = np.flatnonzero(vectors.present)
    graph: Any = Index(ndim=width, metric="cos", dtype="i8", connectivity=_CONNECTIONS, expansion_add=_LOOKED_AT_ADDING)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        graph.add(chunk.astype(np.uint64), vectors.vectors(chunk), threads=usable_processors())
        tell(start + len(chunk), len(numbers))
    graph.save(str(out / GRAPH))
    graph.reset()
    recall = _measured(open_graph(out / GRAPH), vectors, numbers, queries)
    write_recall(out, recall)
    vectors.close()
    return recall


def _measured(graph: Any, vectors: VectorFile, numbers: Numbers, queries: Floats) -> Recall:  # noqa: ANN401 - usearch has no types
    """How far to look, by half of the queries, and the recall on the other half."""
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(numbers, min(2 * _QUERIES, len(numbers)), replace=False))
    asked = np.concatenate([vectors.vectors(drawn), queries]).astype(np.float32)
    own = np.concatenate([drawn, np.full(len(queries), -1)])
    truth = exact_nearest(vectors, numbers, asked, own)
    chosen_by = np.arange(len(asked)) % 2 == 0
    is_image = own >= 0
    looked_at = RANKED
    while True:
        shares = _shares(graph, asked, own, truth, looked_at)
        groups = [shares[chosen_by & kind] for kind in (is_image, ~is_image)]
        if min(group.mean() for group in groups if len(group)) >= WANTED or looked_at >= MOST_FETCHED:
            break
        looked_at *= 2
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


def _shares(graph: Any, asked: Floats, own: Numbers, truth: Numbers, looked_at: int) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """[Q] share of the true neighbours that the graph finds among as many as the server fetches."""
    graph.expansion_search = looked_at
    shares = np.ones(len(asked))
    for place, query in enumerate(asked):
        found = np.asarray(graph.search(query, RANKED, threads=1).keys, np.int64)
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
