"""From recalls of single queries to rows: recall@k of both directions under both rules, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind
from voxtile.evaluation.kinds.retrieval.questions import DIRECTIONS, RULES, Direction, Rule

MEAN = "mean_recall"


@dataclass(frozen=True)
class Recalls:
    """Recall of every query, by one model or control.

    Attributes:
        model: name in the rows.
        kind: of the rows.
        values: [Z, K] by direction and rule, averaged over permutations in the shuffled control.
    """

    model: str
    kind: ScoreKind
    values: Mapping[tuple[Direction, Rule], Floats]


class RecallTable:
    """Makes the rows of one task.

    The bootstrap draws subjects of the queries, the same for both directions; the gallery stays whole.

    Args:
        task: its name.
        cutoffs: the K values of k.
        subjects: [Z] subject of each query, by direction.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        task: str,
        cutoffs: Sequence[int],
        subjects: Mapping[Direction, npt.NDArray[np.str_]],
        *,
        replicates: int,
        seed: int,
    ) -> None:
        self._task, self._cutoffs, self._subjects = task, tuple(cutoffs), subjects
        self._owner = {name: np.unique(s, return_inverse=True)[1] for name, s in subjects.items()}
        self._draws = {
            name: SubjectBootstrap(np.unique(s), replicates=replicates, seed=seed) for name, s in subjects.items()
        }
        self._effective = len(np.unique(subjects["image-to-text"]))
        self._means: dict[tuple[str, ScoreKind], Floats] = {}

    @property
    def refused(self) -> str | None:
        """Why there is no figure, or None."""
        if self._effective >= MINIMUM:
            return None
        return f"refused, the queries come from only {self._effective} subjects; a figure needs {MINIMUM} subjects"

    def rows(self, recalls: Recalls) -> list[Row]:
        """Rows of every k, direction and rule, then of their mean under each rule."""
        rows = []
        for rule in RULES:
            measured = {name: self._measured(name, recalls.values[name, rule]) for name in DIRECTIONS}
            for name, values in measured.items():
                for column, cutoff in enumerate(self._cutoffs):
                    rows.append(self._row(recalls, f"recall@{cutoff}", f"{name}/{rule}", values[:, column], name))
            mean = np.mean([values.mean(axis=1) for values in measured.values()], axis=0)
            rows.append(self._row(recalls, MEAN, rule, mean, "image-to-text"))
            if rule == "strict":
                self._means[recalls.model, recalls.kind] = mean
        return rows

    def difference(self, model: str, baseline: str) -> Difference | None:
        """Mean recall (strict) of a model less the trivial baseline's, with an interval from the same draws."""
        pair = self._means.get((model, "model")), self._means.get((baseline, "trivial"))
        if pair[0] is None or pair[1] is None or self.refused:
            return None
        values = pair[0] - pair[1]
        interval = normal_interval(float(values[0]), values[1:], effective=self._effective)
        return Difference(model, baseline, float(values[0]), interval.low, interval.high, MEAN, "macro")

    def _measured(self, direction: Direction, values: Floats) -> Floats:
        """[1 + R, K]: the figure and its replicates."""
        owner = self._owner[direction]
        sizes = np.bincount(owner)
        sums = np.stack([np.bincount(owner, weights=column) for column in values.T], axis=1)  # by subject
        drawn = [values.mean(axis=0, keepdims=True)]
        for weights in self._draws[direction].weights():
            drawn.append((weights.T @ sums) / (weights.T @ sizes)[:, None])
        return np.concatenate(drawn)

    def _row(self, recalls: Recalls, metric: str, name: str, values: Floats, direction: Direction) -> Row:
        figure, interval = None, Interval(None, None)
        if not self.refused:
            figure = float(values[0])
            interval = logit_interval(figure, values[1:], effective=self._effective)
        queries = len(self._subjects[direction])
        average: Average = "macro" if metric == MEAN else "none"
        return Row(
            self._task, recalls.model, recalls.kind, metric, average, name, figure, interval.low, interval.high,
            queries, queries,
        )  # fmt: skip
