"""CLIP_benchmark's rules (LAION; `clip-benchmark` 1.6.2, `metrics/`).

`zeroshot_classification.py` ranks equal scores in the order of the table (`average_precision_per_class`, a sort without
regard to ties). `zeroshot_retrieval.py` counts an image as found if any of its captions is among the first k: five
captions are five chances, but among five times as many texts, so that a model without skill gains nothing by it. Its
accuracies choose nothing and are ours to every digit (`benchmarks/clip_benchmark.py`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats, Labels, average_precision, recall

NAME = "clip-benchmark"


def table_order_precision(labels: Labels, scores: Floats) -> float:
    """Average precision where equal scores rank as they stand in the table.

    Args:
        labels: [N] bool.
        scores: [N].
    """
    ranked = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].sum() / max(1, ranked.sum()))


def precision_flattery(labels: npt.NDArray[np.int8], scores: Floats) -> Flattery | None:
    """Mean average precision by the order of the table beside ties counted at once; None without a usable class.

    Args:
        labels: [N, K], 1, 0 or -1.
        scores: [N, K].
    """
    pairs = []
    for k in range(labels.shape[1]):
        known = labels[:, k] >= 0
        truth, own = labels[known, k] == 1, scores[known, k]
        if truth.any():
            pairs.append((table_order_precision(truth, own), float(average_precision(truth, own)[0])))
    if not pairs:
        return None
    published, honest = np.mean(pairs, axis=0)
    rule = "equal scores rank in the order of the table"
    return Flattery(NAME, rule, "mean_average_precision", float(published), float(honest))


def accuracy_figures(classes: npt.NDArray[np.int64], scores: Floats) -> dict[str, float]:
    """`acc1`, `acc5` (from five classes on) and `mean_per_class_recall`.

    Args:
        classes: [N] number of the right class.
        scores: [N, K]; of equal scores the first class counts.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    hit = order == classes[:, None]
    kinds = [k for k in range(scores.shape[1]) if (classes == k).any()]
    recalls = [float(recall(classes == k, hit[:, 0])[0]) for k in kinds]
    figures = {"acc1": float(hit[:, 0].mean()), "mean_per_class_recall": float(np.mean(recalls))}
    return figures | ({"acc5": float(hit[:, :5].any(axis=1).mean())} if scores.shape[1] >= 5 else {})


def caption_flattery(images: Floats, texts: Floats, owner: npt.NDArray[np.int64], cutoff: int) -> Flattery:
    """Image-to-text recall where any own caption counts, beside one caption an image.

    The other figure gives each image a gallery with one of its captions and one of every other image, in turn for each
    of its captions: one chance, among as many texts as there are images.

    Args:
        images: [N, D] normalised.
        texts: [C, D] normalised.
        owner: [C] image of each caption; every image has one.
        cutoff: the k of recall@k.
    """
    similarity = images @ texts.T
    own = owner == np.arange(len(images))[:, None]
    rank_of_best = (similarity > np.where(own, similarity, -np.inf).max(axis=1, keepdims=True)).sum(axis=1)
    published = float((rank_of_best < cutoff).mean())
    turn = _turns(owner)
    found = []
    for number in range(int(turn.max()) + 1):
        picked = np.array([_pick(owner, image, number) for image in range(len(images))])
        part = similarity[:, picked]
        found.append((part > part.diagonal()[:, None]).sum(axis=1) < cutoff)
    rule = "an image counts as found by any of its captions"
    return Flattery(NAME, rule, f"image-to-text recall@{cutoff}", published, float(np.mean(found)))


def _turns(owner: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[C] the how-many-eth caption of its image each is."""
    seen: dict[int, int] = {}
    turns = []
    for image in owner.tolist():
        seen[image] = seen.get(image, -1) + 1
        turns.append(seen[image])
    return np.array(turns, dtype=np.int64)


def _pick(owner: npt.NDArray[np.int64], image: int, number: int) -> int:
    own = np.flatnonzero(owner == image)
    return int(own[number % len(own)])
