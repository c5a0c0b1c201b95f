"""Parts of a task's section: confusion, robustness and subgroups, as plain values for the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.rows import Row, find_row
from voxtile.evaluation.figures.subgroups import Subgroup
from voxtile.evaluation.kinds.zero_shot.extras import MARK
from voxtile.evaluation.kinds.zero_shot.run import TaskResult


@dataclass(frozen=True)
class Confusion:
    """Decisions of one class at its threshold from validation."""

    title: str
    hits: int
    misses: int
    false_alarms: int
    rightly_not: int


@dataclass(frozen=True)
class RobustnessLine:
    """A change of the images: the figure under it, and its difference from the clean images."""

    change: str
    row: Row | None
    difference: Difference | None


def confusions(result: TaskResult, model: str) -> list[Confusion]:
    """Counts of each class that has a threshold; none where classes exclude each other."""
    found = []
    thresholds = result.thresholds.get(model, {})
    for column, item in enumerate(result.task.reported):
        if item.name not in thresholds:
            continue
        known = result.labels[:, column] >= 0
        truth = result.labels[known, column] == 1
        called = result.scores[model][known, column] > thresholds[item.name]
        counts = (truth & called, truth & ~called, ~truth & called, ~truth & ~called)
        found.append(Confusion(item.title, *(int(part.sum()) for part in counts)))
    return found


def confusion_matrix(result: TaskResult, model: str) -> list[list[int]]:
    """[K, K] units by right class (rows) and chosen class; empty where classes do not exclude each other."""
    if not result.task.exclusive:
        return []
    single = (result.labels == 1).sum(axis=1) == 1
    right, chosen = result.labels[single].argmax(axis=1), result.scores[model][single].argmax(axis=1)
    counts = np.zeros((result.labels.shape[1],) * 2, np.int64)
    np.add.at(counts, (right, chosen), 1)
    matrix: list[list[int]] = counts.tolist()
    return matrix


def robustness_lines(result: TaskResult, model: str) -> list[RobustnessLine]:
    """The macro AUROC of the model under each change."""
    names = dict.fromkeys(row.model for row in result.rows if row.model.startswith(model + MARK))
    differences = {part.model: part for part in result.differences}
    return [
        RobustnessLine(
            name.removeprefix(model + MARK),
            find_row(result.rows, model=name, kind="model", metric="auroc", class_name=None) or _only(result, name),
            differences.get(name),
        )
        for name in names
    ]


def grouped(subgroups: Sequence[Subgroup]) -> list[tuple[str, list[Subgroup]]]:
    """Figures of each property: means over classes, or the one class where there is one."""
    found: dict[str, list[Subgroup]] = {}
    for part in subgroups:
        found.setdefault(part.attribute, []).append(part)
    several = {part.attribute for part in subgroups if part.class_name is None}
    return [(name, [p for p in parts if p.class_name is None or name not in several]) for name, parts in found.items()]


def _only(result: TaskResult, name: str) -> Row | None:
    return next((r for r in result.rows if (r.model, r.metric) == (name, "auroc")), None)
