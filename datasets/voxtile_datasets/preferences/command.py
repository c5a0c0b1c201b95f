"""`voxtile prefer`: pairs of drafts of an assistant, of which the facts speak for one, as a table of the corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from rich.table import Table

from voxtile.assist.assistant import LONGEST, Assistant, Style
from voxtile.console import note, output
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.roles import StudyReader
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError
from voxtile.evaluation.inputs.units import require_units, select_units
from voxtile.evaluation.tasks.task import Task
from voxtile.stages.embed.clip_model import checkpoint_name
from voxtile_datasets.captions.known_facts import listed, unknown_concepts
from voxtile_datasets.captions.plain_words import PlainWords
from voxtile_datasets.captions.reconcile import PRECEDENCE
from voxtile_datasets.captions.wordings import installed_banks
from voxtile_datasets.preferences.pairs import KINDS
from voxtile_datasets.preferences.task import Drawing, PreferenceTask


def prefer(
    corpus: Path,
    model: str,
    *,
    samples: int = 4,
    temperature: float = 1.0,
    style: Style = "structured",
    words: Literal["varied", "plain"] = "varied",
    details: str | None = None,
    size_margin: str | None = None,
    where: str | None = None,
    scheme: str = "default",
    facts_source: str | None = None,
    closed: str | None = None,
    precedence: str = ",".join(PRECEDENCE),
    bank: Path | None = None,
    longest: int = LONGEST,
    batch_size: int = 8,
    seed: int = 0,
    retry: bool = False,
    dry_run: bool = False,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Draw drafts of an assistant on the images of the training split, and pair them as the facts prefer.

    Every sentence of a draft is judged by the facts of its image. A draft with a sentence that they contradict makes
    two pairs: corrected (as the facts have it) over the draft, and shortened (without false denials and wrong details).
    What is not wrong is kept over the same without a sentence that they support, or without its details. The pairs are
    the table `preferences`, by which `lightning fit -c medical/ct-report-dpo` tunes the assistant. A run that was
    stopped goes on where it was.

    Args:
        corpus: the corpus to add to, with facts.
        model: a checkpoint that was trained with the Answering objective.
        samples: drafts an image.
        temperature: of the draws: above 1 for more variety.
        style: of the reports: structured (a sentence for each finding) or narrative.
        words: of what stands in place of wrong sentences: those that the assistant learned, as of voxtile caption
            template.
        details: of plain words, as of voxtile caption template: what the assistant learned to say of a finding.
        size_margin: likewise, e.g. "5 mm, 20 %".
        where: SQL condition over the samples table; the training run takes the same as data.where.
        scheme: of the splits; images of its training split alone are drafted.
        facts_source: only facts whose source begins so judge and are said, e.g. reports: what is trained on must not
            know the labels that a model is evaluated on. Scopes do not say whose they are, and are then not used.
        closed: concepts that a report would have mentioned, separated by commas: denied where an image has facts, but
            none of these, as data.closed_facts has it in training. A false finding of which the facts are silent is
            then wrong, too.
        precedence: beginnings of the facts' sources, separated by commas, as of voxtile instruct.
        bank: wording bank (YAML) that comes before the installed ones.
        longest: tokens of a draft at most.
        batch_size: images at a time.
        seed: of the draws.
        retry: also try images again that could not be read.
        dry_run: print the plan and write nothing.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or an option does not fit.
        InputError: the corpus has no facts.
        EvaluationError: no image of the training split is chosen.
        RunFailedError: some images could not be read; the rest is stored.
    """
    for name, number in (("samples", samples), ("longest", longest), ("batch-size", batch_size)):
        if number < 1:
            raise ConfigError(f"--{name} must be at least 1, not {number}")
    if not temperature > 0:
        raise ConfigError(f"--temperature must be above 0, not {temperature:g}")
    store = Corpus(corpus)
    if not store.parts("facts"):
        raise InputError(f"'{corpus}' has no facts to judge by; make some with: voxtile facts {corpus} --from NAME")
    assistant = Assistant(model, trust_package)
    if isinstance(assistant.preset, StudyReader):
        raise ConfigError("the model reads whole studies, of which no preferences are made yet; take one of images")
    assistant.question(style)
    silent = listed(closed)
    unknown, why = unknown_concepts(corpus, silent)
    if unknown:  # its name is likely wrong
        raise ConfigError(f"--closed: {why}")
    drawing = Drawing(
        samples=samples, temperature=temperature, style=style, plain=PlainWords.chosen(words, details, size_margin),
        longest=longest, seed=seed,
    )  # fmt: skip
    task = PreferenceTask(
        store, assistant, checkpoint_name(model), installed_banks([bank] if bank else []),
        listed(precedence), _chosen(store, where, scheme),
        drawing, facts_source, silent, batch_size=batch_size,
    )  # fmt: skip
    before = store.table("preferences", columns=["preference_id"]).num_rows
    summary = run_task(task, corpus, RunOptions(engine="inline", job_items=1, retry=retry, dry_run=dry_run))
    if not dry_run:
        _say(Corpus(corpus), before)
    summary.raise_if_failed()


def _chosen(store: Corpus, where: str | None, scheme: str) -> dict[str, list[str]]:
    """Uids of the training split, sorted, by stem of the samples part that holds them."""
    task = Task(name="prefer", title="", kind="prefer", unit="sample", scheme=scheme, where=where)
    units = select_units(store, task)
    require_units(units, "train", task)
    wanted = set(units["train"].uids)
    found = {part.stem: sorted(wanted.intersection(part_table(part, ["uid"])["uid"].to_pylist()))
             for part in store.parts("samples")}  # fmt: skip
    return {stem: uids for stem, uids in found.items() if uids}


def _say(store: Corpus, before: int) -> None:
    """A line a kind: pairs, and images that have one."""
    rows = store.table("preferences", columns=["kind", "uids"]).to_pylist()
    pairs = Counter(row["kind"] for row in rows)
    images = {kind: {tuple(row["uids"]) for row in rows if row["kind"] == kind} for kind in pairs}
    table = Table(title="preferences of the corpus", title_justify="left")
    table.add_column("kind", no_wrap=True)
    for heading in ("pairs", "images"):
        table.add_column(heading, justify="right")
    for kind in sorted(pairs, key=lambda kind: KINDS.index(kind) if kind in KINDS else len(KINDS)):
        table.add_row(kind, f"{pairs[kind]:,}", f"{len(images[kind]):,}")
    output().print(table)
    note(f"{len(rows) - before:,} pairs were added, {len(rows):,} in all")
