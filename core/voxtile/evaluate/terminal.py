"""The table that a run prints: macro figures first, then every class, the model beside the two controls."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from voxtile.evaluate.results import Evaluation, find_row
from voxtile.evaluate.rows import Row
from voxtile.evaluate.runner import TaskResult
from voxtile.evaluate.trivial import NAME as TRIVIAL

_METRICS = {"auroc": "AUROC", "average_precision": "average precision", "balanced_accuracy": "balanced accuracy"}


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print a table a task, and its notes."""
    for result in evaluation.results:
        console.print(_summary(result))
        if len(result.task.reported) > 1:
            console.print(_classes(result, evaluation.model))
        for note in result.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    if evaluation.phantom:
        console.print("A phantom figure proves wiring, never quality.", style="bold")


def _summary(result: TaskResult) -> Table:
    size = result.sizes[result.split]
    unit = {"sample": "samples", "study": "studies"}[result.task.unit]
    table = Table(
        title=f"{result.task.name}: {result.split}, {size['units']} {unit} of {size['subjects']} subjects"
        + (f", mean of {len(result.task.reported)} classes" if len(result.task.reported) > 1 else ""),
        title_justify="left",
    )
    table.add_column("scores of")
    for title in _METRICS.values():
        table.add_column(title, justify="right")
    for model, kind, label in _lines(result):
        rows = [find_row(result.rows, model=model, kind=kind, metric=metric, class_name=None) for metric in _METRICS]
        table.add_row(label, *(shown(row) for row in rows), style="bold" if kind == "model" else None)
    return table


def _classes(result: TaskResult, model: str) -> Table:
    table = Table(title="AUROC by class", title_justify="left")
    table.add_column("class")
    table.add_column("positives", justify="right")
    lines = _lines(result)
    for _, _, label in lines:
        table.add_column(label, justify="right")
    for item in result.task.reported:
        rows = [
            find_row(result.rows, model=name, kind=kind, metric="auroc", class_name=item.name)
            for name, kind, _ in lines
        ]
        first = rows[0]
        table.add_row(item.title, str(first.positives if first else 0), *(shown(row) for row in rows))
    return table


def _lines(result: TaskResult) -> list[tuple[str, str, str]]:
    """(model, kind, label): the contrastive model, its fact head, the trivial baseline, the shuffled control."""
    models = [name for name in result.scores if name != TRIVIAL]
    contrastive = models[0]
    lines = [(contrastive, "model", "zero-shot prompts")]
    lines += [(name, "model", name.removeprefix(contrastive)) for name in models[1:]]
    if TRIVIAL in result.scores:
        lines.append((TRIVIAL, "trivial", "trivial baseline"))
    return [*lines, (contrastive, "shuffled", "shuffled images")]


def shown(row: Row | None) -> str:
    """A figure with its interval, as text."""
    if row is None:
        return "–"
    if row.value is None:
        return "refused"
    if row.low is None or row.high is None:
        return f"{row.value:.3f}"
    return f"{row.value:.3f} ({row.low:.3f}–{row.high:.3f})"
