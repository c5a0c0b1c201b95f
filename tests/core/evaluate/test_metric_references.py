"""Every figure that a report has equals another library's to 1e-6, on random and on degenerate inputs, ties included.

scikit-learn and torchmetrics answer in the suite; MONAI and ranx (the extra `bench`), which take long to import and to
compile, in the sweep.
"""

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from torchmetrics.functional import classification as tm
from torchmetrics.functional import retrieval as tr

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.calibration import calibration
from voxtile.evaluation.figures.figures import FigureTable, Scores
from voxtile.evaluation.figures.metrics import auroc, average_precision, balanced_accuracy, best_threshold, recall
from voxtile.evaluation.kinds.grounding.overlap import answer
from voxtile.evaluation.kinds.neighbours.ranking import (
    average_precision_at,
    discounted_gain_at,
    precision_at,
    reciprocal_rank,
    shared_classes,
)
from voxtile.evaluation.kinds.retrieval.ranking import Questions, find_places

TOLERANCE = 1e-6


def binary(kind):
    """Labels, scores from 0 to 1 and decisions."""
    rng = np.random.default_rng(sum(kind.encode()))
    labels = rng.random(200) < 0.3
    scores = np.clip(0.3 * labels + 0.7 * rng.random(200), 0, 1)
    if kind == "ties":
        scores = np.round(scores, 1)
    elif kind == "constant":
        scores = np.full(200, 0.5)
    elif kind == "one positive":
        labels = np.arange(200) == 77
    elif kind == "one negative":
        labels = np.arange(200) != 77
    elif kind == "perfect":
        scores = np.where(labels, 0.9, 0.1) + 0.05 * rng.random(200)
    elif kind == "inverted":
        scores = 1 - scores
    elif kind == "two units":
        labels, scores = np.array([True, False]), np.array([0.25, 0.75])
    elif kind == "zeros and ones":
        scores = (scores > 0.5).astype(float)
    return labels, scores, scores > 0.5


def tensors(labels, scores):
    return torch.from_numpy(scores), torch.from_numpy(labels.astype(np.int64))


def best_balanced_accuracy(labels, scores):
    chosen = best_threshold(labels, scores)
    return balanced_accuracy(labels, scores > chosen)[0]


def sk_best_balanced_accuracy(labels, scores):
    """Of all thresholds that call at least the largest score positive and the smallest negative."""
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    inner = (true + 1 - false)[1:-1] / 2
    return inner.max() if len(inner) else 0.5


BINARY = {
    "auroc": (lambda y, s, _: auroc(y, s)[0], lambda y, s, _: sk.roc_auc_score(y, s)),
    "auroc, torchmetrics": (lambda y, s, _: auroc(y, s)[0], lambda y, s, _: tm.binary_auroc(*tensors(y, s))),
    "average_precision": (
        lambda y, s, _: average_precision(y, s)[0],
        lambda y, s, _: sk.average_precision_score(y, s),
    ),
    "average_precision, torchmetrics": (
        lambda y, s, _: average_precision(y, s)[0],
        lambda y, s, _: tm.binary_average_precision(*tensors(y, s)),
    ),
    "sensitivity": (lambda y, _, c: recall(y, c)[0], lambda y, _, c: sk.recall_score(y, c, zero_division=0)),
    "specificity": (
        lambda y, _, c: recall(~y, ~c)[0],
        lambda y, _, c: tm.binary_specificity(*tensors(y, c.astype(float))),
    ),
    "balanced_accuracy": (
        lambda y, _, c: balanced_accuracy(y, c)[0],
        lambda y, _, c: sk.balanced_accuracy_score(y, c),
    ),
    "balanced accuracy at the best threshold": (
        lambda y, s, _: best_balanced_accuracy(y, s),
        lambda y, s, _: sk_best_balanced_accuracy(y, s),
    ),
    "brier": (lambda y, s, _: calibration(y, s).brier, lambda y, s, _: sk.brier_score_loss(y, s)),
    "expected calibration error": (
        lambda y, s, _: calibration(y, s).error,
        lambda y, s, _: tm.binary_calibration_error(*tensors(y, s), n_bins=10, norm="l1"),
    ),
    "observed share by bin": (
        lambda y, s, _: calibration(y, s).observed,
        lambda y, s, _: calibration_curve(y, s, n_bins=10)[0],
    ),
    "mean score by bin": (
        lambda y, s, _: calibration(y, s).predicted,
        lambda y, s, _: calibration_curve(y, s, n_bins=10)[1],
    ),
}
KINDS = ("random", "ties", "constant", "one positive", "one negative", "perfect", "inverted", "two units",
         "zeros and ones")  # fmt: skip
ON_EDGES = {("ties", "expected calibration error"), ("ties", "observed share by bin"), ("ties", "mean score by bin")}
"""Scores that lie on the edge of a bin belong to the upper one here and to the lower one there."""


@pytest.mark.parametrize("metric", BINARY)
@pytest.mark.parametrize("kind", KINDS)
def test_of_one_class(metric, kind):
    labels, scores, called = binary(kind)
    if (kind, metric) in ON_EDGES:
        scores = np.clip(scores + 0.013, 0, 1)
    elif kind == "constant":
        scores = scores + 0.013
    ours, theirs = BINARY[metric]
    np.testing.assert_allclose(ours(labels, scores, called), theirs(labels, scores, called), atol=TOLERANCE)


def several(kind):
    """Labels [N, K] and scores that sum to 1 over classes."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 160)
    scores = rng.random((160, 4)) + np.eye(4)[truth] * (kind != "no skill")
    if kind == "ties":
        scores = np.round(scores * 2) + 0.5
    labels = np.eye(4, dtype=np.int8)[truth]
    return labels, scores / scores.sum(axis=1, keepdims=True)


def row_of(labels, scores, metric, average, *, exclusive=False):
    called = np.eye(4, dtype=bool)[scores.argmax(axis=1)] if exclusive else scores > 0.3
    names = np.arange(len(labels)).astype(str)
    table = FigureTable(
        "t", list("abcd"), labels, names, SubjectBootstrap(names, replicates=100, seed=0), exclusive=exclusive
    )
    rows = table.rows(Scores("m", "model", scores[None], called[None]))
    return next(r.value for r in rows if (r.metric, r.average) == (metric, average))


SEVERAL = {
    "macro auroc": (("auroc", "macro"), lambda y, s: sk.roc_auc_score(y, s, average="macro")),
    "micro auroc": (("auroc", "micro"), lambda y, s: sk.roc_auc_score(y, s, average="micro")),
    "macro average_precision": (
        ("average_precision", "macro"),
        lambda y, s: tm.multilabel_average_precision(*tensors(y, s), num_labels=4, average="macro"),
    ),
    "micro average_precision": (
        ("average_precision", "micro"),
        lambda y, s: sk.average_precision_score(y, s, average="micro"),
    ),
    "macro sensitivity": (("sensitivity", "macro"), lambda y, s: sk.recall_score(y, s > 0.3, average="macro")),
    "micro sensitivity": (("sensitivity", "micro"), lambda y, s: sk.recall_score(y, s > 0.3, average="micro")),
    "macro specificity": (
        ("specificity", "macro"),
        lambda y, s: tm.multilabel_specificity(*tensors(y, s), num_labels=4, average="macro", threshold=0.3),
    ),
    "micro specificity": (
        ("specificity", "micro"),
        lambda y, s: tm.multilabel_specificity(*tensors(y, s), num_labels=4, average="micro", threshold=0.3),
    ),
    "balanced accuracy of classes that exclude each other": (
        ("balanced_accuracy", "macro"),
        lambda y, s: sk.balanced_accuracy_score(y.argmax(axis=1), s.argmax(axis=1)),
    ),
    "one against the rest": (
        ("auroc", "macro"),
        lambda y, s: tm.multiclass_auroc(*tensors(y.argmax(axis=1), s), num_classes=4, average="macro"),
    ),
}


@pytest.mark.parametrize("metric", SEVERAL)
@pytest.mark.parametrize("kind", ["random", "ties", "no skill"])
def test_of_several_classes(metric, kind):
    labels, scores = several(kind)
    wanted, theirs = SEVERAL[metric]
    exclusive = "exclude" in metric or "rest" in metric
    np.testing.assert_allclose(
        row_of(labels, scores, *wanted, exclusive=exclusive), theirs(labels, scores), atol=TOLERANCE
    )


def searched(kind):
    """Similarities [Q, G] without ties (their order is by chance here), and what is right [Q, G]."""
    rng = np.random.default_rng(5)
    queries, gallery = {"random": (30, 40), "one item": (4, 1), "all right": (6, 9), "one right": (20, 25)}[kind]
    right = rng.random((queries, gallery)) < 0.2
    if kind == "all right":
        right[:] = True
    elif kind == "one right":
        right[:] = np.arange(gallery) == rng.integers(0, gallery, queries)[:, None]
    right[np.arange(queries), rng.integers(0, gallery, queries)] |= not right.any(axis=1).all()
    similarity = rng.permuted(np.tile(np.linspace(-1, 1, gallery), (queries, 1)), axis=1) + 0.3 * right
    return similarity + 1e-4 * rng.random(similarity.shape), right


def by_query(function, similarity, right, **options):
    """Torchmetrics' mean over queries; scores are moved above 0, below which it takes an item as not retrieved."""
    pairs = zip(torch.tensor(similarity + 2), torch.tensor(right), strict=True)
    return np.mean([function(scores, truth, **options).item() for scores, truth in pairs])


def recall_at(similarity, right, k):
    """Our recall@k from the similarities themselves: queries are unit vectors, whose dot product picks a row."""
    queries, gallery = similarity.shape
    start = np.concatenate([[0], np.cumsum(right.sum(axis=1))])
    items = np.nonzero(right)[1]
    asked = Questions(np.arange(queries), start, items, np.ones(len(items), np.int64))
    found = find_places(np.eye(queries), similarity.T / 2, np.ones(gallery, np.int64), asked)
    return found.recall((k,)).mean()


def ranked(similarity, values):
    return np.take_along_axis(values, np.argsort(-similarity, axis=1), axis=1)


def graded(right):
    return right * (1 + np.arange(right.shape[1]) % 3) / 3


def our_gain(similarity, right, k):
    gains = graded(right)
    return discounted_gain_at(ranked(similarity, gains), -np.sort(-gains, axis=1), k).mean()


SEARCH = {
    "recall@1": (lambda s, r: recall_at(s, r, 1), lambda s, r: by_query(tr.retrieval_hit_rate, s, r, top_k=1)),
    "recall@5": (lambda s, r: recall_at(s, r, 5), lambda s, r: by_query(tr.retrieval_hit_rate, s, r, top_k=5)),
    "recall@10": (lambda s, r: recall_at(s, r, 10), lambda s, r: by_query(tr.retrieval_hit_rate, s, r, top_k=10)),
    "precision@5": (
        lambda s, r: precision_at(ranked(s, r), 5).mean(),
        lambda s, r: by_query(tr.retrieval_precision, s, r, top_k=5),
    ),
    "map": (
        lambda s, r: average_precision_at(ranked(s, r), s.shape[1], r.sum(axis=1)).mean(),
        lambda s, r: sk.label_ranking_average_precision_score(r, s),
    ),
    "map, torchmetrics": (
        lambda s, r: average_precision_at(ranked(s, r), s.shape[1], r.sum(axis=1)).mean(),
        lambda s, r: by_query(tr.retrieval_average_precision, s, r),
    ),
    "mrr": (
        lambda s, r: reciprocal_rank(ranked(s, r)).mean(),
        lambda s, r: by_query(tr.retrieval_reciprocal_rank, s, r),
    ),
    "ndcg@5": (lambda s, r: our_gain(s, r, 5), lambda s, r: sk.ndcg_score(graded(r), s, k=5)),
    "ndcg@10": (lambda s, r: our_gain(s, r, 10), lambda s, r: sk.ndcg_score(graded(r), s, k=10)),
}


@pytest.mark.parametrize("metric", SEARCH)
@pytest.mark.parametrize("kind", ["random", "one item", "all right", "one right"])
def test_of_search(metric, kind):
    similarity, right = searched(kind)
    ours, theirs = SEARCH[metric]
    if similarity.shape[1] == 1 and metric.startswith("ndcg"):  # scikit-learn's needs two items
        theirs = lambda *_: 1.0  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics on k above the number of items
        np.testing.assert_allclose(ours(similarity, right), theirs(similarity, right), atol=TOLERANCE)


def test_shared_classes_are_jaccards_index():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2, (6, 5)).astype(np.int8) for _ in range(2))
    theirs = [[sk.jaccard_score(a, b, zero_division=0) for b in second] for a in first]
    np.testing.assert_allclose(shared_classes(first, second), theirs, atol=TOLERANCE)
    unknown = first.copy()
    unknown[:, 2] = -1
    without = np.delete(first, 2, axis=1), np.delete(second, 2, axis=1)
    np.testing.assert_allclose(shared_classes(unknown, second), shared_classes(*without), atol=TOLERANCE)


def masks(kind):
    rng = np.random.default_rng(9)
    first, second = rng.random((2, 6, 7, 8)) < 0.4
    if kind == "equal":
        second = first.copy()
    elif kind == "apart":
        second = ~first
    elif kind == "one voxel":
        second = np.zeros_like(first)
        second[0, 0, 0] = True
    elif kind == "empty answer":
        first = np.zeros_like(second)
    return first, second


OVERLAP = {
    "dice": (lambda a: 2 * a.both / a.sum, lambda p, t: sk.f1_score(t.ravel(), p.ravel(), zero_division=0)),
    "iou": (lambda a: a.both / a.either, lambda p, t: sk.jaccard_score(t.ravel(), p.ravel(), zero_division=0)),
}


@pytest.mark.parametrize("metric", OVERLAP)
@pytest.mark.parametrize("kind", ["random", "equal", "apart", "one voxel", "empty answer"])
def test_of_masks(metric, kind):
    predicted, target = masks(kind)
    ours, theirs = OVERLAP[metric]
    found = ours(answer(predicted, target, overlap=0.3, least_extent=1))
    assert found == pytest.approx(theirs(predicted, target), abs=TOLERANCE)


def test_there_are_more_than_twenty():
    names = {name.split(",")[0] for name in (*BINARY, *SEVERAL, *SEARCH, *OVERLAP)}
    assert len(names | {"shared classes"}) >= 20, sorted(names)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["random", "all right", "one right"])
def test_of_search_beside_ranx(kind, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # to compile it takes minutes, and a few queries need none
    ranx = pytest.importorskip("ranx")
    similarity, right = searched(kind)
    gains = (3 * graded(right)).round().astype(int)
    told = ranx.Qrels({f"q{q}": {f"d{d}": int(g) for d, g in enumerate(row) if g} for q, row in enumerate(gains)})
    run = ranx.Run({f"q{q}": {f"d{d}": float(s) for d, s in enumerate(row)} for q, row in enumerate(similarity)})
    theirs = ranx.evaluate(told, run, ["hit_rate@5", "precision@5", "map", "mrr", "ndcg@5"])
    ours = {
        "hit_rate@5": recall_at(similarity, right, 5),
        "precision@5": precision_at(ranked(similarity, right), 5).mean(),
        "map": average_precision_at(ranked(similarity, right), right.shape[1], right.sum(axis=1)).mean(),
        "mrr": reciprocal_rank(ranked(similarity, right)).mean(),
        "ndcg@5": our_gain(similarity, right, 5),
    }
    for name, value in ours.items():
        assert value == pytest.approx(float(theirs[name]), abs=TOLERANCE), name


@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["random", "equal", "apart", "one voxel", "empty answer"])
def test_of_masks_beside_monai(kind):
    metrics = pytest.importorskip("monai.metrics")
    predicted, target = masks(kind)
    found = answer(predicted, target, overlap=0.3, least_extent=1)
    pair = [torch.from_numpy(part[None, None]).float() for part in (predicted, target)]
    assert 2 * found.both / found.sum == pytest.approx(metrics.compute_dice(*pair).item(), abs=TOLERANCE)
    assert found.both / found.either == pytest.approx(metrics.compute_iou(*pair).item(), abs=TOLERANCE)
