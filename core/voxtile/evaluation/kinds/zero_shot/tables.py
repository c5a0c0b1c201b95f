"""What the terminal prints of a task with classes: macro figures first, then every class."""

from __future__ import annotations

from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.baselines import SPECTRUM, TRIVIALS
from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row
from voxtile.evaluation.kinds.zero_shot.model_scores import ENSEMBLE, FACT_HEAD
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.tasks.choices import LATE_INTERACTION, MATCHING
from voxtile.evaluation.terminal import bare, new_table, selection, shown

_METRICS = {"auroc": "AUROC", "average_precision": "average precision", "balanced_accuracy": "balanced accuracy"}


def zero_shot_tables(result: TaskResult) -> list[Table]:
    """The macro figures by source, and AUROC by class where there are several."""
    return [_summary(result), _classes(result)] if len(result.task.reported) > 1 else [_summary(result)]


def _summary(result: TaskResult) -> Table:
    classes = len(result.figures)
    title = selection(result)
    table = new_table(title + (f", mean of {classes} classes" if classes > 1 else ""), "scores of")
    for name in _METRICS.values():
        table.add_column(name, justify="right")
    for source in _sources(result):
        rows = [_row(result, source, metric, None) for metric in _METRICS]
        table.add_row(escape(source.label), *map(shown, rows), style="bold" if source.kind == "model" else None)
    return table


def _classes(result: TaskResult) -> Table:
    """AUROC by class: with its interval for the prompts, as bare figures beside it."""
    sources = _sources(result)
    table = new_table("AUROC by class", "class")
    table.add_column("pos.", justify="right")
    for source in sources:
        table.add_column(escape(source.short), justify="right", no_wrap=True)
    for item in result.task.reported:
        first, *others = [_row(result, source, "auroc", item.name) for source in sources]
        positives = "–" if first is None else str(first.positives)
        table.add_row(
            escape(item.title), positives, shown(first), *(bare(row).replace("refused", "–") for row in others)
        )
    return table


@dataclass(frozen=True)
class _Source:
    """A line of the summary, a column of the classes."""

    model: str
    kind: ScoreKind
    label: str
    short: str


_SHORT = {f"+{LATE_INTERACTION}": "tokens", f"+{MATCHING}": "matching"}


def _sources(result: TaskResult) -> list[_Source]:
    """The contrastive model, its fact head, its tokens, the trivial baseline, the shuffled control."""
    models = [name for name in result.scores if name not in TRIVIALS]
    contrastive, shorts = models[0], {FACT_HEAD: "head", ENSEMBLE: "both", **_SHORT}
    sources = [_Source(contrastive, "model", "zero-shot prompts", "prompts")]
    for name in models[1:]:
        suffix = name.removeprefix(contrastive)
        sources.append(_Source(name, "model", suffix, shorts[suffix]))
    if TRIVIAL in result.scores:
        sources.append(_Source(TRIVIAL, "trivial", "trivial baseline", "trivial"))
    if SPECTRUM in result.scores:
        sources.append(_Source(SPECTRUM, "trivial", "mean spectrum", "spectrum"))
    return [*sources, _Source(contrastive, "shuffled", "shuffled images", "shuffled")]


def _row(result: TaskResult, source: _Source, metric: str, name: str | None) -> Row | None:
    return find_row(result.rows, model=source.model, kind=source.kind, metric=metric, class_name=name)
