"""Which patches stand for a slide: those that phrases find, then the most different ones of each cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def representatives(
    vectors: Floats,
    count: int,
    *,
    clusters: int = 16,
    phrases: Floats | None = None,
    phrase_share: float = 0.5,
    most_similar: float = 0.95,
    seed: int = 0,
) -> list[int]:
    """Choose patches, the first ones first.

    A share of them is found by phrases, in turn, each the most similar patch that is not a near-copy of a chosen one.
    The rest comes from k-means clusters, in turn from the largest, each the member farthest from all chosen ones
    (greedy k-centre: Gonzalez, TCS 38:293, 1985).

    Args:
        vectors: [N, D] L2-normalised embeddings of the patches.
        count: patches wanted; fewer are given where the others are near-copies.
        clusters: number of clusters, at most N.
        phrases: [P, D] L2-normalised embeddings of phrases, of the same model.
        phrase_share: share of `count` that phrases may find.
        most_similar: cosine similarity to a chosen patch above which a patch is a near-copy.
        seed: of the clustering.
    """
    if not len(vectors):
        return []
    chosen: list[int] = []
    nearest = np.full(len(vectors), -np.inf, np.float32)  # similarity to the most similar chosen patch

    def take(index: int) -> None:
        chosen.append(index)
        np.maximum(nearest, vectors @ vectors[index], out=nearest)
        nearest[index] = np.inf

    if phrases is not None and len(phrases):
        ranked = np.argsort(-(vectors @ phrases.T), axis=0, kind="stable")
        for index in islice(_by_phrases(ranked, nearest, most_similar), round(count * phrase_share)):
            take(index)
    members = _clusters(vectors, min(clusters, len(vectors)), seed)
    while len(chosen) < count:
        before = len(chosen)
        for cluster in members:
            farthest = int(cluster[np.argmin(nearest[cluster])])
            if len(chosen) < count and nearest[farthest] <= most_similar:
                take(farthest)
        if len(chosen) == before:
            break
    return chosen


def _by_phrases(ranked: npt.NDArray[np.int64], nearest: Floats, most_similar: float) -> Iterator[int]:
    """Best patch of each phrase in turn; what the caller takes meanwhile changes `nearest`."""
    queues = [iter(column.tolist()) for column in ranked.T]
    while queues:
        for queue in list(queues):
            found = next((index for index in queue if nearest[index] <= most_similar), None)
            if found is None:
                queues.remove(queue)
            else:
                yield found


def _clusters(vectors: Floats, count: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Members of each cluster, the largest cluster first."""
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(n_clusters=count, random_state=seed, n_init=3, batch_size=4096)
    labels = model.fit_predict(vectors)
    members = [np.flatnonzero(labels == label) for label in range(count)]
    return sorted((m for m in members if m.size), key=lambda m: (-m.size, int(m[0])))
