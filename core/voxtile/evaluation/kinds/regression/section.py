"""What the page and the terminal show of a regression: a line a target."""

from __future__ import annotations

from rich.table import Table

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.regression.run import RegressionResult
from voxtile.evaluation.kinds.regression.task import Target
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source
from voxtile.evaluation.terminal import bare, new_table, selection, shown

_ABOUT: dict[ScoreKind, tuple[str, str]] = {
    "model": ("The model's embeddings", "frozen, with a ridge regression on the training units"),
    "trivial": ("Trivial baseline", "the same regression on an intensity histogram and block means"),
    "shuffled": ("Shuffled images", "what is told of images of other subjects; must be at or below 0"),
}
_TABLES = {"r2": "R²", "spearman": "Correlation of ranks (Spearman)"}


def regression_section(result: RegressionResult) -> LinesSection:
    """Gather what the page shows of a regression; mean absolute errors, which have units, stand in its text."""
    tables = [
        (title, [_line(result, target, metric) for target in result.task.targets]) for metric, title in _TABLES.items()
    ]
    errors = "; ".join(
        f"{t.title} {bare(_row(result, 'model', 'mae', t.name))} {t.unit}".rstrip() for t in result.task.targets
    )
    return LinesSection(
        result=result,
        sources=[Source(kind, result.model, kind, *about) for kind, about in _ABOUT.items()],
        headline_title=f"R² of {result.task.targets[0].title}",
        tables=tables,
        reading=(
            f"Numbers are {_origin(result)}. R² is 0 for a constant and below it for what is worse than one. "
            f"The penalty was chosen on the validation split. Mean absolute errors: {errors}."
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
    )


def regression_tables(result: RegressionResult) -> list[Table]:
    """A line a target: R², correlation and error of the model, R² of the two controls."""
    table = new_table(selection(result), "number")
    for heading in ("R²", "Spearman", "mean absolute error", "R², trivial", "R², shuffled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for target in result.task.targets:
        r2, ranks, error = (_row(result, "model", metric, target.name) for metric in ("r2", "spearman", "mae"))
        controls = (_row(result, kind, "r2", target.name) for kind in ("trivial", "shuffled"))
        table.add_row(
            target.title, shown(r2), shown(ranks), f"{bare(error)} {target.unit}".rstrip(), *map(bare, controls)
        )
    return [table]


def _origin(result: RegressionResult) -> str:
    kinds = {
        f"values of facts{f' of the source {result.task.facts_source}' if result.task.facts_source else ''}": "fact",
        "attributes of the samples": "attribute",
    }
    return " and ".join(text for text, key in kinds.items() if any(getattr(t, key) for t in result.task.targets))


def _line(result: RegressionResult, target: Target, metric: str) -> Line:
    return Line(target.title, {kind: _row(result, kind, metric, target.name) for kind in _ABOUT})


def _row(result: RegressionResult, kind: str, metric: str, name: str) -> Row | None:
    model = TRIVIAL if kind == "trivial" else result.model
    wanted = (model, kind, metric, name)
    return next((row for row in result.rows if (row.model, row.kind, row.metric, row.class_name) == wanted), None)
