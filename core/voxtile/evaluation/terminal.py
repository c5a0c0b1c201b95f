"""The table that a run prints: macro figures first, then every class, the model beside the two controls."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import Row, ScoreKind, metric_title
from voxtile.evaluation.joint import SummaryTable
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation
from voxtile.evaluation.tasks.kind import task_kind

_NAME = 10  # columns that the name of a row keeps in a narrow terminal


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print a table a task, and its notes."""
    for result in evaluation.results:
        for table in task_kind(result.task.kind).tables(result) or [rows_table(result)]:
            console.print(table)
        if result.compat:
            console.print(_compat(result))
        for note in result.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    if evaluation.phantom:
        console.print("A phantom figure proves wiring, never quality.", style="bold")


def print_summary(table: SummaryTable, console: Console) -> None:
    """Print models × tasks, the best of each task in bold, and how the first model compares with the others."""
    shape = new_table("models and tasks", "model")
    for result, metric in zip(table.tasks, table.metrics, strict=True):
        shape.add_column(escape(f"{result.task.name}\n{metric_title(metric)}"), justify="right")
    for line in table.lines:
        cells = (f"[bold]{shown(c.row)}[/bold]" if c.best else shown(c.row) for c in line.cells)
        shape.add_row(escape(line.label), *cells, style=None if line.kind == "model" else "dim")
    console.print(shape)
    for pair in table.pairs:
        p = "< 0.001" if pair.adjusted < 0.001 else f"= {pair.adjusted:.3f}"
        console.print(
            f"{pair.task}: {pair.first} less {pair.second} {pair.difference:+.3f} "
            f"({pair.low:+.3f} to {pair.high:+.3f}), p {p} after Holm's correction",
            markup=False,
            highlight=False,
        )
    if table.note:
        console.print(f"note: {table.note}", style="yellow", markup=False, highlight=False)


def _compat(result: Result) -> Table:
    table = new_table("by published rules", "protocol and rule")
    for heading in ("metric", "by the rule", "honest", "flatters by"):
        table.add_column(heading, justify="right", no_wrap=heading != "metric")
    for part in result.compat:
        figures = f"{part.published:.3f}", f"{part.honest:.3f}", f"{part.gain:+.3f}"
        table.add_row(escape(f"{part.protocol}: {part.rule}"), metric_title(part.metric), *figures)
    return table


def rows_table(result: Result, title: str | None = None) -> Table:
    """A line a figure of the model, beside its controls: the table of a kind that prints no other.

    Args:
        result: of any kind.
        title: what was selected, when left out.
    """
    kinds: tuple[ScoreKind, ...] = ("model", "trivial", "shuffled")
    there = [kind for kind in kinds if any(row.kind == kind for row in result.rows)]
    table = new_table(title or selection(result), "metric")
    for kind in there:
        table.add_column(kind, justify="right", no_wrap=True)
    found = {(row.metric, row.class_name, row.kind): row for row in reversed(result.rows)}
    for metric, name in dict.fromkeys((row.metric, row.class_name) for row in result.rows if row.kind == "model"):
        rows = [found.get((metric, name, kind)) for kind in there]
        label = metric if name is None else f"{metric}, {name}"
        table.add_row(
            escape(label), *(shown(row) if k == "model" else bare(row) for k, row in zip(there, rows, strict=True))
        )
    return table


def figure_of(result: Result, model: str, kind: ScoreKind, metric: str, name: str | None) -> Row | None:
    """The row of a model, kind and class, whatever its average."""
    wanted = (model, kind, metric, name)
    return next((r for r in result.rows if (r.model, r.kind, r.metric, r.class_name) == wanted), None)


def selection(result: Result) -> str:
    """What was evaluated, as the title of a table: the task, the split, how many units of how many subjects."""
    size = result.sizes[result.split]
    unit = {"sample": "samples", "study": "studies"}[result.task.unit]
    return f"{result.task.name}: {result.split}, {size['units']} {unit} of {size['subjects']} subjects"


def new_table(title: str, first: str) -> Table:
    """An empty table whose first column holds names; further ones are `table.add_column(…, justify="right")`."""
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(first, overflow="fold", min_width=_NAME)
    return table


def shown(row: Row | None) -> str:
    """A figure with its interval, as text."""
    if row is None or row.low is None or row.high is None:
        return bare(row)
    return f"{bare(row)} ({_short(row.low)}–{_short(row.high)})"


def bare(row: Row | None) -> str:
    """A figure alone, as text."""
    if row is None:
        return "–"
    return "refused" if row.value is None else f"{row.value:.3f}"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
