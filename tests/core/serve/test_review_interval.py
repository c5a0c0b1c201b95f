"""The interval of an error rate covers it as often as it says, with subjects whose captions are alike."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from voxtile.serve.reviews.rates import clustered_rate

CARRIERS = 10  # subjects with the rarer outcome, from which on the interval is as narrow as it may be
ROUNDS = 800  # of the small version
GRID = [*product((10, 20, 60, 200), (0.02, 0.05, 0.15, 0.5), (0.0, 0.1, 0.3, 0.6))]
SMALL = [(10, 0.02, 0.6), (20, 0.15, 0.6), (40, 0.05, 0.6), (60, 0.15, 0.0), (200, 0.15, 0.1)]


@dataclass
class Simulated:
    """What came of many corpora.

    Attributes:
        covered: share of them whose interval holds the truth.
        carriers: mean number of subjects that carry the rarer outcome.
        width: mean width.
    """

    covered: float
    carriers: float
    width: float


def simulate(subjects, share, correlation, rounds, seed=3):
    """Corpora of 2 to 8 captions a subject, wrong by a beta-binomial law within it, so that its captions are alike."""
    rng = np.random.default_rng(seed)
    hits, carriers, widths = 0, [], []
    for _ in range(rounds):
        sizes = rng.integers(2, 9, subjects)
        odds = 1 / correlation - 1 if correlation else None
        own = rng.beta(share * odds, (1 - share) * odds, subjects) if odds else np.full(subjects, share)
        counts = rng.binomial(sizes, own)
        owner = np.repeat(np.arange(subjects), sizes)
        place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rate = clustered_rate((place < counts[owner]).astype(float), owner, 0.1)
        hits += rate.low <= share <= rate.high
        carriers.append(min((counts > 0).sum(), (counts < sizes).sum()))
        widths.append(rate.high - rate.low)
    return Simulated(hits / rounds, float(np.mean(carriers)), float(np.mean(widths)))


@pytest.mark.cases(2)
@pytest.mark.parametrize(("subjects", "share", "correlation"), SMALL)
def test_the_interval_covers_with_clustered_subjects(subjects, share, correlation):
    found = simulate(subjects, share, correlation, ROUNDS)
    noise = 2 * (0.95 * 0.05 / ROUNDS) ** 0.5
    assert found.covered >= 0.93 - noise
    if found.carriers >= CARRIERS:
        assert found.covered <= 0.97 + noise
    assert found.width < 0.6, "it says something all the same"


@pytest.mark.sweep
@pytest.mark.parametrize(("subjects", "share", "correlation"), GRID)
def test_the_interval_covers_93_percent_at_least_and_97_at_most_where_ten_subjects_have_errors(
    subjects, share, correlation
):
    found = simulate(subjects, share, correlation, 4000)
    print(f"{subjects} subjects, share {share}, correlation {correlation}: {found}")
    assert found.covered >= 0.93
    if found.carriers >= CARRIERS:
        assert found.covered <= 0.97
