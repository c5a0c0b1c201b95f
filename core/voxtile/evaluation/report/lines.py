"""What the page shows of probes and of image retrieval: a line a budget or metric, the model beside its controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.figures import DECISION, RANKING, Difference
from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row
from voxtile.evaluation.kinds.factuality.run import NAME, FactualityResult
from voxtile.evaluation.kinds.neighbours.run import NeighboursResult, by_kind, metrics_of
from voxtile.evaluation.kinds.probe.run import ProbeResult
from voxtile.evaluation.kinds.zero_shot.section import UNIT_NAMES, Source, Strip

_NAMES = {"auroc": "AUROC", "average_precision": "Average precision", "balanced_accuracy": "Balanced accuracy",
          "precision": "Precision", "map": "Mean average precision", "ndcg": "Normalised discounted gain",
          "mrr": "Mean reciprocal rank"}  # fmt: skip
_ABOUT = {
    "probe": {
        "model": ("The model's embeddings", "frozen, with a regularised classifier on the labelled training units"),
        "trivial": ("Trivial baseline", "the same classifier and labels on an intensity histogram and block means"),
        "shuffled": ("Shuffled images", "the classifier on images of other subjects; must be near chance"),
    },
    "factuality": {
        "model": ("Own facts", "captions judged by the facts of their own sample"),
        "shuffled": ("Another subject's facts", "the same captions judged by other facts; what any caption would get"),
    },
    "neighbours": {
        "model": ("The model's embeddings", "nearest by cosine similarity; no label and no text was used"),
        "trivial": ("Trivial baseline", "nearest by intensity histogram and block means"),
        "shuffled": ("Shuffled images", "every image stands for one of another subject; this is chance"),
    },
}


@dataclass(frozen=True)
class Line:
    """One line of a table: rows by role."""

    title: str
    rows: Mapping[str, Row | None]


@dataclass(frozen=True)
class LinesSection:
    """Everything that the template needs of one task.

    Attributes:
        headline_title: what the largest number is.
        tables: (title, lines); the first line of the first is the headline.
        reading: sentences below the headline.
        ranks: a larger figure is a better one, so that the best of a row can be named.
    """

    result: ProbeResult | NeighboursResult | FactualityResult
    anchor: str
    unit: str
    units: str
    sources: list[Source]
    headline_title: str
    tables: list[tuple[str, list[Line]]]
    reading: str
    strip: Strip
    difference: Difference | None
    template: str = "lines.html.j2"
    labelled: bool = True
    ranks: bool = True
    has_head: ClassVar[bool] = False

    @property
    def headline(self) -> Row | None:
        """The model's figure that stands for the task."""
        return self.tables[0][1][0].rows["model"]


def probe_section(result: ProbeResult) -> LinesSection:
    """Gather what the page shows of a probe: a table a metric, a line a number of labels."""
    tables = []
    for metric in (*RANKING, *DECISION):
        lines = [Line(b.title, _budget_rows(result, b.label, metric)) for b in result.budgets]
        if any(line.rows["model"] for line in lines):
            tables.append((_NAMES.get(metric, metric.capitalize()), lines))
    largest = result.budgets[0]
    draws = f", mean of {result.task.repeats} draws" if largest.share != 100 else ""
    pooling = {"mean": "the mean of a study's embeddings", "max": "the largest value of each dimension over a study",
               "abmil": "attention over a study's samples, learnt with the classifier"}  # fmt: skip
    pooled = f" A study is {pooling[result.task.pooling]}." if result.task.unit == "study" else ""
    reading = (
        f"Labels are those of {result.task.of.name}. The penalty of each fit was chosen on the validation split; "
        f"fewer labels than all are drawn {result.task.repeats} times and figures are means over the draws.{pooled}"
    )
    return _section(result, "probe", result.model, f"AUROC with {largest.title}{draws}", tables, reading)


def neighbours_section(result: NeighboursResult) -> LinesSection:
    """Gather what the page shows of image retrieval: one table, a line a metric."""
    lines = []
    for metric in metrics_of(result.task):
        name, _, cutoff = metric.partition("@")
        found = by_kind(result, metric)
        rows = {role: found.get(role) for role in ("model", "trivial", "shuffled")}
        lines.append(Line(_NAMES[name] + (f", first {cutoff}" if cutoff else ""), rows))
    first = next(i for i, metric in enumerate(metrics_of(result.task)) if metric.startswith("map@"))
    lines.insert(0, lines.pop(first))
    reading = (
        f"Labels are those of {result.task.of.name}: an image is right if it shares a positive class with the one that "
        f"asks, and gains the share of their positive classes that both have. {result.queries} images ask; images of "
        "the own subject are left out. The figures depend on how many images there are to choose from."
    )
    return _section(result, "neighbours", result.models[0], lines[0].title, [("What is found", lines)], reading)


def factuality_section(result: FactualityResult) -> LinesSection:
    """Gather what the page shows of caption factuality: one table, a line a verdict and kind of caption."""
    found = {(row.metric, row.class_name, row.kind): row for row in result.rows}
    lines = [
        Line(
            row.metric.capitalize() + (f", {row.class_name}" if row.class_name else ""),
            {role: found.get((row.metric, row.class_name, role)) for role in ("model", "shuffled")},
        )
        for row in result.rows
        if row.kind == "model"
    ]
    reading = (
        f"{sum(result.counts.values())} captions were read by the checker of voxtile check. “Supported” means that "
        "every claim follows from the facts or from what a closed scope leaves out; one fault decides a caption's "
        "verdict. A checker finds what its vocabulary knows; words that it does not know make no claim."
    )
    section = _section(result, "factuality", NAME, "Supported captions", [("Verdicts", lines)], reading)
    return replace(section, labelled=False, ranks=False)


def _section(
    result: ProbeResult | NeighboursResult | FactualityResult,
    kind: str,
    model: str,
    headline: str,
    tables: list[tuple[str, list[Line]]],
    reading: str,
) -> LinesSection:
    values = [row.low for _, lines in tables for line in lines for row in line.rows.values() if row and row.low]
    lowest = min([0.45, *values])
    every: tuple[ScoreKind, ...] = ("model", "trivial", "shuffled")
    roles = [role for role in every if role in _ABOUT[kind]]
    unit, units = UNIT_NAMES[result.task.unit]
    return LinesSection(
        result=result,
        anchor=result.task.name.replace("/", "-"),
        unit=unit,
        units=units,
        sources=[Source(role, model, role, *_ABOUT[kind][role]) for role in roles],
        headline_title=headline,
        tables=tables,
        reading=reading,
        strip=Strip(max(0.0, float(np.floor(lowest * 10)) / 10)),
        difference=result.differences[0] if result.differences else None,
    )


def _budget_rows(result: ProbeResult, label: str, metric: str) -> dict[str, Row | None]:
    names: dict[str, tuple[str, ScoreKind]] = {
        "model": (f"{result.model}+{label}", "model"),
        "trivial": (f"{TRIVIAL}+{label}", "trivial"),
        "shuffled": (f"{result.model}+{label}", "shuffled"),
    }
    return {
        role: find_row(result.rows, model=model, kind=kind, metric=metric, class_name=None)
        for role, (model, kind) in names.items()
    }
