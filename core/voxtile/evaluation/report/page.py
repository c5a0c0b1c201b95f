"""`index.html`: one page without a network request, for a reader who decides whether to trust the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from voxtile.corpus.reference_roots import ON_A_PAGE, named_roots, only_references_in
from voxtile.evaluation.figures.rows import Row, metric_title
from voxtile.evaluation.joint import SummaryTable
from voxtile.evaluation.report.pictures import NOT_COPIED
from voxtile.evaluation.report.section import Section, Source, Strip, strip_of
from voxtile.evaluation.results import Evaluation, write_text
from voxtile.evaluation.tasks.kind import task_kind
from voxtile.pages import page_environment


@dataclass(frozen=True)
class ModelPart:
    """What the page shows of one model; `title` is empty where there is only one."""

    evaluation: Evaluation
    title: str
    tasks: Sequence[Section]

    @cached_property
    def html(self) -> Markup:
        """The sections, each filled in by the templates of its kind."""
        return Markup("\n").join(self._filled(task) for task in self.tasks)

    def _filled(self, task: Section) -> Markup:
        template = _environment(task_kind(task.result.task.kind).templates).get_template(task.template)
        return Markup(template.render(task=task, part=self, evaluation=self.evaluation))  # escaped by the template


def write_page(
    evaluations: Sequence[Evaluation], table: SummaryTable, out: Path, references: Path | None = None
) -> Path:
    """Write `index.html` into the folder and return its path."""
    path = out / "index.html"
    write_text(path, page(evaluations, table, references))
    return path


def page(evaluations: Sequence[Evaluation], table: SummaryTable, references: Path | None = None) -> str:
    """The page as one string; style, curves and pictures are inside.

    Args:
        evaluations: one a model, on the same tasks.
        table: of them.
        references: folder outside the corpus from which pictures may be copied into the page.
    """
    with only_references_in(named_roots(references)):
        parts = [_part(number, evaluation, len(evaluations)) for number, evaluation in enumerate(evaluations)]
    first, tasks = evaluations[0], [task for part in parts for task in part.tasks]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            evaluation=first,
            parts=parts,
            not_copied=ON_A_PAGE if any(NOT_COPIED in part.html for part in parts) else "",
            tasks=tasks,
            limits=list(dict.fromkeys(limit for task in tasks for limit in task.limits)),
            table=table,
            strips=[_table_strip(table, column) for column in range(len(table.tasks))],
            provenance=first.provenance,
            models=[
                (e.provenance["model"], json.dumps(e.provenance["preset"], indent=2, ensure_ascii=False))
                for e in evaluations
            ],
        )
    )


def _environment(package: str | None = None) -> Environment:
    """Templates of a kind's package, and of the report."""
    environment = page_environment(*([package] if package else []), "voxtile.evaluation.report")
    environment.filters |= {
        "figure": figure,
        "interval": interval,
        "signed": lambda value: f"{value:+.3f}",
        "metric": metric_title,
        "best": is_best,
    }
    return environment


def _part(number: int, evaluation: Evaluation, count: int) -> ModelPart:
    sections: list[Section] = [task_kind(r.task.kind).section(evaluation, r) for r in evaluation.results]
    if number:
        sections = [replace(section, prefix=f"m{number + 1}-") for section in sections]
    return ModelPart(evaluation, evaluation.model if count > 1 else "", sections)


def _table_strip(table: SummaryTable, column: int) -> Strip:
    rows = [line.cells[column].row for line in table.lines]
    return strip_of([row.low for row in rows if row is not None and row.low is not None])


def figure(row: Row | None) -> str:
    """The figure alone, as text."""
    if row is None:
        return "–"
    return "refused" if row.value is None else f"{row.value:.3f}"


def interval(row: Row | None) -> str:
    """The interval alone, as text; empty where there is none."""
    if row is None or row.low is None or row.high is None:
        return ""
    return f"{row.low:.3f}–{row.high:.3f}"


def is_best(row: Row | None, rows: Mapping[str, Row | None], among: Sequence[Source] | None = None) -> bool:
    """Whether a figure is the largest of those beside it, as they are written; a figure alone is not.

    Args:
        row: the figure.
        rows: it and those beside it, by role.
        among: the sources whose figures are shown; all of `rows` by default.
    """
    roles = rows if among is None else [source.role for source in among]
    values = [f"{found.value:.3f}" for role in roles if (found := rows.get(role)) and found.value is not None]
    if row is None or row.value is None or len(values) < 2:
        return False
    return f"{row.value:.3f}" == max(values, key=float)
