"""Paired differences of two models: intervals over subjects, p values, and a correction for many classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import norm

from voxtile.errors import EvaluationError
from voxtile.evaluation.comparison.delong import delong
from voxtile.evaluation.figures.bootstrap import MINIMUM, SubjectBootstrap
from voxtile.evaluation.figures.figures import count
from voxtile.evaluation.figures.metrics import Floats, auroc


@dataclass(frozen=True)
class Contrast:
    """One class of one task, or the mean of all.

    Attributes:
        task: its name.
        class_name: the class, None for the mean.
        first, second: AUROC of the two models.
        difference: first less second.
        low, high: 95 % interval of the difference, by bootstrap over subjects.
        p: two-sided, of no difference: DeLong's where each subject has one unit, else from the bootstrap's error.
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
    pairs = [_Pair(name, *row) for name, *row in zip(names, labels, *scores, strict=True)]
    pairs = [pair for pair in pairs if count(pair.labels, subjects).enough]
    if not pairs:
        raise EvaluationError(
            f"task '{task}': no class has {MINIMUM} subjects with it and {MINIMUM} without to compare on"
        )
    values = np.stack([pair.aurocs(drawn) for pair in pairs])  # [K, 2, 1 + R]
    raw = [pair.p(single, value) for pair, value in zip(pairs, values, strict=True)]
    rows = [
        _contrast(task, pair.name, value, p, adjusted, pair.n, pair.positives)
        for pair, value, p, adjusted in zip(pairs, values, raw, holm(raw), strict=True)
    ]
    mean = values.mean(0)
    p = _bootstrap_p(mean)
    n, positives = max(pair.n for pair in pairs), sum(pair.positives for pair in pairs)
    return [_contrast(task, None, mean, p, p, n, positives), *rows]


@dataclass(frozen=True)
class _Pair:
    name: str
    labels: npt.NDArray[np.int8]
    first: Floats
    second: Floats

    @property
    def n(self) -> int:
        return int((self.labels >= 0).sum())

    @property
    def positives(self) -> int:
        return int((self.labels == 1).sum())

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

    def p(self, single: bool, values: Floats) -> float:
        if not single:
            return _bootstrap_p(values)
        known = self.labels >= 0
        return delong(self.labels[known] == 1, self.first[known], self.second[known]).p


def holm(values: Sequence[float]) -> list[float]:
    """The p values after Holm's step-down correction (Scandinavian Journal of Statistics 6:65-70, 1979)."""
    order = np.argsort(values)
    adjusted, largest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[number]))
        adjusted[number] = largest
    return adjusted


def _bootstrap_p(values: Floats) -> float:
    difference = values[0] - values[1]
    error = float(np.nanstd(difference[1:], ddof=1))
    if error <= 1e-12:
        return 1.0 if abs(difference[0]) < 1e-12 else 0.0
    return float(2 * norm.sf(abs(difference[0]) / error))


def _contrast(
    task: str, name: str | None, values: Floats, p: float, adjusted: float, n: int, positives: int
) -> Contrast:
    difference = values[0] - values[1]
    reach = float(norm.ppf(0.975)) * float(np.nanstd(difference[1:], ddof=1))
    value = float(difference[0])
    return Contrast(
        task, name, float(values[0, 0]), float(values[1, 0]), value, value - reach, value + reach, p, adjusted, n,
        positives,
    )  # fmt: skip
