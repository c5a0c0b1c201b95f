"""Vectors of samples from the table `embeddings`, and what curation does with them: near-duplicates and clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.storage import set_room_aside
from voxtile.errors import ConfigError
from voxtile_datasets.curation.candidates import Pool, scan
from voxtile_datasets.curation.similarity_links import STAYS, Int64s, Mask, resolve

Vectors: TypeAlias = npt.NDArray[np.float16]
MOST_FOR_ALL_PAIRS = 100_000
_BLOCK = 2048


def stored_vectors(pool: Pool, model: str | None, scratch: Path, option: str) -> tuple[Int64s, Vectors]:
    """Numbers of the selected samples that have a vector, ascending, and their normalised vectors [n, D].

    Args:
        pool: the samples.
        model: which model's; None where the corpus holds those of one only.
        scratch: folder for the vectors, which are memory-mapped.
        option: the option that needs them, for messages.

    Raises:
        ConfigError: there are none, or of several models.
    """
    name, width = embedding_model(pool.store, model, option)
    places = np.full(len(pool.keep), -1, np.int64)
    vectors = np.lib.format.open_memmap(
        scratch / "vectors.npy", mode="w+", dtype=np.float16, shape=(pool.samples, width)
    )
    set_room_aside(scratch / "vectors.npy")
    at = 0
    for uids, values in _batches(pool.store, name):
        own = pool.places(uids)
        new = (own >= 0) & pool.keep[own] & (places[own] < 0)
        chosen, given = own[new], _normalised(values[new])
        vectors[at : at + len(chosen)] = given
        places[chosen] = np.arange(at, at + len(chosen))
        at += len(chosen)
    samples = np.flatnonzero(places >= 0)
    if not len(samples):
        raise ConfigError(f"{option}: no selected sample has a vector of '{name}'; run voxtile embed CORPUS MODEL")
    ordered = np.lib.format.open_memmap(
        scratch / "ordered.npy", mode="w+", dtype=np.float16, shape=(len(samples), width)
    )
    set_room_aside(scratch / "ordered.npy")
    for start in range(0, len(samples), _BLOCK):
        ordered[start : start + _BLOCK] = vectors[places[samples[start : start + _BLOCK]]]
    return samples, ordered


def embedding_model(store: Corpus, model: str | None, option: str) -> tuple[str, int]:
    """Name and width of the model whose vectors the corpus holds.

    Raises:
        ConfigError: none, several and none is named, or not the one that is named.
    """
    widths: dict[str, int] = {}
    for batch in scan(store, "embeddings", ["model", "vector"]):
        lengths = pc.list_value_length(batch.column("vector"))
        for name in pc.unique(batch.column("model")).to_pylist():
            first = pc.index(batch.column("model"), name).as_py()
            widths.setdefault(name, lengths[first].as_py())
    if not widths:
        raise ConfigError(f"{option} needs vectors, and the corpus has none; run voxtile embed CORPUS MODEL first")
    if model is None and len(widths) > 1:
        raise ConfigError(f"{option}: the corpus has vectors of {', '.join(sorted(widths))}; choose with --embedding")
    chosen = next(iter(widths)) if model is None else model
    if chosen not in widths:
        raise ConfigError(f"--embedding: there are no vectors of '{chosen}'; there are those of {', '.join(widths)}")
    return chosen, widths[chosen]


def alike_vectors(vectors: Vectors, least: float, order: Int64s, fixed: Mask) -> Int64s:
    """Near-duplicates among all pairs; see `links.resolve`.

    Args:
        vectors: [n, D] normalised.
        least: least cosine of two that are alike.
        order: [n] numbers by falling priority.
        fixed: [n] those that stay.

    Returns:
        [n] the one that stays in each one's stead; `STAYS` for those that stay.
    """
    low, high = [], []
    for start in range(0, len(order), _BLOCK):
        rows = vectors[order[start : start + _BLOCK]].astype(np.float32)
        for begin in range(0, start + len(rows), _BLOCK):
            columns = vectors[order[begin : begin + _BLOCK]].astype(np.float32)
            one, other = np.nonzero(rows @ columns.T >= least)
            later = one + start > other + begin
            high.append(one[later] + start)
            low.append(other[later] + begin)
    by = resolve(len(order), np.concatenate(low), np.concatenate(high), fixed[order])
    result = np.full(len(order), STAYS, np.int64)
    result[order] = np.where(by == STAYS, STAYS, order[by])
    return result


def clusters_of(vectors: Vectors, count: int, seed: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """k-means on the sphere of directions: [n] cluster of each vector, and [n] its cosine with the centre."""
    from sklearn.cluster import MiniBatchKMeans  # late: it takes a second, and most curation makes no clusters

    count = min(count, len(vectors))
    model = MiniBatchKMeans(count, batch_size=_BLOCK, n_init=1, random_state=seed)
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(vectors))[: max(_BLOCK, 64 * count)])
    model.fit(vectors[sample].astype(np.float32))
    centres = model.cluster_centers_ / np.linalg.norm(model.cluster_centers_, axis=1, keepdims=True).clip(1e-12)
    labels, cosines = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        scores = vectors[start : start + _BLOCK].astype(np.float32) @ centres.T.astype(np.float32)
        labels[start : start + _BLOCK] = scores.argmax(1)
        cosines[start : start + _BLOCK] = scores.max(1)
    return labels, cosines


def semantic_duplicates(vectors: Vectors, epsilon: float, count: int, fixed: Mask, seed: int) -> Int64s:
    """SemDeDup: in each cluster, leave out what is within epsilon of a sample nearer to the rim.

    A cluster is gone through from the lowest cosine with its centre to the highest, and a sample is left out if its
    cosine with any before it is above 1 − epsilon (Abbas et al., "SemDeDup", 2023, with hard examples kept).

    Args:
        vectors: [n, D] normalised.
        epsilon: how far two may be apart.
        count: number of clusters.
        fixed: [n] those that stay; they come first.
        seed: of k-means.

    Returns:
        [n] the nearest one before, for each that is left out; `STAYS` for the others.
    """
    labels, cosines = clusters_of(vectors, count, seed)
    result = np.full(len(vectors), STAYS, np.int64)
    for members in _members(labels):
        ordered = members[np.lexsort((members, cosines[members], ~fixed[members]))]
        for start in range(0, len(ordered), _BLOCK):
            rows = vectors[ordered[start : start + _BLOCK]].astype(np.float32)
            before = vectors[ordered[: start + len(rows)]].astype(np.float32)
            alike = rows @ before.T
            later = np.arange(len(before))[None, :] >= start + np.arange(len(rows))[:, None]
            alike[later] = -np.inf
            best = alike.argmax(1)
            near = (alike[np.arange(len(rows)), best] > 1 - epsilon) & ~fixed[ordered[start : start + len(rows)]]
            result[ordered[start : start + len(rows)][near]] = ordered[best[near]]
    return result


def nearest_of_clusters(vectors: Vectors, count: int, budget: int, seed: int) -> Mask:
    """[n] the `budget` samples of each cluster that are nearest to its centre."""
    labels, cosines = clusters_of(vectors, count, seed)
    chosen = np.zeros(len(vectors), np.bool_)
    for members in _members(labels):
        chosen[members[np.lexsort((members, -cosines[members]))[:budget]]] = True
    return chosen


def _members(labels: npt.NDArray[np.int32]) -> Iterator[Int64s]:
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def vectors_by_uid(store: Corpus, model: str) -> dict[str, npt.NDArray[np.float16]]:
    """Normalised vectors [D] of all samples that have one."""
    found: dict[str, npt.NDArray[np.float16]] = {}
    for uids, values in _batches(store, model):
        found |= dict(zip(uids.to_pylist(), _normalised(values), strict=True))
    return found


def _batches(store: Corpus, model: str) -> Iterator[tuple[pa.Array, Vectors]]:
    for batch in scan(store, "embeddings", ["uid", "model", "vector"]):
        own = batch.filter(pc.equal(batch.column("model"), model))
        if len(own):
            values = pc.list_flatten(own.column("vector")).to_numpy(zero_copy_only=False)
            yield own.column("uid"), values.reshape(len(own), -1).astype(np.float16)


def _normalised(vectors: Vectors) -> Vectors:
    wide = vectors.astype(np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0), np.float16)
