"""What the terminal prints of a task of referring expressions."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import ScoreKind
from voxtile.evaluation.kinds.referring.run import ReferringResult
from voxtile.evaluation.terminal import bare, new_table, selection, shown


def referring_tables(result: ReferringResult) -> list[Table]:
    """A line a group; the model's maps or boxes, one more figure of them, and the two controls."""
    headline = result.headline_metric
    table = new_table(f"{selection(result)}, {result.expressions} expressions", headline)
    second = ("contrast to noise", "cnr") if result.task.union else ("rotated boxes", f"rotated_{headline}")
    second = ("attention shift", "ras") if result.task.windows else second
    columns: list[tuple[str, ScoreKind, str]] = [
        ("model", "model", headline),
        (second[0], "model", second[1]),
        ("text-blind", "trivial", headline),
        ("other phrase", "shuffled", headline),
    ]
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    names: list[tuple[str, str | None]] = [("all", None), *((name, name) for name in result.task.groups)]
    for title, name in names:
        found = {(r.kind, r.metric): r for r in result.rows if r.class_name == name}
        first, *others = [found.get((kind, metric)) for _, kind, metric in columns]
        table.add_row(escape(title), shown(first), *map(bare, others), style="bold" if name is None else None)
    return [table]
