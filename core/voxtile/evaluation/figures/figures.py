"""From scores and labels to rows: figures per class, their macro and micro averages, all on the same bootstrap draws.

A class with fewer than ten subjects on either side gets no figure and is left out of the averages; its rows are there
with no value, and a note names it. The shuffled control averages the figure over permutations, never the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.bootstrap import (
    MINIMUM,
    Interval,
    SubjectBootstrap,
    interval_of_mean,
    logit_interval,
    normal_interval,
)
from voxtile.evaluation.figures.metrics import Floats, Weights, ranking, recall
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind

LabelMatrix: TypeAlias = npt.NDArray[np.int8]
RANKING = ("auroc", "average_precision")
DECISION = ("balanced_accuracy", "sensitivity", "specificity")
_SIDES = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Scores:
    """Scores of one model on the reported units.

    Attributes:
        model: name in the rows.
        kind: of the rows.
        values: [P, N, K]; P = 1, or the permutations of the shuffled control.
        called: [P, N, K] bool decisions.
        undecided: classes without a decision threshold: their columns of `called` mean nothing.
        unfitted: classes that nothing could be learned of: none of their columns mean anything, and they get no figure.
    """

    model: str
    kind: ScoreKind
    values: Floats
    called: npt.NDArray[np.bool_]
    undecided: frozenset[str] = frozenset()
    unfitted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Counts:
    """How much evidence there is: units, and the subjects that they come from."""

    n: int
    positives: int
    positive_subjects: int
    negative_subjects: int

    @property
    def effective(self) -> int:
        """Subjects of the rarer side."""
        return min(self.positive_subjects, self.negative_subjects)

    @property
    def enough(self) -> bool:
        """Whether a figure may be given."""
        return self.effective >= MINIMUM


def count(labels: npt.NDArray[np.int8], subjects: npt.NDArray[np.str_]) -> Counts:
    """Evidence for one class, from its labels [N] (-1 left out)."""
    positive, negative = labels == 1, labels == 0
    return Counts(
        n=int((labels >= 0).sum()),
        positives=int(positive.sum()),
        positive_subjects=len(np.unique(subjects[positive])),
        negative_subjects=len(np.unique(subjects[negative])),
    )


@dataclass(frozen=True)
class Difference:
    """A figure of a model less that of the trivial baseline, paired over subjects."""

    model: str
    baseline: str
    value: float
    low: float | None
    high: float | None
    metric: str
    average: Average


@dataclass(frozen=True)
class _Cells:
    """The (unit, class) pairs that a figure is about: M unit indices, M class indices, M labels."""

    units: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.bool_]

    def measure(self, scores: Scores, weights: Weights) -> dict[str, Floats]:
        """Every metric under weights [N, R]: arrays [R], the mean over permutations."""
        weights = weights[self.units]
        parts: dict[str, list[Floats]] = {metric: [] for metric in (*RANKING, "sensitivity", "specificity")}
        for values, called in zip(scores.values, scores.called, strict=True):
            score, decision = values[self.units, self.classes], called[self.units, self.classes]
            for metric, value in zip(RANKING, ranking(self.labels, score, weights), strict=True):
                parts[metric].append(value)
            parts["sensitivity"].append(recall(self.labels, decision, weights))
            parts["specificity"].append(recall(~self.labels, ~decision, weights))
        result = {metric: np.mean(values, axis=0) for metric, values in parts.items()}
        result["balanced_accuracy"] = (result["sensitivity"] + result["specificity"]) / 2
        return result


class FigureTable:
    """Makes the rows of one task.

    Args:
        task: its name.
        classes: names of the K classes.
        labels: [N, K], 1, 0 or -1.
        subjects: [N].
        bootstrap: the draws, of the same subjects.
        exclusive: the classes exclude each other (single-label of three or more): balanced accuracy is then the mean
            recall over classes and has no value for one class.

    Attributes:
        counts: the evidence for each class.
        reported: names of the classes with enough of it.
        size: `units` and `subjects` that figures are of: those with a label of a reported class.
        unlabelled: how many units have none.
    """

    def __init__(
        self,
        task: str,
        classes: Sequence[str],
        labels: LabelMatrix,
        subjects: npt.NDArray[np.str_],
        bootstrap: SubjectBootstrap,
        *,
        exclusive: bool,
    ) -> None:
        self._task, self._labels, self._bootstrap, self.exclusive = task, labels, bootstrap, exclusive
        self.counts = {name: count(labels[:, k], subjects) for k, name in enumerate(classes)}
        self.reported = tuple(name for name in classes if self.counts[name].enough)
        self._quarter = bootstrap.quarter()
        self._column = {name: k for k, name in enumerate(classes)}
        self._subjects = len(np.unique(subjects))
        known = (labels[:, [self._column[name] for name in self.reported]] >= 0).any(axis=1)
        self.size = {"units": int(known.sum()), "subjects": len(np.unique(subjects[known]))}
        self.unlabelled = len(labels) - self.size["units"]
        self._macro_auroc: dict[tuple[str, ScoreKind], Floats] = {}

    @property
    def drawn(self) -> SubjectBootstrap:
        """The draws of subjects."""
        return self._bootstrap

    def rows(self, scores: Scores) -> list[Row]:
        """Rows of every metric: macro, micro, then each class; empty where no class has enough evidence."""
        if not self.reported:
            return []
        measured = {name: self._measured(scores, [name]) for name in self.reported if name not in scores.unfitted}
        if not measured:
            return [self._refused(scores, metric) for metric in (*RANKING, *DECISION)]
        pooled = self._measured(scores, self.reported) if len(self.reported) > 1 else None
        rows: list[Row] = []
        for metric in (*RANKING, *DECISION):
            decided = [n for n in measured if metric in RANKING or n not in scores.undecided]
            if not decided:
                continue
            macro = {m: np.mean([measured[name][m] for name in decided], axis=0) for m in measured[decided[0]]}
            if self.exclusive:
                macro["balanced_accuracy"] = macro["sensitivity"]
            rows.append(self._average(scores, metric, "macro", macro, decided))
            if metric == "auroc":
                self._macro_auroc[scores.model, scores.kind] = macro[metric]
            if pooled and len(decided) == len(self.reported) and not (self.exclusive and metric in DECISION):
                rows.append(self._average(scores, metric, "micro", pooled, self.reported))
            if not (self.exclusive and metric == "balanced_accuracy"):
                rows.extend(self._classes(scores, metric, {name: measured[name] for name in decided}))
        return rows

    def difference(self, model: str, baseline: str, kind: ScoreKind = "trivial") -> Difference | None:
        """Macro AUROC of a model less another's, with an interval from the same draws of subjects.

        Args:
            model: whose rows were made here.
            baseline: likewise.
            kind: of the baseline's rows.
        """
        pair = self._macro_auroc.get((model, "model")), self._macro_auroc.get((baseline, kind))
        if pair[0] is None or pair[1] is None:
            return None
        values = pair[0] - pair[1]
        interval = normal_interval(float(values[0]), values[1:], effective=self._carrying(self.reported))
        return Difference(model, baseline, float(values[0]), interval.low, interval.high, RANKING[0], "macro")

    def _measured(self, scores: Scores, names: Sequence[str]) -> dict[str, Floats]:
        """Every metric over the pooled cells of some classes: [1 + R], the figure itself and its replicates."""
        cells = self._cells(names)
        blocks = [cells.measure(scores, weights) for weights in self._weights(scores.kind)]
        return {metric: np.concatenate([block[metric] for block in blocks]) for metric in blocks[0]}

    def _weights(self, kind: ScoreKind) -> Iterator[Weights]:
        yield np.ones((len(self._labels), 1))
        yield from (self._quarter if kind == "shuffled" else self._bootstrap).weights()

    def _cells(self, names: Sequence[str]) -> _Cells:
        columns = np.array([self._column[name] for name in names])
        units, places = np.nonzero(self._labels[:, columns] >= 0)
        classes = columns[places]
        return _Cells(units, classes, self._labels[units, classes] == 1)

    def _classes(self, scores: Scores, metric: str, measured: Mapping[str, Mapping[str, Floats]]) -> Iterator[Row]:
        for name, counts in self.counts.items():
            if name in measured:
                interval, values = self._interval(metric, measured[name], [name]), measured[name][metric]
                yield self._row(scores, metric, "none", name, values, interval, counts.n, counts.positives)
            elif not counts.enough or name in scores.unfitted:
                yield self._row(scores, metric, "none", name, None, Interval(None, None), counts.n, counts.positives)

    def _refused(self, scores: Scores, metric: str) -> Row:
        """A macro row without a value."""
        none = Interval(None, None)
        positives = sum(self.counts[name].positives for name in self.reported)
        return self._row(scores, metric, "macro", None, None, none, len(self._labels), positives)

    def _average(
        self, scores: Scores, metric: str, average: Average, measured: Mapping[str, Floats], names: Sequence[str]
    ) -> Row:
        known = (self._labels[:, [self._column[name] for name in names]] >= 0).any(axis=1)
        positives = sum(self.counts[name].positives for name in names)
        interval = self._interval(metric, measured, names)
        return self._row(scores, metric, average, None, measured[metric], interval, int(known.sum()), positives)

    def _interval(self, metric: str, measured: Mapping[str, Floats], names: Sequence[str]) -> Interval:
        """Of a figure of one class, or of an average over several, by every metric's figure and its replicates."""
        if metric == "balanced_accuracy" and not self.exclusive:
            sides = [(float(measured[side][0]), self._interval(side, measured, names)) for side in _SIDES]
            return interval_of_mean(*sides)
        values, effective, other = measured[metric], self._carrying(names), None
        if len(names) == 1:
            counts = self.counts[names[0]]
            sides_of = {"sensitivity": counts.positive_subjects, "specificity": counts.negative_subjects}
            effective = sides_of.get(metric, counts.effective)
            other = max(sides_of.values()) if metric == "auroc" else None
        return logit_interval(float(values[0]), values[1:], effective=effective, other=other)

    def _carrying(self, names: Sequence[str]) -> int:
        """Subjects that carry an average over classes."""
        return min(self._subjects, sum(self.counts[name].effective for name in names))

    def _row(
        self,
        scores: Scores,
        metric: str,
        average: Average,
        name: str | None,
        values: Floats | None,
        interval: Interval,
        n: int,
        positives: int,
    ) -> Row:
        value = None if values is None else float(values[0])
        return Row(
            self._task,
            scores.model,
            scores.kind,
            metric,
            average,
            name,
            value,
            interval.low,
            interval.high,
            n,
            positives,
        )
