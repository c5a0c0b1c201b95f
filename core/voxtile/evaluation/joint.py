"""Several models in one table: the figure that stands for each task, the controls, and who is better than whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voxtile.errors import EvaluationError
from voxtile.evaluation.comparison.compare import compare_scores, holm
from voxtile.evaluation.comparison.scores_file import score_tables
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation


@dataclass(frozen=True)
class TableCell:
    """One figure in the table; `best` marks the largest of a task among the models."""

    row: Row | None
    best: bool


@dataclass(frozen=True)
class TableLine:
    """A line of the table: a model, the trivial baseline or the shuffled control, with a cell a task."""

    label: str
    kind: ScoreKind
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class Paired:
    """The first model against another on one task.

    Attributes:
        task: its name.
        first, second: names of the models.
        difference: macro AUROC of the first less the second's.
        low, high: 95 % interval, by bootstrap over subjects.
        p: two-sided, of no difference.
        adjusted: after Holm's correction over all pairs and tasks of the table.
    """

    task: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    adjusted: float

    def to_json(self) -> dict[str, Any]:
        """For `results.json`."""
        return asdict(self)


@dataclass(frozen=True)
class SummaryTable:
    """Models × tasks.

    Attributes:
        tasks: a result of each task, for titles.
        metrics: what the cells of each task are.
        lines: the models, then the controls of the first.
        pairs: the first model against each other one, where tasks have classes.
        note: what many figures at once mean; empty for a single one.
    """

    tasks: tuple[Result, ...]
    metrics: tuple[str, ...]
    lines: tuple[TableLine, ...]
    pairs: tuple[Paired, ...]
    note: str


def summary_table(evaluations: Sequence[Evaluation], *, replicates: int = 1000, seed: int = 0) -> SummaryTable:
    """The table of one or several models on the same tasks.

    Args:
        evaluations: one a model.
        replicates: of the bootstrap of the paired differences.
        seed: of it.
    """
    first = evaluations[0]
    heads = [_headline(result, first.model) for result in first.results]
    lines = [[_headline(result, evaluation.model) for result in evaluation.results] for evaluation in evaluations]
    best = [_best([line[k] for line in lines]) for k in range(len(heads))]
    found = [
        TableLine(
            evaluation.model,
            "model",
            tuple(TableCell(row, row is not None and row.value is not None and row.value == top and len(lines) > 1)
                  for row, top in zip(line, best, strict=True)),
        )
        for evaluation, line in zip(evaluations, lines, strict=True)
    ]  # fmt: skip
    controls: tuple[tuple[str, ScoreKind], ...] = (("trivial baseline", "trivial"), ("shuffled images", "shuffled"))
    for label, kind in controls:
        cells = tuple(TableCell(_control(result, head, kind), False)
                      for result, head in zip(first.results, heads, strict=True))  # fmt: skip
        if any(cell.row is not None for cell in cells):
            found.append(TableLine(label, kind, cells))
    return SummaryTable(
        tasks=first.results,
        metrics=tuple("" if head is None else head.metric for head in heads),
        lines=tuple(found),
        pairs=tuple(_pairs(evaluations, replicates, seed)),
        note=_note(len(evaluations), len(heads)),
    )


def named_apart(names: Sequence[str], specs: Sequence[str]) -> list[str]:
    """Names of models, by how they were asked for where two would be called the same.

    Raises:
        EvaluationError: the same model twice.
    """
    found = [name if names.count(name) == 1 else spec for name, spec in zip(names, specs, strict=True)]
    again = next((name for name in found if found.count(name) > 1), None)
    if again is not None:
        raise EvaluationError(f"the model '{again}' is named twice; name each model once")
    return found


def _headline(result: Result, model: str) -> Row | None:
    return next(iter(result.headlines(model).values()), None)


def _control(result: Result, head: Row | None, kind: ScoreKind) -> Row | None:
    if head is None:
        return None
    wanted = head.metric, head.average, head.class_name, kind
    return next((r for r in result.rows if (r.metric, r.average, r.class_name, r.kind) == wanted), None)


def _best(rows: Sequence[Row | None]) -> float | None:
    return max((row.value for row in rows if row is not None and row.value is not None), default=None)


def _pairs(evaluations: Sequence[Evaluation], replicates: int, seed: int) -> list[Paired]:
    first, *others = evaluations
    found = []
    for other in others:
        tables = score_tables(first), score_tables(other)
        if tables[0] is None or tables[1] is None:
            continue
        contrasts = compare_scores(tables[0], tables[1], (first.model, other.model), replicates=replicates, seed=seed)
        found += [
            Paired(c.task, first.model, other.model, c.difference, c.low, c.high, c.p, c.p)
            for c in contrasts
            if c.class_name is None
        ]
    adjusted = holm([pair.p for pair in found])
    return [Paired(**{**asdict(pair), "adjusted": p}) for pair, p in zip(found, adjusted, strict=True)]


def _note(models: int, tasks: int) -> str:
    count = models * tasks
    if count < 2:
        return ""
    return (
        f"{count} figures of models stand here. One in twenty 95 % intervals misses by luck, and the best of many "
        "looks better than it is. The p values of differences are corrected for all of them together (Holm); an "
        "interval holds for one figure that was chosen before."
    )
