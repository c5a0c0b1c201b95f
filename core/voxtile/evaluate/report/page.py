"""`index.html`: one page without a network request, for a reader who decides whether to trust the figures."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from voxtile.evaluate.report.sections import task_section
from voxtile.evaluate.results import Evaluation, write_text
from voxtile.evaluate.rows import Row


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
        tasks=[task_section(evaluation, result) for result in evaluation.results],
        provenance=evaluation.provenance,
        preset=json.dumps(evaluation.provenance["preset"], indent=2, ensure_ascii=False),
    )


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
