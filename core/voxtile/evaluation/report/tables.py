"""The figures for papers: every row as CSV, the table of models and tasks as LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from voxtile.evaluation.figures.rows import metric_title
from voxtile.evaluation.joint import SummaryTable, TableCell

_SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def rows_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of `results.json`, a line each."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def latex(table: SummaryTable) -> str:
    """A `tabular` of models × tasks with 95 % intervals, the best of each task in bold; needs no package."""
    lines = [rf"\begin{{tabular}}{{l{'r' * len(table.tasks)}}}", r"\hline"]
    names = (
        f"{escaped(r.task.title)}, {escaped(metric_title(m))}" for r, m in zip(table.tasks, table.metrics, strict=True)
    )
    lines.append(" & ".join(["Model", *names]) + r" \\ \hline")
    for line in table.lines:
        lines.append(" & ".join([escaped(line.label), *map(_cell, line.cells)]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def escaped(text: str) -> str:
    """A text whose signs mean nothing to LaTeX."""
    return "".join(_SIGNS.get(sign, f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in text)


def _cell(cell: TableCell) -> str:
    row = cell.row
    if row is None or row.value is None:
        return "--"
    figure = f"{row.value:.3f}"
    figure = rf"\textbf{{{figure}}}" if cell.best else figure
    return figure if row.low is None or row.high is None else f"{figure} ({row.low:.3f}--{row.high:.3f})"
