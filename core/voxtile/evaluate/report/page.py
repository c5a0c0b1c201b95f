"""`index.html`: one page without a network request, for a reader who decides whether to trust the figures."""

from __future__ import annotations

import json
from functools import singledispatch
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from voxtile.evaluate.grounding.run import GroundingResult
from voxtile.evaluate.neighbours.run import NeighboursResult
from voxtile.evaluate.probe.run import ProbeResult
from voxtile.evaluate.report.grounding import GroundingSection, grounding_section
from voxtile.evaluate.report.lines import LinesSection, neighbours_section, probe_section
from voxtile.evaluate.report.retrieval import RetrievalSection, retrieval_section
from voxtile.evaluate.report.sections import TaskSection, task_section
from voxtile.evaluate.result import Result
from voxtile.evaluate.results import Evaluation, write_text
from voxtile.evaluate.retrieval.run import RetrievalResult
from voxtile.evaluate.rows import Row
from voxtile.evaluate.runner import TaskResult

Section: TypeAlias = TaskSection | RetrievalSection | GroundingSection | LinesSection


def write_page(evaluation: Evaluation, out: Path) -> Path:
    """Write `index.html` into the folder and return its path."""
    path = out / "index.html"
    write_text(path, page(evaluation))
    return path


def page(evaluation: Evaluation) -> str:
    """The page as one string; style, curves and pictures are inside."""
    environment = Environment(
        loader=PackageLoader("voxtile.evaluate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval, "signed": lambda value: f"{value:+.3f}"}
    return environment.get_template("page.html.j2").render(
        evaluation=evaluation,
        tasks=[_section(result, evaluation) for result in evaluation.results],
        provenance=evaluation.provenance,
        preset=json.dumps(evaluation.provenance["preset"], indent=2, ensure_ascii=False),
    )


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
