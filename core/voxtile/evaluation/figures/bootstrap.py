"""Intervals by bootstrap over subjects, for metrics between 0 and 1.

Subjects are drawn with replacement and bring all their units, so that several scans of one patient do not count as
independent. The standard error is taken from the replicates by the delta method on the logit scale and the interval is
symmetric there (Student's t, which widens it where few subjects carry the figure): it stays within 0 and 1 and, unlike
the plain percentile interval, covers at small sizes
(compare Qin & Hotilovac 2008, "Comparison of non-parametric confidence intervals for the area under the ROC curve").
`benchmarks/coverage.py` measures how often; docs/decisions/intervals.md has the figures and what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from voxtile.evaluation.figures.metrics import Floats

MINIMUM = 10
"""Positives and negatives, and subjects with them, that a figure needs."""

LEVEL = 0.95
_BLOCK = 4_000_000  # weights made at a time: 16 MB
_KEPT = 50_000_000  # weights kept between figures: 200 MB


@dataclass(frozen=True)
class Interval:
    """Bounds of a figure; both None where there is no honest interval."""

    low: float | None
    high: float | None


class SubjectBootstrap:
    """The same draws of subjects for every figure of a task.

    Args:
        subjects: [N] a subject a unit.
        replicates: number of draws.
        seed: of the draws.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import SubjectBootstrap
        >>> draws = SubjectBootstrap(["a", "a", "b", "c"], replicates=500, seed=0)
        >>> weights = np.concatenate(list(draws.weights()), axis=1)  # how often each unit is drawn
        >>> weights.shape, bool((weights[0] == weights[1]).all())  # the scans of a subject come together
        ((4, 500), True)
    """

    def __init__(self, subjects: Sequence[str] | npt.NDArray[np.str_], *, replicates: int, seed: int) -> None:
        self.replicates = replicates
        self._seed = seed
        self._kept: list[npt.NDArray[np.float32]] | None = None
        _, self._subject = np.unique(np.asarray(subjects), return_inverse=True)

    def quarter(self) -> SubjectBootstrap:
        """A quarter of the replicates (at least 100), for averages over many permutations."""
        return SubjectBootstrap(
            self._subject.astype(np.str_), replicates=max(100, self.replicates // 4), seed=self._seed
        )

    def subjects_of(self, units: npt.NDArray[np.int64]) -> int:
        """How many subjects the units of these numbers come from."""
        return len(np.unique(self._subject[units]))

    def weights(self) -> Iterator[npt.NDArray[np.float32]]:
        """Blocks [N, r] of how often each unit is drawn (whole numbers, so that float32 sums them exactly)."""
        if self._kept is None:
            blocks = self._drawn()
            if self.replicates * len(self._subject) > _KEPT:
                yield from blocks
                return
            self._kept = list(blocks)
        yield from self._kept

    def _drawn(self) -> Iterator[npt.NDArray[np.float32]]:
        count = int(self._subject.max()) + 1 if len(self._subject) else 0
        rng = np.random.default_rng(self._seed)
        share = np.full(count, 1 / count)
        block = max(1, min(self.replicates, _BLOCK // max(1, len(self._subject))))
        for start in range(0, self.replicates, block):
            drawn = rng.multinomial(count, share, size=min(block, self.replicates - start))
            yield np.ascontiguousarray(drawn.T[self._subject], dtype=np.float32)


def logit_interval(value: float, replicates: Floats, *, effective: int, other: int | None = None) -> Interval:
    """A 95 % interval of a figure between 0 and 1.

    Args:
        value: the figure itself.
        replicates: [R] its values under the bootstrap; NaN where a draw had no positives or no negatives.
        effective: number of subjects of the rarer side, less one the degrees of freedom. A figure of exactly 0 or 1,
            where all replicates agree and the bootstrap knows nothing, gets the exact binomial bound for that many
            successes in a row.
        other: number of subjects of the other side, for figures that are as uncertain of one side as of the other
            (AUROC): the degrees of freedom are then Welch's.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import logit_interval
        >>> replicates = np.random.default_rng(0).normal(0.9, 0.04, 1000)
        >>> found = logit_interval(0.9, replicates, effective=30)
        >>> bool(0 < found.low < 0.9 < found.high < 1)
        True
        >>> sure = logit_interval(1.0, np.ones(1000), effective=30)
        >>> round(sure.low, 3)  # of 30 right ones in a row: 0.025 ** (1 / 30)
        0.884
    """
    if value in (0.0, 1.0):
        bound = ((1 - LEVEL) / 2) ** (1 / max(1, effective))
        return Interval(bound, 1.0) if value == 1.0 else Interval(0.0, 1 - bound)
    spread = _spread(replicates)
    if spread is None:
        return Interval(None, None)
    error = spread / (value * (1 - value))
    freedom = max(1, effective - 1) if other is None else welch_freedom(effective, other)
    centre, reach = np.log(value / (1 - value)), float(student.ppf((1 + LEVEL) / 2, freedom)) * error
    low, high = 1 / (1 + np.exp(-(centre - reach))), 1 / (1 + np.exp(-(centre + reach)))
    return Interval(float(low), float(high))


def interval_of_mean(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """A 95 % interval of the mean of two figures that do not depend on each other, from the intervals of both.

    The distances to both bounds are added as squares (Zou and Donner, Statistics in Medicine 27:1693-1702, 2008). So a
    sensitivity of 1 of ten subjects, which no draw of these moves, still counts with its exact bound.

    Examples:
        >>> from voxtile.evaluation.figures.bootstrap import Interval, interval_of_mean
        >>> found = interval_of_mean((1.0, Interval(0.7, 1.0)), (0.8, Interval(0.4, 0.9)))
        >>> round(found.low, 3), round(found.high, 3)  # 0.9 less half of 0.5, and half of 0.1 more
        (0.65, 0.95)
    """
    (one, own), (two, theirs) = first, second
    if own.low is None or own.high is None or theirs.low is None or theirs.high is None:
        return Interval(None, None)
    middle, below, above = (one + two) / 2, (one - own.low, two - theirs.low), (own.high - one, theirs.high - two)
    return Interval(float(middle - np.hypot(*below) / 2), float(middle + np.hypot(*above) / 2))


def normal_interval(value: float, replicates: Floats, *, effective: int | None = None) -> Interval:
    """A 95 % interval of a difference of two figures, from its standard error under the bootstrap.

    Args:
        value: the difference.
        replicates: [R] its values under the bootstrap; NaN where a draw has none.
        effective: number of subjects that carry it, less one the degrees of freedom of Student's t; the normal
            distribution's quantile when left out.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import normal_interval
        >>> found = normal_interval(0.1, np.array([0.0, 0.1, 0.2]))
        >>> round(found.low, 3), round(found.high, 3)  # 0.1 ± 1.96 · 0.1
        (-0.096, 0.296)
    """
    spread = _spread(replicates)
    if spread is None:
        return Interval(None, None)
    freedom = np.inf if effective is None else max(1, effective - 1)
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * spread
    return Interval(value - reach, value + reach)


def interval_over_seeds(values: Sequence[float], draws: Floats, subjects: int) -> tuple[float, float]:
    """A 95 % interval of a mean over seeds, or of a difference that is paired by seed and subject.

    The variance is that over subjects and that over seeds added; Student's t has the degrees of freedom of Welch and
    Satterthwaite (Satterthwaite, Biometrics Bulletin 2:110, 1946), so that three seeds that lie far apart count as
    three.

    Args:
        values: of S seeds.
        draws: [S, R] the same under R draws of subjects, the same draws for all seeds.
        subjects: how many there are.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import interval_over_seeds
        >>> draws = np.tile(np.random.default_rng(0).normal(0.1, 0.02, 1000), (3, 1))
        >>> low, high = interval_over_seeds([0.1, 0.1, 0.1], draws, subjects=100)  # seeds agree: subjects alone decide
        >>> round(low, 2), round(high, 2)
        (0.06, 0.14)
        >>> low, high = interval_over_seeds([0.0, 0.1, 0.2], draws, subjects=100)
        >>> low < 0 < 0.2 < high
        True
    """
    by_subject, by_seed = float(draws.mean(0).var(ddof=1)), 0.0
    if len(values) > 1:
        by_seed = float(np.var(values, ddof=1)) / len(values)
    below = by_subject**2 / (subjects - 1) + (by_seed**2 / (len(values) - 1) if len(values) > 1 else 0)
    total, mean, reach = by_subject + by_seed, float(np.mean(values)), 0.0
    if total:
        reach = float(student.ppf((1 + LEVEL) / 2, total**2 / below)) * total**0.5
    return mean - reach, mean + reach


def welch_freedom(first: int, second: int) -> float:
    """Degrees of freedom of a sum of two means of as many subjects, of equal spread (Welch, Biometrika 34:28-35, 1947).

    Between those of the smaller side alone and those of both together.
    """
    first, second = max(2, first), max(2, second)
    return (1 / first + 1 / second) ** 2 / (1 / (first**2 * (first - 1)) + 1 / (second**2 * (second - 1)))


def _spread(replicates: Floats) -> float | None:
    """Standard deviation of the draws that have a value; None if fewer than half have."""
    valid = replicates[np.isfinite(replicates)]
    return float(valid.std(ddof=1)) if len(valid) >= max(2, len(replicates) // 2) else None
