"""What the page shows of a probe: a table a metric, a line a number of labels."""

from __future__ import annotations

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.figures import DECISION, RANKING
from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row
from voxtile.evaluation.kinds.probe.run import ProbeResult
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source

_NAMES = {"auroc": "AUROC", "average_precision": "Average precision", "balanced_accuracy": "Balanced accuracy"}
_ABOUT: dict[ScoreKind, tuple[str, str]] = {
    "model": ("The model's embeddings", "frozen, with a regularised classifier on the labelled training units"),
    "trivial": ("Trivial baseline", "the same classifier and labels on an intensity histogram and block means"),
    "shuffled": ("Shuffled images", "the classifier on images of other subjects; must be near chance"),
}
_POOLING = {
    "mean": "the mean of a study's embeddings",
    "max": "the largest value of each dimension over a study",
    "abmil": "attention over a study's samples, learnt with the classifier",
}


def probe_section(result: ProbeResult) -> LinesSection:
    """Gather what the page shows of a probe."""
    tables = []
    for metric in (*RANKING, *DECISION):
        lines = [Line(b.title, _rows(result, b.label, metric)) for b in result.budgets]
        if any(line.rows["model"] for line in lines):
            tables.append((_NAMES.get(metric, metric.capitalize()), lines))
    largest = result.budgets[0]
    draws = f", mean of {result.task.repeats} draws" if largest.share != 100 else ""
    pooled = f" A study is {_POOLING[result.task.pooling]}." if result.task.unit == "study" else ""
    return LinesSection(
        result=result,
        sources=[Source(role, result.model, role, *about) for role, about in _ABOUT.items()],
        headline_title=f"AUROC with {largest.title}{draws}",
        tables=tables,
        reading=(
            f"Labels are those of {result.task.of.name}. The penalty of each fit was chosen on the validation split; "
            f"fewer labels than all are drawn {result.task.repeats} times and figures are means over the draws.{pooled}"
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
        labelled=True,
    )


def _rows(result: ProbeResult, label: str, metric: str) -> dict[str, Row | None]:
    names: dict[str, tuple[str, ScoreKind]] = {
        "model": (f"{result.model}+{label}", "model"),
        "trivial": (f"{TRIVIAL}+{label}", "trivial"),
        "shuffled": (f"{result.model}+{label}", "shuffled"),
    }
    return {
        role: find_row(result.rows, model=model, kind=kind, metric=metric, class_name=None)
        for role, (model, kind) in names.items()
    }
