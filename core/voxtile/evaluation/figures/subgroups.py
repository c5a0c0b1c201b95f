"""Figures of parts of the units: by sex, age band, scanner, place, season, or any other property that a corpus has.

A part has a figure of a class only with ten positives and ten negatives, each from as many subjects, like every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.figures import FigureTable, LabelMatrix, Scores
from voxtile.evaluation.figures.metrics import Floats


@dataclass(frozen=True)
class Subgroup:
    """The figure of one class, or the mean of all, over one part of the units.

    Attributes:
        attribute: the property, e.g. `sex`.
        group: its value, e.g. `F`.
        model: whose scores.
        metric: auroc.
        class_name: None for the mean of the classes that have a figure in this part.
        value, low, high: the figure and its 95 % interval; None where it is refused.
        n, positives, subjects: units that count, positive ones (summed over classes in a mean), and subjects.
        classes: how many the figure is the mean of; means over different classes do not compare.
    """

    attribute: str
    group: str
    model: str
    metric: str
    class_name: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int
    subjects: int
    classes: int

    def to_json(self, task: str) -> dict[str, Any]:
        """For `results.json`."""
        values = {("class" if key == "class_name" else key): value for key, value in asdict(self).items()}
        return {"task": task, **values}


def subgroup_figures(
    attribute: str,
    names: Sequence[str | None],
    subjects: npt.NDArray[np.str_],
    labels: LabelMatrix,
    scores: Mapping[str, Floats],
    classes: Sequence[str],
    *,
    replicates: int,
    seed: int,
) -> list[Subgroup]:
    """AUROC of every part, model and class.

    Args:
        attribute: the property.
        names: [N] group of each unit.
        subjects: [N].
        labels: [N, K].
        scores: [N, K] by model.
        classes: names of the K classes.
        replicates: of the bootstrap.
        seed: of it.
    """
    found = []
    values = np.array([name or "" for name in names])
    for group in sorted({name for name in names if name}):
        kept = np.flatnonzero(values == group)
        drawn = SubjectBootstrap(subjects[kept], replicates=replicates, seed=seed)
        table = FigureTable("", classes, labels[kept], subjects[kept], drawn, exclusive=False)
        for model, score in scores.items():
            found += _of_group(table, attribute, group, model, score[kept], subjects[kept], classes)
    return found


def _of_group(
    table: FigureTable,
    attribute: str,
    group: str,
    model: str,
    scores: Floats,
    subjects: npt.NDArray[np.str_],
    classes: Sequence[str],
) -> list[Subgroup]:
    count = len(np.unique(subjects))
    called = np.zeros((1, *scores.shape), np.bool_)
    rows = {
        row.class_name: row
        for row in table.rows(Scores(model, "model", scores[None], called, frozenset(classes)))
        if row.metric == "auroc" and row.average != "micro"
    }
    found = []
    for name in (None, *classes) if len(classes) > 1 else classes:
        row = rows.get(name)
        parts = [table.counts[name]] if name else list(table.counts.values())
        n = row.n if row else max(part.n for part in parts)
        positives = row.positives if row else sum(part.positives for part in parts)
        figures = (row.value, row.low, row.high) if row else (None, None, None)
        mean_of = len(table.reported) if name is None else int(figures[0] is not None)
        found.append(Subgroup(attribute, group, model, "auroc", name, *figures, n, positives, count, mean_of))
    return found
