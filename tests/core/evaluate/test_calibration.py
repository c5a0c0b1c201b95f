"""Calibration against torchmetrics and against a known temperature."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.calibration import (
    calibration,
    calibration_figures,
    calibration_gaps,
    fit_temperature,
    with_temperature,
)


def test_the_error_is_that_of_torchmetrics_for_any_weights():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(500) < 0.3, rng.random(500)
    expected = binary_calibration_error(torch.tensor(scores), torch.tensor(labels).long(), n_bins=10).item()
    assert calibration(labels, scores).error == pytest.approx(expected, abs=1e-6)
    drawn = rng.integers(0, 500, 500)
    weights = np.bincount(drawn, minlength=500)[:, None].astype(np.float64)
    again = np.abs(calibration_gaps(np.arange(500), labels, scores, weights)).sum()
    assert again == pytest.approx(calibration(labels[drawn], scores[drawn]).error, abs=1e-12)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_temperature_that_made_scores_overconfident_is_found_on_validation(exclusive):
    """Scores are true probabilities with their logits multiplied by 3."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6000, 3))
    if exclusive:
        true = softmax(logits, axis=1)
        right = (true.cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
        labels, scores = np.eye(3, dtype=np.int8)[right], softmax(3 * logits, axis=1)
    else:
        labels, scores = (rng.random(logits.shape) < expit(logits)).astype(np.int8), expit(3 * logits)
    assert fit_temperature(labels, scores, exclusive=exclusive) == pytest.approx(3, rel=0.06)
    drawn = SubjectBootstrap([str(i) for i in range(3000)], replicates=100, seed=0)
    plain, fitted = calibration_figures(
        "m", labels[:3000], scores[:3000], (labels[3000:], scores[3000:]), drawn, exclusive=exclusive
    )
    assert plain.temperature is None
    assert plain.error > 0.1
    assert fitted.error < 0.03
    assert fitted.brier < plain.brier
    assert plain.low < plain.error < plain.high


@pytest.mark.parametrize(("sharper", "truth"), [(1.0, 0.0), (2.0, 0.096)])
def test_the_interval_holds_the_error_of_a_study_without_end(sharper, truth):
    """Of true probabilities as well, whose error in 100 units is 0.1 by luck."""
    held = []
    for study in range(150):
        rng = np.random.default_rng(study)
        true = rng.random(100)
        labels, scores = (rng.random(100) < true)[:, None].astype(np.int8), expit(sharper * logit(true))[:, None]
        drawn = SubjectBootstrap([str(n) for n in range(100)], replicates=200, seed=0)
        (found,) = calibration_figures("m", labels, scores, None, drawn, exclusive=False)
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.9


def test_of_classes_that_exclude_each_other_the_chosen_one_counts():
    """Over all cells the error of forty classes would be a twentieth of this."""
    rng = np.random.default_rng(4)
    logits = 6 * rng.normal(size=(500, 40))
    scores, truth = softmax(logits, axis=1), (logits + 6 * rng.normal(size=logits.shape)).argmax(axis=1)
    labels = np.eye(40, dtype=np.int8)[truth]
    labels[::7] = -1  # no class, or more than one
    known = labels[:, 0] >= 0
    drawn = SubjectBootstrap([str(n) for n in range(500)], replicates=100, seed=0)
    (found,) = calibration_figures("m", labels, scores, None, drawn, exclusive=True)
    told = torch.tensor(scores[known]), torch.tensor(truth[known])
    expected = multiclass_calibration_error(*told, num_classes=40, n_bins=10).item()
    assert found.error == pytest.approx(expected, abs=1e-6)
    assert found.low < found.error < found.high
    assert found.brier == pytest.approx(brier_score_loss(truth[known], scores[known], labels=range(40)), abs=1e-12)
    assert found.n == known.sum()


def test_a_temperature_changes_no_ranking_and_needs_evidence():
    rng = np.random.default_rng(2)
    scores = rng.random((50, 2))
    cooled = with_temperature(scores, 0.4, exclusive=False)
    np.testing.assert_array_equal(np.argsort(cooled, axis=0), np.argsort(scores, axis=0))
    few = np.array([[1], [0]] * 9, dtype=np.int8)
    assert fit_temperature(few, rng.random((18, 1)), exclusive=False) is None


def test_scans_of_few_patients_do_not_count_as_independent():
    """Twelve patients bear the interval, told a hundred times each as well as once."""
    rng = np.random.default_rng(3)
    scores = rng.random((12, 1))
    labels = (rng.random((12, 1)) < scores).astype(np.int8)
    intervals = []
    for scans in (1, 100):
        drawn = SubjectBootstrap(np.repeat([f"{n:02}" for n in range(12)], scans), replicates=400, seed=0)
        values = np.repeat(labels, scans, 0), np.repeat(scores, scans, 0)
        (found,) = calibration_figures("m", *values, None, drawn, exclusive=False)
        intervals.append((found.low, found.error, found.high))
    assert intervals[0] == pytest.approx(intervals[1])
