"""The table that a run prints: macro figures first, then every class, the model beside the two controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.baselines import SPECTRUM, TRIVIALS
from voxtile.evaluation.figures.decisions import ENSEMBLE, FACT_HEAD
from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row, metric_title
from voxtile.evaluation.joint import SummaryTable
from voxtile.evaluation.kinds.factuality.run import FactualityResult
from voxtile.evaluation.kinds.grounding.run import GroundingResult
from voxtile.evaluation.kinds.neighbours.run import NeighboursResult, by_kind, metrics_of
from voxtile.evaluation.kinds.probe.run import ProbeResult
from voxtile.evaluation.kinds.referring.run import ReferringResult
from voxtile.evaluation.kinds.retrieval.figures import MEAN
from voxtile.evaluation.kinds.retrieval.questions import DIRECTIONS, Rule
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation
from voxtile.evaluation.scorers import LATE_INTERACTION, MATCHING

_METRICS = {"auroc": "AUROC", "average_precision": "average precision", "balanced_accuracy": "balanced accuracy"}

_NAME = 10  # columns that the name of a row keeps in a narrow terminal


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print a table a task, and its notes."""
    for result in evaluation.results:
        for table in tables(result):
            console.print(table)
        if result.compat:
            console.print(_compat(result))
        for note in result.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    if evaluation.phantom:
        console.print("A phantom figure proves wiring, never quality.", style="bold")


def print_summary(table: SummaryTable, console: Console) -> None:
    """Print models × tasks, the best of each task in bold, and how the first model compares with the others."""
    shape = _table("models and tasks", "model")
    for result, metric in zip(table.tasks, table.metrics, strict=True):
        shape.add_column(escape(f"{result.task.name}\n{metric_title(metric)}"), justify="right")
    for line in table.lines:
        cells = (f"[bold]{shown(c.row)}[/bold]" if c.best else shown(c.row) for c in line.cells)
        shape.add_row(escape(line.label), *cells, style=None if line.kind == "model" else "dim")
    console.print(shape)
    for pair in table.pairs:
        p = "< 0.001" if pair.adjusted < 0.001 else f"= {pair.adjusted:.3f}"
        console.print(
            f"{pair.task}: {pair.first} less {pair.second} {pair.difference:+.3f} "
            f"({pair.low:+.3f} to {pair.high:+.3f}), p {p} after Holm's correction",
            markup=False,
            highlight=False,
        )
    if table.note:
        console.print(f"note: {table.note}", style="yellow", markup=False, highlight=False)


@singledispatch
def tables(result: Result) -> list[Table]:
    """The tables of one task, by the kind of its result."""
    raise NotImplementedError(f"nothing prints a {type(result).__name__}")


@tables.register
def _(result: TaskResult) -> list[Table]:
    return [_summary(result), _classes(result)] if len(result.task.reported) > 1 else [_summary(result)]


@tables.register
def _(result: RetrievalResult) -> list[Table]:
    """A line a direction and k; the model under both rules, the controls under the strict one."""
    title = f"{_selection(result)}, {result.captions} captions ({result.texts} different)"
    table = _table(title, "recall")
    columns: list[tuple[str, str, ScoreKind, Rule]] = [("own pair", result.models[0], "model", "strict")]
    columns.append(("or equal words", result.models[0], "model", "tolerant"))
    columns += [(name.removeprefix(f"{result.models[0]}+"), name, "model", "strict") for name in result.reranked]
    columns += [("trivial", name, "trivial", "strict") for name in result.models[1:]]
    columns.append(("shuffled", result.models[0], "shuffled", "strict"))
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    lines = [(f"{d}, first {k}", f"recall@{k}", f"{d}/") for d in DIRECTIONS for k in result.task.recall]
    for label, metric, prefix in [*lines, ("mean", MEAN, "")]:
        first, *others = [_figure(result, model, kind, metric, f"{prefix}{rule}") for _, model, kind, rule in columns]
        table.add_row(label.replace("-", " "), shown(first), *map(bare, others), style="bold" if not prefix else None)
    return [table]


@tables.register
def _(result: FactualityResult) -> list[Table]:
    """A line a verdict and kind of caption, beside the same captions judged by another subject's facts."""
    table = _table(f"{_selection(result)}, {sum(result.counts.values())} captions", "verdict")
    for heading in ("captions", "their own facts", "another subject's facts"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in (row for row in result.rows if row.kind == "model"):
        control = _figure(result, row.model, "shuffled", row.metric, row.class_name)
        label = row.metric if row.class_name is None else f"  {row.class_name}"
        table.add_row(escape(label), f"{row.positives} of {row.n}", shown(row), bare(control))
    return [table]


@tables.register
def _(result: GroundingResult) -> list[Table]:
    """A line a phrase and the means; the model's figures, and Dice of the two controls."""
    table = _table(_selection(result), "phrase")
    model, blind = result.models
    columns: list[tuple[str, str, ScoreKind, str]] = [
        ("Dice", model, "model", "dice"),
        ("lesion F1", model, "model", "lesion_f1"),
        ("rightly empty", model, "model", "n_acc"),
        ("pointing", model, "model", "pointing"),
        ("Dice, text-blind", blind, "trivial", "dice"),
        ("Dice, other phrase", model, "shuffled", "dice"),
    ]
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    names: list[tuple[str, str | None]] = [("mean", None), *((c.title, c.name) for c in result.task.classes)]
    for title, name in names:
        found = [find_row(result.rows, model=m, kind=k, metric=metric, class_name=name) for _, m, k, metric in columns]
        table.add_row(escape(title), shown(found[0]), *map(bare, found[1:]), style="bold" if name is None else None)
    return [table]


@tables.register
def _(result: ReferringResult) -> list[Table]:
    """A line a group; the model's upright and rotated boxes, and the two controls."""
    precision = result.headline_metric
    table = _table(f"{_selection(result)}, {result.expressions} expressions", precision)
    columns: list[tuple[str, ScoreKind, str]] = [
        ("model", "model", precision),
        ("rotated boxes", "model", f"rotated_{precision}"),
        ("text-blind", "trivial", precision),
        ("other phrase", "shuffled", precision),
    ]
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    names: list[tuple[str, str | None]] = [("all", None), *((name, name) for name in result.task.groups)]
    for title, name in names:
        found = {(r.kind, r.metric): r for r in result.rows if r.class_name == name}
        first, *others = [found.get((kind, metric)) for _, kind, metric in columns]
        table.add_row(escape(title), shown(first), *map(bare, others), style="bold" if name is None else None)
    return [table]


def _compat(result: Result) -> Table:
    table = _table("by published rules", "protocol and rule")
    for heading in ("metric", "by the rule", "honest", "flatters by"):
        table.add_column(heading, justify="right", no_wrap=heading != "metric")
    for part in result.compat:
        figures = f"{part.published:.3f}", f"{part.honest:.3f}", f"{part.gain:+.3f}"
        table.add_row(escape(f"{part.protocol}: {part.rule}"), metric_title(part.metric), *figures)
    return table


@tables.register
def _(result: ProbeResult) -> list[Table]:
    """A line a number of labels; the probe's macro figures, and AUROC of the two controls."""
    table = _table(f"{_selection(result)}, labels of {result.task.of.name}", "labels")
    for heading in (*_METRICS.values(), "AUROC, trivial", "AUROC, shuffled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for budget in result.budgets:
        columns: list[tuple[str, ScoreKind, str]] = [(result.model, "model", metric) for metric in _METRICS]
        columns += [(TRIVIAL, "trivial", "auroc"), (result.model, "shuffled", "auroc")]
        rows = [
            find_row(result.rows, model=f"{m}+{budget.label}", kind=kind, metric=metric, class_name=None)
            for m, kind, metric in columns
        ]
        table.add_row(budget.title, *map(shown, rows[:3]), *map(bare, rows[3:]))
    return [table]


@tables.register
def _(result: NeighboursResult) -> list[Table]:
    """A line a metric; the model beside the two controls."""
    table = _table(f"{_selection(result)}, labels of {result.task.of.name}", "metric")
    for heading in ("model", "trivial", "shuffled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric in metrics_of(result.task):
        rows = by_kind(result, metric)
        table.add_row(metric, shown(rows.get("model")), bare(rows.get("trivial")), bare(rows.get("shuffled")))
    return [table]


def _figure(result: Result, model: str, kind: ScoreKind, metric: str, name: str | None) -> Row | None:
    wanted = (model, kind, metric, name)
    return next((r for r in result.rows if (r.model, r.kind, r.metric, r.class_name) == wanted), None)


def _selection(result: Result) -> str:
    size = result.sizes[result.split]
    unit = {"sample": "samples", "study": "studies"}[result.task.unit]
    return f"{result.task.name}: {result.split}, {size['units']} {unit} of {size['subjects']} subjects"


def _summary(result: TaskResult) -> Table:
    classes = len(result.figures)
    title = _selection(result)
    table = _table(title + (f", mean of {classes} classes" if classes > 1 else ""), "scores of")
    for name in _METRICS.values():
        table.add_column(name, justify="right")
    for source in _sources(result):
        rows = [_row(result, source, metric, None) for metric in _METRICS]
        table.add_row(escape(source.label), *map(shown, rows), style="bold" if source.kind == "model" else None)
    return table


def _classes(result: TaskResult) -> Table:
    """AUROC by class: with its interval for the prompts, as bare figures beside it."""
    sources = _sources(result)
    table = _table("AUROC by class", "class")
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


def _table(title: str, first: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(first, overflow="fold", min_width=_NAME)
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


def shown(row: Row | None) -> str:
    """A figure with its interval, as text."""
    if row is None or row.low is None or row.high is None:
        return bare(row)
    return f"{bare(row)} ({_short(row.low)}–{_short(row.high)})"


def bare(row: Row | None) -> str:
    """A figure alone, as text."""
    if row is None:
        return "–"
    return "refused" if row.value is None else f"{row.value:.3f}"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
