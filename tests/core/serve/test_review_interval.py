"""The interval of an error rate covers it as often as it says, with subjects whose captions are alike."""

import numpy as np
import pytest

from voxtile.serve.reviews.rates import clustered_rate

sweep = pytest.mark.sweep


def coverage(subjects, share, correlation, rounds, seed=3):
    """How often the interval holds the true share: 2 to 8 captions a subject, beta-binomial within it.

    Returns:
        Of all rounds that give an interval, and the mean width.
    """
    rng = np.random.default_rng(seed)
    hits, widths = 0, []
    for _ in range(rounds):
        sizes = rng.integers(2, 9, subjects)
        odds = 1 / correlation - 1 if correlation else None
        own = rng.beta(share * odds, (1 - share) * odds, subjects) if odds else np.full(subjects, share)
        wrong = np.concatenate([rng.random(n) < p for n, p in zip(sizes, own, strict=True)])
        rate = clustered_rate(wrong.astype(float), np.repeat(np.arange(subjects), sizes), 0.1)
        hits += rate.low <= share <= rate.high
        widths.append(rate.high - rate.low)
    return hits / rounds, float(np.mean(widths))
