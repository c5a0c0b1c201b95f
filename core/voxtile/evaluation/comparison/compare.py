"""Paired differences of two models: intervals over subjects, p values, and a correction for many classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import t as student

from voxtile.errors import EvaluationError
from voxtile.evaluation.comparison.delong import delong
from voxtile.evaluation.figures.bootstrap import LEVEL, MINIMUM, SubjectBootstrap, welch_freedom
from voxtile.evaluation.figures.figures import Counts, count
from voxtile.evaluation.figures.metrics import Floats, auroc

_NOTHING = 1e-12


@dataclass(frozen=True)
class Contrast:
    """One class of one task, or the mean of all.

    Attributes:
        task: its name.
        class_name: the class, None for the mean.
        first, second: AUROC of the two models.
        difference: first less second.
        low, high: 95 % interval of the difference, by bootstrap over subjects.
        p: two-sided, of no difference: DeLong's where each subject has one unit, else from the bootstrap's error with
            Student's t; of the mean always from the bootstrap's.
        adjusted: the same after Holm's correction over the classes of the task; of the mean it is p itself.
        n: units.
        positives: of them.
    """

    task: str
    class_name: str | None
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    n: int
    positives: int


def compare_scores(
    first: pa.Table, second: pa.Table, models: tuple[str, str], *, replicates: int, seed: int
) -> list[Contrast]:
    """Contrasts of all tasks that both reports have.

    Args:
        first: of `read_scores`.
        second: likewise.
        models: whose scores, in each.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        EvaluationError: no common task, other units, or other labels.
    """
    tables = [
        table.filter(pc.equal(table["model"], model)) for table, model in zip((first, second), models, strict=True)
    ]
    common = sorted(set(pc.unique(tables[0]["task"]).to_pylist()) & set(pc.unique(tables[1]["task"]).to_pylist()))
    if not common:
        raise EvaluationError(f"the reports of '{models[0]}' and '{models[1]}' have no task in common")
    found: list[Contrast] = []
    for task in common:
        parts = [table.filter(pc.equal(table["task"], task)) for table in tables]
        found += _of_task(task, parts[0], parts[1], replicates, seed)
    return found


def _of_task(task: str, first: pa.Table, second: pa.Table, replicates: int, seed: int) -> list[Contrast]:
    keys = [("class", "ascending"), ("unit", "ascending")]
    first, second = first.sort_by(keys), second.sort_by(keys)
    columns = ["split", "class", "unit", "label"]
    if not first.select(columns).equals(second.select(columns)):
        raise EvaluationError(
            f"task '{task}': the reports are of other splits, units or labels, so that they cannot be paired; evaluate "
            "both models on the same corpus with the same task file"
        )
    names = pc.unique(first["class"]).to_pylist()
    shape = (len(names), -1)
    labels = first["label"].to_numpy().reshape(shape)
    scores = [table["score"].to_numpy().reshape(shape) for table in (first, second)]
    subjects = np.asarray(first["subject"].to_pylist()).reshape(shape)[0]
    drawn = SubjectBootstrap(subjects, replicates=replicates, seed=seed)
    single = len(np.unique(subjects)) == len(subjects)
    pairs = [
        _Pair(name, row, ours, theirs, count(row, subjects), single)
        for name, row, ours, theirs in zip(names, labels, *scores, strict=True)
    ]
    pairs = [pair for pair in pairs if pair.counts.enough]
    if not pairs:
        raise EvaluationError(
            f"task '{task}': no class has {MINIMUM} subjects with it and {MINIMUM} without to compare on"
        )
    values = np.stack([pair.aurocs(drawn) for pair in pairs])  # [K, 2, 1 + R]
    raw = [pair.p(value) for pair, value in zip(pairs, values, strict=True)]
    rows = [
        _contrast(task, pair.name, value, pair.spread(value), (p, adjusted), pair.counts.n, pair.counts.positives)
        for pair, value, p, adjusted in zip(pairs, values, raw, holm(raw), strict=True)
    ]
    mean = values.mean(0)
    carrying = min(len(np.unique(subjects)), sum(pair.counts.effective for pair in pairs))
    spread = _Spread.of(mean, np.inf if single else carrying - 1, carrying)
    p = spread.p(float(mean[0, 0] - mean[1, 0]))
    n, positives = max(pair.counts.n for pair in pairs), sum(pair.counts.positives for pair in pairs)
    return [_contrast(task, None, mean, spread, (p, p), n, positives), *rows]


@dataclass(frozen=True)
class _Spread:
    """How far a difference may be from the truth.

    Two figures that no draw of subjects moves, such as 1 and 0.5 of a score that is always the same, have no standard
    error. Then as many subjects say so in a row: the p is that of the sign test, the interval the exact binomial bound.

    Attributes:
        error: its standard error over draws of subjects.
        freedom: degrees of freedom; infinite where every subject has one unit, of which the normal is wide enough.
        effective: subjects that carry the difference.
    """

    error: float
    freedom: float
    effective: int

    @classmethod
    def of(cls, values: Floats, freedom: float, effective: int) -> _Spread:
        """Of two figures and their replicates, [2, 1 + R]."""
        return cls(float(np.nanstd(values[0, 1:] - values[1, 1:], ddof=1)), freedom, effective)

    def p(self, difference: float) -> float:
        """Two-sided, of no difference."""
        if abs(difference) < _NOTHING:
            return 1.0
        if self.error <= _NOTHING:
            return float(2 * 0.5**self.effective)
        return float(2 * student.sf(abs(difference) / self.error, self.freedom))

    def reach(self, difference: float) -> float:
        """Of the 95 % interval to both sides."""
        if self.error <= _NOTHING < abs(difference):
            return float(1 - ((1 - LEVEL) / 2) ** (1 / self.effective))
        return float(student.ppf((1 + LEVEL) / 2, self.freedom)) * self.error


@dataclass(frozen=True)
class _Pair:
    name: str
    labels: npt.NDArray[np.int8]
    first: Floats
    second: Floats
    counts: Counts
    single: bool

    def aurocs(self, drawn: SubjectBootstrap) -> Floats:
        """[2, 1 + R] of both, the figure itself and its replicates."""
        known = self.labels >= 0
        truth = self.labels[known] == 1
        found = []
        for scores in (self.first, self.second):
            parts = [auroc(truth, scores[known])]
            parts += [auroc(truth, scores[known], weights[known]) for weights in drawn.weights()]
            found.append(np.concatenate(parts))
        return np.stack(found)

    def spread(self, values: Floats) -> _Spread:
        sides = self.counts.positive_subjects, self.counts.negative_subjects
        return _Spread.of(values, np.inf if self.single else welch_freedom(*sides), self.counts.effective)

    def p(self, values: Floats) -> float:
        known = self.labels >= 0
        found = delong(self.labels[known] == 1, self.first[known], self.second[known])
        return found.p if self.single and found.error else self.spread(values).p(float(values[0, 0] - values[1, 0]))


def holm(values: Sequence[float]) -> list[float]:
    """The p values after Holm's step-down correction (Scandinavian Journal of Statistics 6:65-70, 1979)."""
    order = np.argsort(values)
    adjusted, largest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[number]))
        adjusted[number] = largest
    return adjusted


def _contrast(
    task: str, name: str | None, values: Floats, spread: _Spread, p: tuple[float, float], n: int, positives: int
) -> Contrast:
    first, second = values[:, 0].tolist()
    reach = spread.reach(first - second)
    low, high = max(-1.0, first - second - reach), min(1.0, first - second + reach)
    return Contrast(task, name, first, second, first - second, low, high, *p, n, positives)
