"""Intervals: they cover, they know about subjects, and they stay honest at the ends."""

import numpy as np
import pytest
from scipy.stats import norm

from voxtile.evaluation.figures.bootstrap import (
    SubjectBootstrap,
    interval_over_seeds,
    logit_interval,
    normal_interval,
)
from voxtile.evaluation.figures.figures import FigureTable, Scores
from voxtile.evaluation.figures.metrics import auroc

SUBJECTS, SCANS, EFFECT, SHARED = 100, 2, 1.4, 0.7
TRUE_AUROC = float(norm.cdf(EFFECT / np.sqrt(2)))


def clustered(seed: int):
    """200 scans of 100 subjects; a subject's scans share most of their noise. Unit variance, so the AUROC is known."""
    rng = np.random.default_rng(seed)
    positive = rng.random(SUBJECTS) < 0.3
    own = rng.normal(size=SUBJECTS) * np.sqrt(SHARED)
    scores = np.repeat(own + EFFECT * positive, SCANS) + rng.normal(size=SUBJECTS * SCANS) * np.sqrt(1 - SHARED)
    return np.repeat(positive, SCANS), scores, np.repeat(np.arange(SUBJECTS).astype(str), SCANS), int(positive.sum())


def interval_of(labels, scores, subjects, effective, seed):
    draws = SubjectBootstrap(subjects, replicates=300, seed=seed)
    values = np.concatenate([auroc(labels, scores, weights) for weights in draws.weights()])
    return logit_interval(float(auroc(labels, scores)[0]), values, effective=effective)


def test_intervals_over_subjects_cover_and_those_over_scans_do_not():
    inside, naive = 0, 0
    for seed in range(200):
        labels, scores, subjects, positives = clustered(seed)
        interval = interval_of(labels, scores, subjects, min(positives, SUBJECTS - positives), seed)
        inside += interval.low <= TRUE_AUROC <= interval.high
        scans = np.arange(len(labels)).astype(str)
        interval = interval_of(labels, scores, scans, 2 * positives, seed)
        naive += interval.low <= TRUE_AUROC <= interval.high
    assert 0.91 <= inside / 200 <= 0.98
    assert naive < inside


def test_coverage_with_few_positives_close_to_one():
    inside, true = 0, float(norm.cdf(2.2 / np.sqrt(2)))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = np.arange(200) < 14
        scores = rng.normal(size=200) + 2.2 * labels
        interval = interval_of(labels, scores, np.arange(200).astype(str), 14, seed)
        inside += interval.low <= true <= interval.high
    assert 0.91 <= inside / 200 <= 0.985


def test_draws_repeat_with_the_seed_and_keep_subjects_whole():
    subjects = np.array(["b", "a", "b", "c"])
    first, second, other = (SubjectBootstrap(subjects, replicates=500, seed=seed) for seed in (3, 3, 4))
    weights = np.concatenate(list(first.weights()), axis=1)
    np.testing.assert_array_equal(weights, np.concatenate(list(second.weights()), axis=1))
    assert not np.array_equal(weights, np.concatenate(list(other.weights()), axis=1))
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[0] + weights[1] + weights[3], 3)


def test_replicates_do_not_depend_on_blocks(monkeypatch):
    subjects = np.arange(50).astype(str)
    whole = np.concatenate(list(SubjectBootstrap(subjects, replicates=40, seed=0).weights()), axis=1)
    monkeypatch.setattr("voxtile.evaluation.figures.bootstrap._BLOCK", 200)
    monkeypatch.setattr("voxtile.evaluation.figures.bootstrap._KEPT", 0)
    blocks = list(SubjectBootstrap(subjects, replicates=40, seed=0).weights())
    assert len(blocks) == 10
    np.testing.assert_array_equal(whole, np.concatenate(blocks, axis=1))


@pytest.mark.parametrize("effective", [10, 40, 200])
def test_a_perfect_figure_gets_the_exact_binomial_bound(effective):
    interval = logit_interval(1.0, np.ones(100), effective=effective)
    assert interval.high == 1.0
    assert interval.low**effective == pytest.approx(0.025)  # so many successes in a row, one time in forty
    mirrored = logit_interval(0.0, np.zeros(100), effective=effective)
    assert (mirrored.low, mirrored.high) == (0.0, pytest.approx(1 - interval.low))


def test_interval_stays_inside_zero_and_one_and_is_refused_when_draws_have_no_value():
    rng = np.random.default_rng(0)
    interval = logit_interval(0.99, np.clip(0.99 + 0.02 * rng.normal(size=500), 0, 1), effective=20)
    assert 0 < interval.low < 0.99 < interval.high < 1
    refused = logit_interval(0.9, np.r_[np.full(400, np.nan), rng.random(100)], effective=20)
    assert (refused.low, refused.high) == (None, None)


@pytest.mark.parametrize("effective", [3, 5, 12, 40, 500])
def test_few_subjects_get_the_quantile_of_student(effective):
    """The reach on the logit scale is the standard error times t(0.975, n − 1), of printed tables."""
    quantile = {3: 4.302653, 5: 2.776445, 12: 2.200985, 40: 2.022691, 500: 1.964729}[effective]
    draws = np.random.default_rng(0).normal(0.7, 0.05, 2000)
    interval = logit_interval(0.7, draws, effective=effective)
    error = draws.std(ddof=1) / (0.7 * 0.3)
    low, high = (np.log(bound / (1 - bound)) - np.log(0.7 / 0.3) for bound in (interval.low, interval.high))
    assert high == pytest.approx(quantile * error, rel=1e-3)
    assert low == pytest.approx(-quantile * error, rel=1e-3)


def test_two_sides_of_subjects_get_degrees_of_freedom_between_the_smaller_and_both():
    """Welch's for equal spreads: of 5 and 5 subjects 8, of 5 and very many 4 (Welch, Biometrika 34, 1947)."""
    draws = np.random.default_rng(0).normal(0.7, 0.05, 2000)
    error = draws.std(ddof=1) / (0.7 * 0.3)
    for other, quantile in ((5, 2.306004), (10**6, 2.776445)):
        high = logit_interval(0.7, draws, effective=5, other=other).high
        assert np.log(high / (1 - high)) - np.log(0.7 / 0.3) == pytest.approx(quantile * error, rel=1e-3)


def test_a_difference_reaches_1_96_standard_errors_to_both_sides():
    draws = np.random.default_rng(0).normal(0.1, 0.02, 4000)
    interval = normal_interval(0.1, draws)
    assert interval.high - 0.1 == pytest.approx(1.959964 * draws.std(ddof=1), rel=1e-5)
    assert 0.1 - interval.low == pytest.approx(1.959964 * draws.std(ddof=1), rel=1e-5)


def test_a_difference_that_few_subjects_carry_reaches_further():
    """Student's t of 11 degrees of freedom: 2.200985."""
    draws = np.random.default_rng(0).normal(0.1, 0.02, 4000)
    assert normal_interval(0.1, draws, effective=12).high - 0.1 == pytest.approx(2.200985 * draws.std(ddof=1), rel=1e-5)


def test_three_seeds_that_lie_apart_count_as_three():
    """With subjects that do not vary it is the t interval of a mean of three: 4.303 standard errors."""
    low, high = interval_over_seeds([0.7, 0.8, 0.9], np.full((3, 50), 0.8), subjects=100)
    assert (low + high) / 2 == pytest.approx(0.8)
    assert (high - low) / 2 == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)


def test_seeds_that_agree_leave_the_spread_over_subjects():
    draws = np.random.default_rng(0).normal(0.8, 0.02, (1, 4000)).repeat(3, 0)
    low, high = interval_over_seeds([0.8] * 3, draws, subjects=100_000)
    assert (0.8 - low, high - 0.8) == pytest.approx((1.96 * 0.02, 1.96 * 0.02), rel=0.05)


def test_a_side_that_no_draw_moves_still_counts_in_the_mean_of_both():
    """All ten with the finding are called so, which says of the next only that it is more than 0.69."""
    labels = np.arange(200) < 10
    called = labels | (np.arange(200) % 5 == 0)
    subjects = np.array([f"p{n:03d}" for n in range(200)])
    drawn = SubjectBootstrap(subjects, replicates=300, seed=0)
    table = FigureTable("t", ["c"], labels[:, None].astype(np.int8), subjects, drawn, exclusive=False)
    found = table.rows(Scores("m", "model", called[None, :, None].astype(float), called[None, :, None]))
    rows = {(row.metric, row.average): row for row in found}
    low, high = rows["specificity", "none"].low, rows["specificity", "none"].high
    both = rows["balanced_accuracy", "none"]
    assert both.value == pytest.approx((1 + 152 / 190) / 2)
    below = np.hypot(1 - 0.025 ** (1 / 10), 152 / 190 - low) / 2
    assert both.low == pytest.approx(both.value - below)
    assert both.high == pytest.approx(both.value + (high - 152 / 190) / 2)
    for metric in ("auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity"):
        one, mean = rows[metric, "none"], rows[metric, "macro"]
        assert (one.value, one.low, one.high) == (mean.value, mean.low, mean.high)  # a mean of one class is the class
