"""Figures of many classes without their matrix of scores equal those of the matrix, ties and empty classes too."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from voxtile.errors import EvaluationError
from voxtile.evaluation import many_classes
from voxtile.evaluation.many_classes import many_class_figures


def problem(kind):
    rng = np.random.default_rng(0)
    classes = rng.normal(size=(12, 6))
    truth = rng.integers(0, 11, 400)  # the last class has no image
    images = 1.5 * classes[truth] + rng.normal(size=(400, 6))
    if kind == "ties":
        images, classes = np.sign(images), np.sign(classes)
    images, classes = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (images, classes))
    if kind == "float32":
        images, classes = images.astype(np.float32), classes.astype(np.float32)
    return images, classes, truth


@pytest.mark.parametrize("kind", ["random", "ties", "float32"])
def test_it_equals_the_whole_matrix(kind, monkeypatch):
    images, classes, truth = problem(kind)
    monkeypatch.setattr(many_classes, "_BLOCK", 900)  # blocks of 75 images, and of nine classes
    found = many_class_figures(images, classes, truth, scale=8.0)
    cosine = np.round(images.astype(np.float64) @ classes.astype(np.float64).T, 9)
    scores = softmax(8.0 * cosine, axis=1)
    own = cosine[np.arange(400), truth][:, None]
    for value, k in ((found.accuracy, 1), (found.accuracy_5, 5)):
        left = np.clip(k - (cosine > own).sum(axis=1), 0, None)
        assert value == pytest.approx(np.minimum(left / (cosine == own).sum(axis=1), 1).mean(), abs=1e-12)
    for k in range(11):
        assert found.auroc[k] == pytest.approx(sk.roc_auc_score(truth == k, scores[:, k].round(12)), abs=1e-9)
        want = sk.average_precision_score(truth == k, scores[:, k].round(12))
        assert found.average_precision[k] == pytest.approx(want, abs=1e-9)
    assert np.isnan([found.auroc[11], found.average_precision[11], found.recall[11]]).all()
    assert found.macro_auroc == pytest.approx(found.auroc[:11].mean())
    if kind != "ties":
        called = cosine.argmax(axis=1)
        assert found.accuracy == pytest.approx(sk.accuracy_score(truth, called))
        assert found.accuracy_5 == pytest.approx(sk.top_k_accuracy_score(truth, cosine, k=5, labels=np.arange(12)))
        recall = sk.recall_score(truth, called, average="macro", labels=range(11))
        assert found.balanced_accuracy == pytest.approx(recall)
    monkeypatch.setattr(many_classes, "_BLOCK", 10**9)
    whole = many_class_figures(images, classes, truth, scale=8.0)
    np.testing.assert_allclose(whole.auroc, found.auroc, atol=1e-12)


def test_an_image_or_class_whose_embedding_is_not_finite_is_named():
    images, classes, truth = problem("random")
    broken = images.copy()
    broken[77, 2] = np.nan
    with pytest.raises(EvaluationError, match="the embedding of image 77 is not finite"):
        many_class_figures(broken, classes, truth, scale=8.0)
    with pytest.raises(EvaluationError, match="the embedding of class 3 is not finite"):
        many_class_figures(images, np.where(np.arange(12)[:, None] == 3, np.inf, classes), truth, scale=8.0)
