"""Figures of what a model wrote beside those of its controls: on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.report.lines import Line
from voxtile.evaluation.report.section import Source
from voxtile.evaluation.terminal import bare, new_table, shown

Writer = tuple[str, ScoreKind]
"""Whose texts were read: the name and kind of their rows."""


class NamedWriter(NamedTuple):
    """How a page speaks of a writer, see `Source`."""

    role: str
    label: str
    about: str


class Figure(NamedTuple):
    """A row of the model, and by role that of each writer."""

    row: Row
    beside: Mapping[str, Row | None]


@dataclass(frozen=True)
class BesideControls:
    """The figures of a task.

    Attributes:
        names: of all writers.
        writers: whose texts were read, the model's first.
        rows: of all of them.
    """

    names: Mapping[Writer, NamedWriter]
    writers: Sequence[Writer]
    rows: Sequence[Row]

    def figures(self) -> list[Figure]:
        """Those of the model, in the order of its rows."""
        found = {(r.model, r.kind, r.metric, r.class_name): r for r in self.rows}
        return [
            Figure(row, {self.names[who].role: found.get((*who, row.metric, row.class_name)) for who in self.writers})
            for row in self.rows
            if (row.model, row.kind) == self.writers[0]
        ]

    def sources(self) -> list[Source]:
        """The writers, for the page."""
        return [Source(self.names[who].role, *who, *self.names[who][1:]) for who in self.writers]

    def table(self, caption: str, counted: str, figures: Sequence[Figure], title: Callable[[Row], str]) -> Table:
        """A line a figure for the terminal.

        Args:
            caption: above it.
            counted: what a row's `n` counts.
            figures: which.
            title: of each.
        """
        table = new_table(caption, "figure")
        for heading in (counted, *(self.names[who].label.lower() for who in self.writers)):
            table.add_column(heading, justify="right", no_wrap=True)
        for row, beside in figures:
            others = [bare(beside[self.names[who].role]) for who in self.writers[1:]]
            table.add_row(escape(title(row)), f"{row.n}", shown(row), *others)
        return table


def tables_of(parts: Mapping[str, Sequence[Figure]], title: Callable[[Row], str]) -> list[tuple[str, Sequence[Line]]]:
    """Tables of a page by their title; one without figures is left out."""
    return [(name, [Line(title(row), beside) for row, beside in own]) for name, own in parts.items() if own]
