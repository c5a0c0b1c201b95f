"""`voxtile compare`: is one model better than another, on the same units?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.drafts import only_writer
from voxtile.errors import ConfigError
from voxtile.evaluation.comparison.compare import Contrast, compare_scores
from voxtile.evaluation.comparison.scores_file import check_figures, read_scores
from voxtile.evaluation.figures.baselines import TRIVIALS
from voxtile.evaluation.results import prepare_folder, write_text

SCHEMA = "voxtile.comparison/1"
_PATIENCE_S = 60.0  # for another comparison that is written into the same folder


def compare(
    first: Path,
    second: Path,
    *,
    out: Path | None = None,
    first_model: str | None = None,
    second_model: str | None = None,
    bootstrap: int = 2000,
    seed: int = 0,
) -> None:
    """Compare two reports of `voxtile evaluate` pair by pair, task by task and class by class.

    AUROC of the first less that of the second, with a 95 % interval by bootstrap over subjects and the p of no
    difference: DeLong's where every subject has one unit, else from the bootstrap. Classes of a task are many questions
    at once, so that their p is also given after Holm's correction.

    Args:
        first: folder of a report, or its results.json.
        second: another, of the same tasks on the same corpus.
        out: folder for comparison.json, .csv and .tex.
        first_model: whose scores of the first report; its own model, not the trivial baseline, when left out.
        second_model: likewise of the second.
        bootstrap: replicates.
        seed: of the bootstrap.

    Raises:
        ConfigError: fewer than 100 replicates.
        EvaluationError: a report without scores or with figures that are not of them, or reports that cannot be paired.
    """
    if bootstrap < 100:
        raise ConfigError(f"--bootstrap must be at least 100 for a standard error, not {bootstrap}")
    tables = read_scores(first), read_scores(second)
    for report, table in zip((first, second), tables, strict=True):
        check_figures(report, table)
    models = _model(tables[0], first_model, first), _model(tables[1], second_model, second)
    contrasts = compare_scores(*tables, models, replicates=bootstrap, seed=seed)
    labels = models if models[0] != models[1] else (str(first), str(second))
    console = output()
    console.print(_table(contrasts, labels))
    if len(contrasts) > 2:
        console.print(
            "p after Holm's correction holds for all classes of a task together; p alone for one chosen before."
        )
    if out is not None:
        prepare_folder(out)
        with only_writer(out, _PATIENCE_S):
            files = _files(contrasts, labels)
            for name, text in files.items():
                write_text(out / name, text)
        for name in files:
            console.print(f"wrote {out / name}", markup=False, highlight=False, soft_wrap=True)


def _model(table: pa.Table, asked: str | None, report: Path) -> str:
    names: list[str] = pc.unique(table["model"]).to_pylist()
    if asked is None:
        own = [name for name in names if name not in TRIVIALS]
        if not own:
            raise ConfigError(f"the report '{report}' has no scores of a model; evaluate it again")
        return own[0]
    if asked not in names:
        raise ConfigError(f"the report '{report}' has no scores of '{asked}'; it has {', '.join(names)}")
    return asked


def _table(contrasts: Sequence[Contrast], labels: tuple[str, str]) -> Table:
    table = Table("task, class", *map(escape, labels), "difference", "95 % interval", "p", "p, Holm")
    for part in contrasts:
        row = [f"{part.first:.3f}", f"{part.second:.3f}", f"{part.difference:+.3f}"]
        row += [f"{part.low:+.3f} to {part.high:+.3f}", _shown(part.p), _shown(part.adjusted)]
        title = f"{part.task}, mean" if part.class_name is None else f"  {part.class_name}"
        table.add_row(escape(title), *row, style="bold" if part.class_name is None else None)
    return table


def _shown(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _files(contrasts: Sequence[Contrast], labels: tuple[str, str]) -> dict[str, str]:
    rows = [{("class" if key == "class_name" else key): value for key, value in asdict(c).items()} for c in contrasts]
    content = {"schema": SCHEMA, "metric": "auroc", "first": labels[0], "second": labels[1], "rows": rows}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return {
        "comparison.json": json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "comparison.csv": stream.getvalue(),
        "comparison.tex": _latex(contrasts, labels),
    }


def _latex(contrasts: Sequence[Contrast], labels: tuple[str, str]) -> str:
    def escaped(text: str) -> str:
        for sign in "\\&%$#_{}":
            text = text.replace(sign, {"\\": r"\textbackslash{}"}.get(sign, f"\\{sign}"))
        return text

    lines = [r"\begin{tabular}{lrrrr}", r"\hline"]
    lines.append(
        " & ".join(["Class", *map(escaped, labels), r"Difference (95\,\% interval)", "$p$ (Holm)"]) + r" \\ \hline"
    )
    for part in contrasts:
        name = "Mean" if part.class_name is None else part.class_name
        figures = [
            f"{part.first:.3f}",
            f"{part.second:.3f}",
            f"${part.difference:+.3f}$ ({part.low:+.3f} to {part.high:+.3f})",
        ]
        lines.append(" & ".join([escaped(name), *figures, _shown(part.adjusted).replace("<", "$<$")]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])
