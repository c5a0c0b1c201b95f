"""Running tasks of any kind, and writing what came out: what `voxtile evaluate` and `lightning test` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from voxtile.corpus.drafts import only_writer
from voxtile.corpus.reader import Corpus
from voxtile.corpus.synthetic import is_phantom
from voxtile.evaluation.comparison.scores_file import write_scores
from voxtile.evaluation.inputs.units import select_units
from voxtile.evaluation.joint import summary_table
from voxtile.evaluation.options import Options
from voxtile.evaluation.provenance import check_leakage, provenance
from voxtile.evaluation.report.page import write_page
from voxtile.evaluation.report.tables import latex, rows_csv
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation, joined, write_results, write_text
from voxtile.evaluation.tasks.choices import PROTOCOLS
from voxtile.evaluation.tasks.file import load_tasks
from voxtile.evaluation.tasks.kind import task_kind
from voxtile.evaluation.tasks.task import Task
from voxtile.evaluation.terminal import print_evaluation, print_summary
from voxtile.models.protocol import EvaluationModel
from voxtile.models.rgb_pictures import flattened, flattening_note

_PATIENCE_S = 600.0  # for another report that is written into the same folder; pages have many pictures


def evaluate_model(
    model: EvaluationModel, spec: str, corpus: Corpus, tasks: Sequence[str], options: Options
) -> Evaluation:
    """Run tasks, each by its kind.

    Args:
        model: loaded.
        spec: how it was named, for the provenance.
        corpus: opened.
        tasks: names or paths.
        options: how.
    """
    results = tuple(_completed(task, model, corpus, options) for task in load_tasks(tasks))
    leakage = check_leakage(model, corpus, results, allowed=options.allow_leakage)
    return Evaluation(
        model=model.name,
        results=results,
        provenance=provenance(model, spec, corpus, seed=options.seed, replicates=options.replicates, leakage=leakage),
        phantom=is_phantom(corpus),
    )


def _completed(task: Task, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    """Run a task with the model as it reads such samples, and add what else is asked for."""
    uids = {uid for part in select_units(corpus, task).values() for uid in part.uids}
    columns = ["uid", "kind", "axes", "codec"]
    metas = [row for row in corpus.table("samples", columns=columns).to_pylist() if row["uid"] in uids]
    reader, kind = flattened(model, metas, options.flattening), task_kind(task.kind)
    result: Result = kind.run(reader, corpus, task, options)
    notes = [*result.notes, *_without_effect(kind.takes, result, options)]
    found = {name: tuple(kind.published(name, result, reader)) for name in options.compat}
    notes += [
        f"no figure by the rules of {name}: it is about {PROTOCOLS[name]}"
        for name, figures in found.items()
        if not figures
    ]
    if note := flattening_note(options.flattening, reader.preset):
        notes.append(note)
    return replace(result, compat=tuple(part for figures in found.values() for part in figures), notes=tuple(notes))


def _without_effect(takes: frozenset[str], result: Result, options: Options) -> list[str]:
    """Sentences about what was asked for and is nothing to this kind of task."""
    asked = [
        name
        for name in ("robustness", "subgroups")
        if name not in takes and (getattr(options, name) or getattr(result.task, name, ()))
    ]
    notes = [f"no {name}: only tasks with classes have it" for name in asked]
    if options.scorers and "scorers" not in takes:
        notes.append(f"no {', '.join(options.scorers)}: only zero-shot and retrieval tasks compare tokens")
    return notes


def report(
    evaluation: Evaluation, out: Path, console: Console, *others: Evaluation, references: Path | None = None
) -> Path:
    """Write `results.json`, `.csv` and `.tex`, `scores.parquet` and `index.html`, and print the table.

    Args:
        evaluation: of the first model.
        out: the folder.
        console: to print on.
        others: of further models on the same tasks.
        references: folder outside the corpus from which pictures may be copied into the page.

    Returns:
        `results.json`.
    """
    evaluations = [evaluation, *others]
    seed, replicates = evaluation.provenance["seed"], evaluation.provenance["bootstrap"]
    table = summary_table(evaluations, replicates=replicates, seed=seed)
    with only_writer(out, _PATIENCE_S):  # all files are of one report, whoever else writes there
        results = write_results(evaluations, [pair.to_json() for pair in table.pairs], out)
        write_text(out / "results.csv", rows_csv(joined(evaluations)["rows"]))
        write_text(out / "results.tex", latex(table))
        write_scores(evaluations, out)
        page = write_page(evaluations, table, out, references)
    for part in evaluations:
        print_evaluation(part, console)
    if others:
        print_summary(table, console)
    console.print(f"wrote {results} and {page}", markup=False, highlight=False, soft_wrap=True)
    return results
