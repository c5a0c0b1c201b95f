"""Rows of drafted reports and of the texts beside them, with intervals on the same draws of subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.reports.figures import Ratio
from voxtile.evaluation.kinds.reports.task import ReportTask
from voxtile.evaluation.options import Options

DRAFTS, TRIVIAL, BLIND, OWN = "drafts", "trivial-report", "blind-drafts", "own-reports"
HEADLINE = "finding_f1"


@dataclass(frozen=True)
class Told:
    """One set of texts, one a case.

    Attributes:
        model, kind: of its rows.
        texts: [N].
    """

    model: str
    kind: ScoreKind
    texts: tuple[str, ...]


class ReportFigures:
    """Rows with intervals, on the same draws of subjects."""

    def __init__(self, task: ReportTask, units: Units, options: Options) -> None:
        self._task, self._units = task, units
        self.drawn = SubjectBootstrap(units.subjects, replicates=options.replicates, seed=options.seed)

    def rows(self, told: Told, ratios: Sequence[Ratio]) -> list[Row]:
        """A row a figure; one that nothing counts for has no value."""
        return [self._row(told, ratio) for ratio in ratios]

    def row(self, told: Told, metric: str, values: Floats, count: int) -> Row:
        """A row of a figure of all reports together."""
        subjects = len(np.unique(self._units.subjects))
        value, interval = self._interval(values, subjects)
        return Row(self._task.name, told.model, told.kind, metric, "micro", None, value, interval.low, interval.high,
                   count, count)  # fmt: skip

    def mean(self, told: Told, metric: str, scores: Floats, most: float) -> Row:
        """A row of the mean of a score from 0 to `most` that each report has."""
        ones = np.ones(len(scores))
        row = self._row(told, Ratio(metric, "micro", None, scores / most, ones, ones, len(scores)))
        value, low, high = (None if number is None else most * number for number in (row.value, row.low, row.high))
        return replace(row, value=value, low=low, high=high)

    def difference(self, own: Sequence[Ratio], others: Sequence[Sequence[Ratio]]) -> tuple[Difference, ...]:
        """F1 of findings, less that of the trivial report."""
        if not others or len(np.unique(self._units.subjects)) < MINIMUM:
            return ()
        values = own[0].values(self.drawn) - others[0][0].values(self.drawn)
        if not np.isfinite(values[0]):
            return ()
        subjects = len(np.unique(self._units.subjects))
        interval = normal_interval(float(values[0]), values[1:], effective=subjects)
        return (Difference(DRAFTS, TRIVIAL, float(values[0]), interval.low, interval.high, HEADLINE, "micro"),)

    def _row(self, told: Told, ratio: Ratio) -> Row:
        subjects = len(np.unique(self._units.subjects[ratio.counted > 0]))
        value, interval = self._interval(ratio.values(self.drawn), subjects)
        return Row(self._task.name, told.model, told.kind, ratio.metric, ratio.average, ratio.class_name, value,
                   interval.low, interval.high, int(ratio.counted.sum()), ratio.positives)  # fmt: skip

    def _interval(self, values: Floats, subjects: int) -> tuple[float | None, Interval]:
        if subjects < MINIMUM or not np.isfinite(values[0]):
            return None, Interval(None, None)
        value = float(np.clip(values[0], 0.0, 1.0))
        return value, logit_interval(value, values[1:], effective=subjects)
