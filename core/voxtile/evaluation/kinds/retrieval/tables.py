"""What the terminal prints of a retrieval task."""

from __future__ import annotations

from rich.table import Table

from voxtile.evaluation.figures.rows import ScoreKind
from voxtile.evaluation.kinds.retrieval.figures import MEAN
from voxtile.evaluation.kinds.retrieval.questions import DIRECTIONS, Rule
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.terminal import bare, figure_of, new_table, selection, shown


def retrieval_tables(result: RetrievalResult) -> list[Table]:
    """A line a direction and k; the model under both rules, the controls under the strict one."""
    title = f"{selection(result)}, {result.captions} captions ({result.texts} different)"
    table = new_table(title, "recall")
    columns: list[tuple[str, str, ScoreKind, Rule]] = [("own pair", result.models[0], "model", "strict")]
    columns.append(("or equal words", result.models[0], "model", "tolerant"))
    columns += [(name.removeprefix(f"{result.models[0]}+"), name, "model", "strict") for name in result.reranked]
    columns += [("trivial", name, "trivial", "strict") for name in result.models[1:]]
    columns.append(("shuffled", result.models[0], "shuffled", "strict"))
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    lines = [(f"{d}, first {k}", f"recall@{k}", f"{d}/") for d in DIRECTIONS for k in result.task.recall]
    for label, metric, prefix in [*lines, ("mean", MEAN, "")]:
        first, *others = [figure_of(result, model, kind, metric, f"{prefix}{rule}") for _, model, kind, rule in columns]
        table.add_row(label.replace("-", " "), shown(first), *map(bare, others), style="bold" if not prefix else None)
    return [table]
