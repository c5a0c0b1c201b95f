"""Sections that are tables: a line a figure, the model beside its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.report.section import Section, Strip, strip_of


@dataclass(frozen=True)
class Line:
    """One line of a table: rows by role."""

    title: str
    rows: Mapping[str, Row | None]


@dataclass(frozen=True, kw_only=True)
class LinesSection(Section):
    """A section whose figures are lines of tables; it needs no template of its own.

    Attributes:
        headline_title: what the largest number is.
        tables: (title, lines); the first line of the first is the headline.
        reading: sentences below the headline.
        ranks: a larger figure is a better one, so that the best of a row can be named.
    """

    headline_title: str
    tables: Sequence[tuple[str, Sequence[Line]]]
    reading: str
    template: str = "lines.html.j2"
    ranks: bool = True

    @property
    def headline(self) -> Row | None:
        """The model's figure in the first line."""
        return self.tables[0][1][0].rows["model"]


def strip_of_lines(tables: Sequence[tuple[str, Sequence[Line]]]) -> Strip:
    """An axis that all intervals of some tables are on."""
    return strip_of([row.low for _, lines in tables for line in lines for row in line.rows.values() if row and row.low])
