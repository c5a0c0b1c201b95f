"""What the terminal prints of a grounding task."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import ScoreKind, find_row
from voxtile.evaluation.kinds.grounding.run import GroundingResult
from voxtile.evaluation.terminal import bare, new_table, selection, shown


def grounding_tables(result: GroundingResult) -> list[Table]:
    """A line a phrase and the means; the model's figures, and Dice of the two controls."""
    table = new_table(selection(result), "phrase")
    model, control = result.models
    columns: list[tuple[str, str, ScoreKind, str]] = [
        ("Dice", model, "model", "dice"),
        ("lesion F1", model, "model", "lesion_f1"),
        ("rightly empty", model, "model", "n_acc"),
        ("pointing", model, "model", "pointing"),
        (f"Dice, {control}", control, "trivial", "dice"),
        ("Dice, other phrase", model, "shuffled", "dice"),
    ]
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    names: list[tuple[str, str | None]] = [("mean", None), *((c.title, c.name) for c in result.task.classes)]
    for title, name in names:
        found = [find_row(result.rows, model=m, kind=k, metric=metric, class_name=name) for _, m, k, metric in columns]
        table.add_row(escape(title), shown(found[0]), *map(bare, found[1:]), style="bold" if name is None else None)
    return [table]
