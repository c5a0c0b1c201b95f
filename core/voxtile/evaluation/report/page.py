"""`index.html`: one page without a network request, for a reader who decides whether to trust the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import TypeAlias

from voxtile.evaluation.figures.rows import Row, metric_title
from voxtile.evaluation.joint import SummaryTable
from voxtile.evaluation.kinds.factuality.run import FactualityResult
from voxtile.evaluation.kinds.grounding.run import GroundingResult
from voxtile.evaluation.kinds.grounding.section import GroundingSection, grounding_section
from voxtile.evaluation.kinds.neighbours.run import NeighboursResult
from voxtile.evaluation.kinds.probe.run import ProbeResult
from voxtile.evaluation.kinds.referring.run import ReferringResult
from voxtile.evaluation.kinds.referring.section import ReferringSection, referring_section
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.kinds.retrieval.section import RetrievalSection, retrieval_section
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.kinds.zero_shot.section import Source, Strip, TaskSection, strip_of, task_section
from voxtile.evaluation.report.lines import LinesSection, factuality_section, neighbours_section, probe_section
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation, write_text
from voxtile.pages import page_environment

Section: TypeAlias = TaskSection | RetrievalSection | GroundingSection | LinesSection | ReferringSection


@dataclass(frozen=True)
class ModelPart:
    """What the page shows of one model; `title` is empty where there is only one."""

    evaluation: Evaluation
    title: str
    tasks: list[Section]


def write_page(evaluations: Sequence[Evaluation], table: SummaryTable, out: Path) -> Path:
    """Write `index.html` into the folder and return its path."""
    path = out / "index.html"
    write_text(path, page(evaluations, table))
    return path


def page(evaluations: Sequence[Evaluation], table: SummaryTable) -> str:
    """The page as one string; style, curves and pictures are inside.

    Args:
        evaluations: one a model, on the same tasks.
        table: of them.
    """
    environment = page_environment("voxtile.evaluation.report")
    environment.filters |= {
        "figure": figure,
        "interval": interval,
        "signed": lambda value: f"{value:+.3f}",
        "metric": metric_title,
        "best": is_best,
    }
    parts = [_part(number, evaluation, len(evaluations)) for number, evaluation in enumerate(evaluations)]
    first = evaluations[0]
    return environment.get_template("page.html.j2").render(
        evaluation=first,
        parts=parts,
        tasks=[task for part in parts for task in part.tasks],
        table=table,
        strips=[_table_strip(table, column) for column in range(len(table.tasks))],
        provenance=first.provenance,
        models=[
            (e.provenance["model"], json.dumps(e.provenance["preset"], indent=2, ensure_ascii=False))
            for e in evaluations
        ],
    )


def _part(number: int, evaluation: Evaluation, count: int) -> ModelPart:
    sections = [_section(result, evaluation) for result in evaluation.results]
    if number:
        sections = [replace(section, anchor=f"m{number + 1}-{section.anchor}") for section in sections]
    return ModelPart(evaluation, evaluation.model if count > 1 else "", sections)


def _table_strip(table: SummaryTable, column: int) -> Strip:
    rows = [line.cells[column].row for line in table.lines]
    return strip_of([row.low for row in rows if row is not None and row.low is not None])


@singledispatch
def _section(result: Result, evaluation: Evaluation) -> Section:
    raise NotImplementedError(f"nothing shows a {type(result).__name__}")


@_section.register
def _(result: TaskResult, evaluation: Evaluation) -> Section:
    return task_section(evaluation, result)


@_section.register
def _(result: GroundingResult, evaluation: Evaluation) -> Section:
    return grounding_section(result)


@_section.register
def _(result: ReferringResult, evaluation: Evaluation) -> Section:
    return referring_section(result)


@_section.register
def _(result: FactualityResult, evaluation: Evaluation) -> Section:
    return factuality_section(result)


@_section.register
def _(result: RetrievalResult, evaluation: Evaluation) -> Section:
    return retrieval_section(result)


@_section.register
def _(result: ProbeResult, evaluation: Evaluation) -> Section:
    return probe_section(result)


@_section.register
def _(result: NeighboursResult, evaluation: Evaluation) -> Section:
    return neighbours_section(result)


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
