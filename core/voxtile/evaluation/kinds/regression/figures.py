"""Figures of a regression: R², Spearman's correlation and the mean absolute error, with intervals over subjects.

`r2` is one less the squared error over that of the mean of the reported units (Draper & Smith, Applied Regression
Analysis, 1998, section 1.3): 0 is what a constant reaches, and below 0 is worse than it. `spearman` is the correlation
of ranks, equal numbers sharing theirs. `mae` is in the target's unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind

METRICS = ("r2", "spearman", "mae")
HEADLINE = "r2"


class NumberTable:
    """Makes the rows of one task; the model and its controls on the same draws of subjects.

    Args:
        task: its name.
        targets: the T names.
        numbers: [N, T] the truth, NaN where unknown.
        subjects: [N].
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        task: str,
        targets: Sequence[str],
        numbers: Floats,
        subjects: npt.NDArray[np.str_],
        *,
        replicates: int,
        seed: int,
    ) -> None:
        self._task, self._targets, self._numbers, self._subjects = task, tuple(targets), numbers, subjects
        self._replicates, self._seed = replicates, seed
        self._drawn: dict[tuple[ScoreKind, int], Floats] = {}

    def enough(self, target: int) -> bool:
        """Whether ten subjects have this number, and not all the same one."""
        known = np.isfinite(self._numbers[:, target])
        varies = len(np.unique(self._numbers[known, target])) > 1
        return bool(varies and self._known_subjects(target) >= MINIMUM)

    def _known_subjects(self, target: int) -> int:
        return len(np.unique(self._subjects[np.isfinite(self._numbers[:, target])]))

    def rows(self, model: str, kind: ScoreKind, told: Sequence[Floats]) -> list[Row]:
        """A row a target and metric; means over several predictions [N, T] where there are."""
        rows = []
        for t, name in enumerate(self._targets):
            known = np.isfinite(self._numbers[:, t])
            count = int(known.sum())
            if not self.enough(t):
                rows += [self._row(model, kind, metric, name, None, count) for metric in METRICS]
                continue
            truth, subjects = self._numbers[known, t], self._subjects[known]
            draws = SubjectBootstrap(subjects, replicates=self._replicates, seed=self._seed)
            if len(told) > 1:
                draws = draws.quarter()
            values = np.mean([_measured(truth, part[known, t], draws) for part in told], axis=0)
            self._drawn[kind, t] = values[:, METRICS.index(HEADLINE)]
            rows += [self._row(model, kind, metric, name, values[:, m], count, self._known_subjects(t))
                     for m, metric in enumerate(METRICS)]  # fmt: skip
        return rows

    def differences(self, model: str, baseline: str) -> tuple[Difference, ...]:
        """R² of the model less the trivial baseline's, by the same draws, of the first target that has figures."""
        for t in range(len(self._targets)):
            if ("model", t) in self._drawn and ("trivial", t) in self._drawn:
                values = self._drawn["model", t] - self._drawn["trivial", t]
                found = normal_interval(float(values[0]), values[1:], effective=self._known_subjects(t))
                return (Difference(model, baseline, float(values[0]), found.low, found.high, HEADLINE, "none"),)
        return ()

    def _row(
        self, model: str, kind: ScoreKind, metric: str, name: str, values: Floats | None, count: int, subjects: int = 0
    ) -> Row:
        figure, interval = None, Interval(None, None)
        if values is not None and np.isfinite(values[0]):
            figure = float(values[0])
            interval = _interval(metric, figure, values[1:], subjects)
        return Row(self._task, model, kind, metric, "none", name, figure, interval.low, interval.high, count, count)


def _interval(metric: str, value: float, replicates: Floats, subjects: int) -> Interval:
    """Of a correlation symmetric in Fisher's z (Fisher, Metron 1:3-32, 1921), of an error in its logarithm.

    The standard error is carried there by the delta method. Of R² it is symmetric in the figure itself.
    """
    if metric == "spearman" and abs(value) < 1:
        found = normal_interval(float(np.arctanh(value)), replicates / (1 - value**2), effective=subjects)
        low, high = (None if end is None else float(np.tanh(end)) for end in (found.low, found.high))
        return Interval(low, high)
    if metric == "mae" and value > 0:
        found = normal_interval(float(np.log(value)), replicates / value, effective=subjects)
        low, high = (None if end is None else float(np.exp(end)) for end in (found.low, found.high))
        return Interval(low, high)
    found = normal_interval(value, replicates, effective=subjects)
    return found if metric != "r2" or found.high is None else Interval(found.low, min(1.0, found.high))


def _measured(truth: Floats, told: Floats, draws: SubjectBootstrap) -> Floats:
    """[1 + R, 3] R², Spearman's correlation and the mean absolute error, of all units and of each draw."""
    every = [np.ones((len(truth), 1), np.float32), *draws.weights()]
    return np.concatenate([_weighted(truth, told, weights.astype(np.float64)) for weights in every])


def _weighted(truth: Floats, told: Floats, weights: Floats) -> Floats:
    """[R, 3] from how often each unit counts [N, R]."""
    total = weights.sum(axis=0)
    mean = truth @ weights / total
    error = np.square(truth - told) @ weights
    about_mean = np.square(truth) @ weights - total * mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - error / np.where(about_mean > 1e-12 * total * (1 + mean**2), about_mean, np.nan)
    absolute = np.abs(truth - told) @ weights / total
    ranks = [_correlation(truth, told, weights[:, r]) for r in range(weights.shape[1])]
    return np.stack([r2, np.array(ranks), absolute], axis=1)


def _correlation(truth: Floats, told: Floats, counts: Floats) -> float:
    """Spearman's, each unit as often as it was drawn."""
    times = counts.astype(np.int64)
    ranks = [rankdata(np.repeat(values, times)) for values in (truth, told)]
    centred = [values - values.mean() for values in ranks]
    spread = np.sqrt(np.square(centred[0]).sum() * np.square(centred[1]).sum())
    return float((centred[0] * centred[1]).sum() / spread) if spread else np.nan
