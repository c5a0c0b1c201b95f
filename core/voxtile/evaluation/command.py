"""`voxtile evaluate`: any model on any task, as results.json, a table in the terminal and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path

from rich.console import Console

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.corpus.synthetic import is_phantom
from voxtile.errors import ConfigError
from voxtile.evaluation.comparison.scores_file import write_scores
from voxtile.evaluation.compat.apply import checked as checked_protocols
from voxtile.evaluation.figures.robustness import checked as checked_changes
from voxtile.evaluation.inputs.units import select_units
from voxtile.evaluation.joint import named_apart, summary_table
from voxtile.evaluation.kinds.factuality.run import run_factuality
from voxtile.evaluation.kinds.factuality.task import FactualityTask
from voxtile.evaluation.kinds.grounding.run import run_grounding
from voxtile.evaluation.kinds.grounding.task import GroundingTask
from voxtile.evaluation.kinds.neighbours.run import run_neighbours
from voxtile.evaluation.kinds.neighbours.task import NeighboursTask
from voxtile.evaluation.kinds.probe.run import run_probe
from voxtile.evaluation.kinds.probe.task import ProbeTask
from voxtile.evaluation.kinds.referring.run import run_referring
from voxtile.evaluation.kinds.referring.task import ReferringTask
from voxtile.evaluation.kinds.retrieval.run import run_retrieval
from voxtile.evaluation.kinds.retrieval.task import RetrievalTask
from voxtile.evaluation.kinds.zero_shot.completion import completed
from voxtile.evaluation.kinds.zero_shot.run import Options, run_task
from voxtile.evaluation.provenance import check_leakage, provenance
from voxtile.evaluation.report.page import write_page
from voxtile.evaluation.report.tables import latex, rows_csv
from voxtile.evaluation.result import Result
from voxtile.evaluation.results import Evaluation, joined, prepare_folder, write_results, write_text
from voxtile.evaluation.scorers import RERANK, checked_scorers
from voxtile.evaluation.tasks.file import load_task
from voxtile.evaluation.tasks.task import EvaluationTask, Task
from voxtile.evaluation.terminal import print_evaluation, print_summary
from voxtile.models.protocol import EvaluationModel
from voxtile.models.rgb_pictures import RED_GREEN_BLUE, SLICES, Flattening, flattened

_SPLITS = ("test", "val", "train")


def evaluate(
    model: str,
    *tasks: str,
    corpus: Path,
    out: Path,
    split: str | None = None,
    batch_size: int = 32,
    bootstrap: int = 1000,
    seed: int = 0,
    also: str | None = None,
    compat: str | None = None,
    robustness: str | None = None,
    subgroups: str | None = None,
    scorers: str | None = None,
    rerank: int = RERANK,
    allow_leakage: bool = False,
    slices: int = SLICES,
    window: str | None = None,
    bands: str | None = None,
    show_texts: bool = False,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Evaluate models on tasks: figures with intervals, a trivial baseline and shuffled images beside them.

    Writes OUT/results.json, OUT/index.html, the figures for papers (OUT/results.csv, OUT/results.tex) and the scores
    themselves (OUT/scores.parquet, for `voxtile compare`), and prints a table.

    Args:
        model: a checkpoint, open_clip:NAME[/PRETRAINED], hf:ID (CLIP or SigLIP), a folder of one of these, or
            class:package.module.Class[:ARGUMENT], a class of your own.
        tasks: names such as medical/ct-findings, or paths of task files.
        corpus: folder of the corpus.
        out: folder of the report; made if it does not exist.
        split: the split to report; each task's own (test) when left out.
        batch_size: images a batch.
        bootstrap: replicates of the bootstrap over subjects.
        seed: of the bootstrap and of the shuffled control.
        also: further models for the same table, separated by commas.
        compat: also compute figures by published rules and say how much they flatter: ct-clip, conch, mi-zero, plip,
            clip-benchmark, separated by commas.
        robustness: try the model on changed images too: flip, orientation, resampling, noise, scanner,
            missing=BAND+BAND, separated by commas.
        subgroups: split figures by sex, age_band, scanner, place, season or any other property that the corpus has,
            separated by commas.
        scorers: also score images and texts by the tokens of both: late-interaction (trained with TokenWise) or
            matching (trained with ImageTextMatching), separated by commas; in retrieval they order the first
            candidates anew.
        rerank: how many candidates of each query these are.
        slices: of each volume, for a model of pictures; their embeddings are averaged.
        window: LOW,HIGH of these slices in the volume's units; soft tissue for HU, else percentiles, when left out.
        bands: RED,GREEN,BLUE of multispectral tiles, for a model of pictures; by their usual names when left out.
        show_texts: put captions of the corpus into the page as they are; they may be reports of patients.
        allow_leakage: report figures although the model was trained on some of what is reported; the report says so.
        trust_package: package of your own whose classes a checkpoint or export may name; repeat it for further ones.

    Raises:
        EvaluationError: nothing can be evaluated, or OUT is not writable.
    """
    from voxtile.inference.load import load_model

    options = replace(
        checked_options(split, batch_size, bootstrap, seed),
        compat=checked_protocols(_listed(compat)),
        robustness=tuple(checked_changes(_listed(robustness))),
        subgroups=_listed(subgroups),
        allow_leakage=allow_leakage,
        flattening=_flattening(slices, window, bands),
        scorers=checked_scorers(_listed(scorers)),
        rerank=rerank,
        show_texts=show_texts,
    )
    if rerank < 1:
        raise ConfigError(f"--rerank must be at least 1, not {rerank}")
    if not tasks:
        raise ConfigError(
            "no task was named; for example: voxtile evaluate MODEL medical/ct-findings --corpus … --out …"
        )
    for task in tasks:
        load_task(task)  # a typing error should not cost the time to load a model
    prepare_folder(out)
    opened = Corpus(corpus)
    specs = [model, *_listed(also)]
    models = [load_model(spec, trust_package) for spec in specs]
    for loaded, name in zip(models, named_apart([loaded.name for loaded in models], specs), strict=True):
        if loaded.name != name:
            loaded.name = name
    evaluations = [
        evaluate_model(loaded, spec, opened, tasks, options) for loaded, spec in zip(models, specs, strict=True)
    ]
    report(evaluations[0], out, output(), *evaluations[1:])


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _flattening(slices: int, window: str | None, bands: str | None) -> Flattening:
    try:
        limits = tuple(float(part) for part in _listed(window))
    except ValueError:
        raise ConfigError(f"--window must be two numbers such as --window=-160,240, not '{window}'") from None
    return Flattening(slices, limits or None, _listed(bands) or RED_GREEN_BLUE)  # type: ignore[arg-type]


def checked_options(split: str | None, batch_size: int, bootstrap: int, seed: int) -> Options:
    """Options of a run.

    Raises:
        ConfigError: a value is out of range.
    """
    if split is not None and split not in _SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(_SPLITS)}, not '{split}'")
    if batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1, not {batch_size}")
    if bootstrap < 100:
        raise ConfigError(f"--bootstrap must be at least 100 for a standard error, not {bootstrap}")
    if seed < 0:
        raise ConfigError(f"--seed must not be negative, not {seed}")
    return Options(split=split, batch_size=batch_size, replicates=bootstrap, seed=seed)


def evaluate_model(
    model: EvaluationModel, spec: str, corpus: Corpus, tasks: Sequence[str], options: Options
) -> Evaluation:
    """Run tasks; the code that `voxtile evaluate` and `lightning test` share.

    Args:
        model: loaded.
        spec: how it was named, for the provenance.
        corpus: opened.
        tasks: names or paths.
        options: how.
    """
    results = tuple(_completed(load_task(task), model, corpus, options) for task in tasks)
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
    reader = flattened(model, metas, options.flattening)
    result = completed(_run(task, reader, corpus, options), reader, corpus, options)
    note = options.flattening.note(reader.preset)
    return replace(result, notes=(*result.notes, note)) if note else result


@singledispatch
def _run(task: Task, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    raise NotImplementedError(f"nothing runs a {type(task).__name__}")


@_run.register
def _(task: EvaluationTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_task(model, corpus, task, options)


@_run.register
def _(task: FactualityTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_factuality(model, corpus, task, options)


@_run.register
def _(task: RetrievalTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_retrieval(model, corpus, task, options)


@_run.register
def _(task: GroundingTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_grounding(model, corpus, task, options)


@_run.register
def _(task: ReferringTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_referring(model, corpus, task, options)


@_run.register
def _(task: ProbeTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_probe(model, corpus, task, options)


@_run.register
def _(task: NeighboursTask, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    return run_neighbours(model, corpus, task, options)


def report(evaluation: Evaluation, out: Path, console: Console, *others: Evaluation) -> None:
    """Write `results.json`, `.csv` and `.tex`, `scores.parquet` and `index.html`, and print the table.

    Args:
        evaluation: of the first model.
        out: the folder.
        console: to print on.
        others: of further models on the same tasks.
    """
    evaluations = [evaluation, *others]
    seed, replicates = evaluation.provenance["seed"], evaluation.provenance["bootstrap"]
    table = summary_table(evaluations, replicates=replicates, seed=seed)
    results = write_results(evaluations, [pair.to_json() for pair in table.pairs], out)
    write_text(out / "results.csv", rows_csv(joined(evaluations)["rows"]))
    write_text(out / "results.tex", latex(table))
    write_scores(evaluations, out)
    page = write_page(evaluations, table, out)
    for part in evaluations:
        print_evaluation(part, console)
    if others:
        print_summary(table, console)
    console.print(f"wrote {results} and {page}", markup=False, highlight=False, soft_wrap=True)
