"""Calibration against torchmetrics and against a known temperature."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torchmetrics.functional.classification import binary_calibration_error

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.calibration import (
    calibration,
    calibration_errors,
    calibration_figures,
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
    again = calibration_errors(np.arange(500), labels, scores, weights)
    assert again[0] == pytest.approx(calibration(labels[drawn], scores[drawn]).error, abs=1e-12)


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
