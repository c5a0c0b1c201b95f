"""Intervals by bootstrap over subjects, for metrics between 0 and 1.

Subjects are drawn with replacement and bring all their units, so that several scans of one patient do not count as
independent. The standard error is taken from the replicates by the delta method on the logit scale and the interval is
symmetric there (Student's t, which widens it where few subjects carry the figure): it stays within 0 and 1 and, unlike
the plain percentile interval, covers at small sizes
(compare Qin & Hotilovac 2008, "Comparison of non-parametric confidence intervals for the area under the ROC curve").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from voxtile.evaluate.metrics import Floats

MINIMUM = 10
"""Positives and negatives, and subjects with them, that a figure needs."""

LEVEL = 0.95
_BLOCK = 4_000_000  # weights in memory at a time: 32 MB

Statistic: TypeAlias = Callable[[Floats], Floats]
"""From weights [N, R] to one value a replicate [R]."""


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
    """

    def __init__(self, subjects: Sequence[str] | npt.NDArray[np.str_], *, replicates: int, seed: int) -> None:
        self.replicates = replicates
        self._seed = seed
        _, self._subject = np.unique(np.asarray(subjects), return_inverse=True)

    def weights(self) -> Iterator[Floats]:
        """Blocks [N, r] of how often each unit is drawn."""
        count = int(self._subject.max()) + 1 if len(self._subject) else 0
        rng = np.random.default_rng(self._seed)
        share = np.full(count, 1 / count)
        block = max(1, min(self.replicates, _BLOCK // max(1, len(self._subject))))
        for start in range(0, self.replicates, block):
            drawn = rng.multinomial(count, share, size=min(block, self.replicates - start))
            yield np.ascontiguousarray(drawn.T[self._subject], dtype=np.float64)

    def replicate(self, statistics: Sequence[Statistic]) -> list[Floats]:
        """Values [replicates] of every statistic on the same draws."""
        parts: list[list[Floats]] = [[] for _ in statistics]
        for weights in self.weights():
            for values, statistic in zip(parts, statistics, strict=True):
                values.append(statistic(weights))
        return [np.concatenate(values) for values in parts]


def logit_interval(value: float, replicates: Floats, *, effective: int) -> Interval:
    """A 95 % interval of a figure between 0 and 1.

    Args:
        value: the figure itself.
        replicates: [R] its values under the bootstrap; NaN where a draw had no positives or no negatives.
        effective: number of subjects of the rarer side, less one the degrees of freedom. A figure of exactly 0 or 1,
            where all replicates agree and the bootstrap knows nothing, gets the exact binomial bound for that many
            successes in a row.
    """
    if value in (0.0, 1.0):
        bound = ((1 - LEVEL) / 2) ** (1 / max(1, effective))
        return Interval(bound, 1.0) if value == 1.0 else Interval(0.0, 1 - bound)
    valid = replicates[np.isfinite(replicates)]
    if len(valid) < max(2, len(replicates) // 2):
        return Interval(None, None)
    error = float(valid.std(ddof=1)) / (value * (1 - value))
    centre, reach = np.log(value / (1 - value)), float(student.ppf((1 + LEVEL) / 2, max(1, effective - 1))) * error
    low, high = 1 / (1 + np.exp(-(centre - reach))), 1 / (1 + np.exp(-(centre + reach)))
    return Interval(float(low), float(high))
