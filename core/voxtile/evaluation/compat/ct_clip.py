"""CT-CLIP's rules (Hamamci et al., 2024; github.com/ibrahimethemhamamci/CT-CLIP at a2a155c, `scripts/`).

Thresholds are chosen on the reported scans (`bootstrap_values.py`, `find_threshold`), and the scan that asks stands in
its own gallery (`volume_to_volume_new.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats, Labels

NAME = "ct-clip"
THRESHOLDS = np.linspace(0, 1, 100)  # as `find_threshold` tries them
CUTOFFS = (1, 5, 10, 50)  # `k_list` of `volume_to_volume_new.py`


def nearest_corner(labels: Labels, scores: Floats) -> float:
    """The threshold whose point lies nearest to the upper left corner of the ROC curve; of equal ones the largest.

    Rule: sqrt((1 − sensitivity)² + (1 − specificity)²) over 100 thresholds from 0 to 1 (`find_threshold`).

    Args:
        labels: [N] bool, with both values.
        scores: [N] in 0 to 1.
    """
    called = scores[:, None] > THRESHOLDS
    missed = 1 - called[labels].mean(axis=0)
    alarmed = called[~labels].mean(axis=0)
    distance = np.hypot(missed, alarmed)
    return float(THRESHOLDS[np.flatnonzero(distance <= distance.min())[-1]])


def decision_figures(labels: Labels, called: Labels) -> dict[str, float]:
    """Weighted F1, accuracy and precision as `bootstrap_values.py` reports them, and the balanced accuracy.

    Args:
        labels: [N] bool.
        called: [N] bool.
    """
    right, wrong = (labels & called).sum(), (~labels & called).sum()
    missed, left = (labels & ~called).sum(), (~labels & ~called).sum()
    positives, negatives = right + missed, left + wrong
    scores = [2 * hit / max(1, 2 * hit + wrong + missed) for hit in (right, left)]  # F1 of presence and of absence
    return {
        "weighted_f1": float((positives * scores[0] + negatives * scores[1]) / len(labels)),
        "accuracy": float((right + left) / len(labels)),
        "precision": float(right / max(1, right + wrong)),
        "balanced_accuracy": float((right / max(1, positives) + left / max(1, negatives)) / 2),
    }


def threshold_flattery(
    reported: tuple[npt.NDArray[np.int8], Floats], validation: tuple[npt.NDArray[np.int8], Floats]
) -> list[Flattery]:
    """Decisions with thresholds from the reported split beside thresholds by the same rule from validation.

    Args:
        reported: labels [N, K] (1, 0 or -1) and scores [N, K].
        validation: of the validation units.

    Returns:
        Means over the classes that have both labels in both splits; empty where none has.
    """
    found: list[tuple[dict[str, float], dict[str, float]]] = []
    for k in range(reported[0].shape[1]):
        (labels, scores), (other, known) = (_class(part, k) for part in (reported, validation))
        if min(labels.sum(), (~labels).sum(), other.sum(), (~other).sum()) > 0:
            cuts = nearest_corner(labels, scores), nearest_corner(other, known)
            found.append((decision_figures(labels, scores > cuts[0]), decision_figures(labels, scores > cuts[1])))
    if not found:
        return []
    rule = "threshold chosen on the reported split"
    means = {name: [float(np.mean([pair[side][name] for pair in found])) for side in (0, 1)] for name in found[0][0]}
    return [Flattery(NAME, rule, name, published, honest) for name, (published, honest) in means.items()]


def agreement(labels: npt.NDArray[np.bool_], order: npt.NDArray[np.int64], cutoff: int) -> Floats:
    """[Q] mean agreement of findings of each query with its first `cutoff` answers.

    Agreement is |both have it| / |either has it|, 0 where neither has any (`calc_similarity`).

    Args:
        labels: [N, K] findings.
        order: [Q, M] answers of each query, best first; query q is unit q.
        cutoff: how many count.
    """
    answers = labels[order[:, :cutoff]]  # [Q, k, K]
    own = labels[: len(order), None]
    both, either = (answers & own).sum(axis=2), (answers | own).sum(axis=2)
    result: Floats = np.divide(both, either, out=np.zeros(both.shape), where=either > 0).mean(axis=1)
    return result


def retrieval_flattery(embeddings: Floats, labels: npt.NDArray[np.int8], cutoffs: Sequence[int]) -> list[Flattery]:
    """Volume retrieval with the query in the gallery, beside without it.

    The published figure at the n-th cutoff is moreover the mean over the first n cutoffs, since the script never
    empties its list between them. The gallery holds the scans that have a finding.

    Args:
        embeddings: [N, D] normalised.
        labels: [N, K]; unknown counts as absent, as the published labels have no such value. Scans of which nothing is
            known are left out.
        cutoffs: the k.
    """
    labelled = (labels >= 0).any(axis=1)
    embeddings, findings = embeddings[labelled], labels[labelled] == 1
    gallery = np.flatnonzero(findings.any(axis=1))
    similarity = embeddings @ embeddings[gallery].T
    own = np.arange(len(embeddings))[:, None] == gallery
    with_self = gallery[np.argsort(-similarity, axis=1, kind="stable")]
    without = gallery[np.argsort(np.where(own, np.inf, -similarity), axis=1, kind="stable")]
    found, running = [], []
    for cutoff in (k for k in cutoffs if k < len(gallery)):
        running.append(float(agreement(findings, with_self, cutoff).mean()))
        honest = float(agreement(findings, without, cutoff).mean())
        rule = "the query is in its own gallery; figures of several k run into each other"
        found.append(Flattery(NAME, rule, f"agreement@{cutoff}", float(np.mean(running)), honest))
    return found


def _class(part: tuple[npt.NDArray[np.int8], Floats], k: int) -> tuple[Labels, Floats]:
    known = part[0][:, k] >= 0
    return part[0][known, k] == 1, part[1][known, k]
