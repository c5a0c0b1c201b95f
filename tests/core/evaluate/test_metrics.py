"""Every metric equals scikit-learn's, ties and weights included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from voxtile.evaluation.figures.calibration import calibration
from voxtile.evaluation.figures.metrics import auroc, average_precision, balanced_accuracy, best_threshold, recall


@st.composite
def problems(draw: st.DrawFn):
    """Labels with both values, scores with ties, integer weights under which both labels remain."""
    n = draw(st.integers(2, 40))
    labels = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    labels[0], labels[1] = True, False
    scores = np.array(draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n)), dtype=float) / 3
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    weights[:2] = np.maximum(weights[:2], 1)
    return labels, scores, weights


@given(problems())
@settings(max_examples=150, deadline=None)
def test_ranking_metrics_equal_scikit_learn_with_ties_and_weights(problem):
    labels, scores, weights = problem
    columns = np.stack([np.ones_like(weights), weights], axis=1)
    expected = [sk.roc_auc_score(labels, scores, sample_weight=w) for w in columns.T]
    np.testing.assert_allclose(auroc(labels, scores, columns), expected, atol=1e-9)
    expected = [sk.average_precision_score(labels, scores, sample_weight=w) for w in columns.T]
    np.testing.assert_allclose(average_precision(labels, scores, columns), expected, atol=1e-9)


@given(problems())
@settings(max_examples=100, deadline=None)
def test_decision_metrics_equal_scikit_learn(problem):
    labels, scores, weights = problem
    called = scores > 0
    got = balanced_accuracy(labels, called, weights[:, None])[0]
    assert got == pytest.approx(sk.balanced_accuracy_score(labels, called, sample_weight=weights), abs=1e-9)
    assert recall(labels, called)[0] == pytest.approx(sk.recall_score(labels, called), abs=1e-9)
    assert recall(~labels, ~called)[0] == pytest.approx(sk.recall_score(labels, called, pos_label=False), abs=1e-9)


def test_large_distinct_scores_equal_scikit_learn():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(5000) < 0.1, rng.normal(size=5000)
    assert auroc(labels, scores)[0] == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-9)
    assert average_precision(labels, scores)[0] == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-9)


def test_a_replicate_without_positives_or_negatives_is_nan_and_not_a_number():
    labels, scores = np.array([True, False, False]), np.array([0.9, 0.1, 0.5])
    weights = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(np.isnan(auroc(labels, scores, weights)), [False, True, True])
    np.testing.assert_array_equal(np.isnan(average_precision(labels, scores, weights)), [False, True, False])
    np.testing.assert_array_equal(np.isnan(balanced_accuracy(labels, scores > 0.3, weights)), [False, True, True])


@given(problems())
@settings(max_examples=30, deadline=None)
def test_no_threshold_is_better_than_the_chosen_one(problem):
    labels, scores, _ = problem
    chosen = best_threshold(labels, scores)
    false_positives, true_positives, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    best = np.max(true_positives + 1 - false_positives) / 2
    assert chosen is not None
    reached = sk.balanced_accuracy_score(labels, scores > chosen)
    # Scores that run the wrong way have no threshold above the 0.5 of calling everything positive.
    assert reached == pytest.approx(best, abs=1e-12) or best == pytest.approx(0.5)


def test_threshold_lies_halfway_and_needs_both_labels():
    assert best_threshold(np.array([False, False, True]), np.array([0.1, 0.2, 0.8])) == pytest.approx(0.5)
    assert best_threshold(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert best_threshold(np.array([False]), np.array([0.1])) is None


def test_calibration_of_perfect_and_of_inverted_probabilities():
    scores = np.repeat([0.05, 0.95], 1000)
    labels = np.r_[np.arange(1000) < 50, np.arange(1000) < 950]
    good = calibration(labels, scores)
    assert good.error == pytest.approx(0, abs=1e-9)
    assert good.brier == pytest.approx(sk.brier_score_loss(labels, scores), abs=1e-12)
    bad = calibration(~labels, scores)
    assert bad.error == pytest.approx(0.9, abs=1e-9)
    np.testing.assert_array_equal(bad.sizes, [1000, 1000])


def test_a_threshold_between_neighbouring_numbers_parts_them():
    """Sigmoids of a sharp model end at 1 and at the number below it, whose mean rounds to 1."""
    below = np.nextafter(1.0, 0.0)
    labels, scores = np.array([False, False, True, True]), np.array([0.2, below, 1.0, 1.0])
    np.testing.assert_array_equal(scores > best_threshold(labels, scores), labels)
