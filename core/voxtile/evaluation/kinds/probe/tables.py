"""What the terminal prints of a probe."""

from __future__ import annotations

from rich.table import Table

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.rows import ScoreKind, find_row
from voxtile.evaluation.kinds.probe.run import ProbeResult
from voxtile.evaluation.terminal import bare, new_table, selection, shown

_METRICS = {"auroc": "AUROC", "average_precision": "average precision", "balanced_accuracy": "balanced accuracy"}


def probe_tables(result: ProbeResult) -> list[Table]:
    """A line a number of labels; the probe's macro figures, and AUROC of the two controls."""
    table = new_table(f"{selection(result)}, labels of {result.task.of.name}", "labels")
    for heading in (*_METRICS.values(), "AUROC, trivial", "AUROC, shuffled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for budget in result.budgets:
        columns: list[tuple[str, ScoreKind, str]] = [(result.model, "model", metric) for metric in _METRICS]
        columns += [(TRIVIAL, "trivial", "auroc"), (result.model, "shuffled", "auroc")]
        rows = [
            find_row(result.rows, model=f"{m}+{budget.label}", kind=kind, metric=metric, class_name=None)
            for m, kind, metric in columns
        ]
        table.add_row(budget.title, *map(shown, rows[:3]), *map(bare, rows[3:]))
    return [table]
