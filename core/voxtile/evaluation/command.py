"""`voxtile evaluate`: any model on any task, as results.json, a table in the terminal and one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from voxtile.bounded_text import load_config, read_json
from voxtile.console import note, output, print_json
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError
from voxtile.evaluation.options import Options, checked_options
from voxtile.evaluation.tasks.choices import RERANK, checked_changes, checked_protocols, checked_scorers
from voxtile.evaluation.tasks.file import load_tasks
from voxtile.folders import unused_folder
from voxtile.inference.names import STORED, check_model_name
from voxtile.models.flattening import RED_GREEN_BLUE, SLICES, Flattening

if TYPE_CHECKING:
    from voxtile.engine.ray_cluster.slots import Slots
    from voxtile.evaluation.results import Evaluation


def evaluate(
    model: str,
    *tasks: str,
    corpus: Path | None = None,
    out: Path | None = None,
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
    references: Path | None = None,
    trust_package: tuple[str, ...] = (),
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    json: bool = False,
) -> None:
    """Evaluate models on tasks: figures with intervals, a trivial baseline and shuffled images beside them.

    Writes OUT/results.json, OUT/index.html, the figures for papers (OUT/results.csv, OUT/results.tex) and the scores
    themselves (OUT/scores.parquet, for `voxtile compare`), and prints a table.

    Args:
        model: a checkpoint, open_clip:NAME[/PRETRAINED], hf:ID (CLIP or SigLIP), hub:NAME[/FILE] (docs/models.md), a
            folder of one of these, stored:NAME, vectors that the corpus has, or class:package.module.Class[:ARGUMENT],
            a class of your own.
        tasks: names such as medical/ct-findings, or paths of task files.
        corpus: folder of the corpus. That of the run whose checkpoint is evaluated, as its config.yaml names it, when
            left out.
        out: folder of the report; made if it does not exist. A new one here, `report`, when left out.
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
        references: folder outside the corpus whose pictures may be copied into the page.
        allow_leakage: report figures although the model was trained on some of what is reported; the report says so.
        trust_package: package of your own whose classes a checkpoint or export may name; repeat it for further ones.
        engine: where images are read and encoded: local (this process), or ray: each GPU of a cluster
            (docs/clusters.md), or each processor where it has none, loads the model and encodes batches.
        workers: with ray, how many do so at most; 0 means all.
        json: print what OUT/results.json holds, with `out`, as one JSON object instead of tables.

    Raises:
        ConfigError: no task is named, or an option or a task file does not fit.
        EvaluationError: nothing can be evaluated, or OUT is not writable.
    """
    options = replace(
        checked_options(split, batch_size, bootstrap, seed),
        compat=checked_protocols(_listed(compat)),
        robustness=checked_changes(_listed(robustness)),
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
    folder = out or unused_folder("report")
    corpus = corpus or _corpus_of_run(model)
    load_tasks(tasks)  # a typing error should not cost the time to load a model
    console = Console(quiet=True) if json else output()
    specs = [model, *_listed(also)]
    with ExitStack() as held:
        slots = None
        if engine == "ray":
            if stored := next((spec for spec in specs if spec.startswith(STORED)), None):
                raise ConfigError(f"'{stored}' are vectors of the corpus, which need no cluster; leave out --engine")
            from voxtile.engine.ray_cluster.slots import joined

            slots = held.enter_context(joined(workers, uses_gpu=True))
            slots.start()
        evaluations = _evaluated(specs, tasks, corpus, folder, options, trust_package, slots)
    from voxtile.evaluation.run import report

    results = report(evaluations[0], folder, console, *evaluations[1:], references=references)
    if json:
        print_json({"out": str(folder), **read_json(results)})


def _corpus_of_run(model: str) -> Path:
    """The corpus that a checkpoint was trained on, by the config of its run: runs/NAME/version_N/config.yaml.

    Raises:
        ConfigError: it names none that is here.
    """
    config, named = Path(model).absolute().parent.parent / "config.yaml", None
    if Path(model).suffix == ".ckpt" and config.is_file():
        content = load_config(config)
        data = content.get("data") if isinstance(content, Mapping) else None
        named = data.get("corpus") if isinstance(data, Mapping) else None
    if isinstance(named, str) and (parse_address(named) is not None or Path(named).is_dir()):
        note(f"the corpus is that of the run, '{named}'; --corpus names another")
        return Path(named)
    found = f", and the run of '{model}' names none that is here" if config.is_file() else ""
    raise ConfigError(
        f"'voxtile evaluate' needs --corpus{found}; for example: voxtile evaluate last.ckpt medical/ct-findings "
        "--corpus corpus --out report"
    )


def _evaluated(
    specs: Sequence[str],
    tasks: Sequence[str],
    corpus: Path,
    out: Path,
    options: Options,
    trust_package: tuple[str, ...],
    slots: Slots | None,
) -> list[Evaluation]:
    """Run what was asked for, which is known to be sound: once corpus and models are too, what is heavy is imported."""
    if parse_address(corpus) is None:
        from voxtile.corpus.header import check_corpus  # late: it imports pyarrow, and typing errors come first

        check_corpus(corpus)
    for spec in specs:
        check_model_name(spec)
    from voxtile.corpus.reader import Corpus
    from voxtile.evaluation.joint import named_apart
    from voxtile.evaluation.results import prepare_folder
    from voxtile.evaluation.run import evaluate_model
    from voxtile.inference.load import load_model
    from voxtile.inference.stored import StoredModel

    prepare_folder(out)
    opened = Corpus(corpus)
    models = [load_model(spec, trust_package) for spec in specs]
    for loaded in models:
        if isinstance(loaded, StoredModel):
            loaded.use(corpus)
    called = [loaded.name for loaded in models]
    for loaded, name in zip(models, named_apart(called, specs), strict=True):
        if loaded.name != name:
            loaded.name = name
    found = []
    for loaded, spec, name in zip(models, specs, called, strict=True):
        with _encoding(slots, spec, trust_package, name):
            found.append(evaluate_model(loaded, spec, opened, tasks, options))
    return found


def _encoding(
    slots: Slots | None, spec: str, trust_package: tuple[str, ...], called: str
) -> AbstractContextManager[None]:
    """Within it, images are encoded on the cluster, if on one."""
    if slots is None:
        return nullcontext()
    from voxtile.evaluation.inputs.encode import encoding_elsewhere
    from voxtile.evaluation.inputs.on_cluster import ClusterEncoder

    again = str(Path(spec).absolute()) if Path(spec).exists() else spec
    return encoding_elsewhere(ClusterEncoder(slots, again, trust_package, called))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _flattening(slices: int, window: str | None, bands: str | None) -> Flattening:
    try:
        limits = tuple(float(part) for part in _listed(window))
    except ValueError:
        raise ConfigError(f"--window must be two numbers such as --window=-160,240, not '{window}'") from None
    return Flattening(slices, limits or None, _listed(bands) or RED_GREEN_BLUE)  # type: ignore[arg-type]
