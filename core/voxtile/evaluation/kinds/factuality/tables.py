"""What the terminal prints of a task of caption factuality."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.kinds.factuality.run import FactualityResult
from voxtile.evaluation.terminal import bare, figure_of, new_table, selection, shown


def factuality_tables(result: FactualityResult) -> list[Table]:
    """A line a verdict and kind of caption, beside the same captions judged by another subject's facts."""
    table = new_table(f"{selection(result)}, {sum(result.counts.values())} captions", "verdict")
    for heading in ("captions", "their own facts", "another subject's facts"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in (row for row in result.rows if row.kind == "model"):
        control = figure_of(result, row.model, "shuffled", row.metric, row.class_name)
        label = row.metric if row.class_name is None else f"  {row.class_name}"
        table.add_row(escape(label), f"{row.positives} of {row.n}", shown(row), bare(control))
    return [table]
