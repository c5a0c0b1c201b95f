"""`voxtile draft`: reports of all images of a split, or answers to their questions, as a file that tasks evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from voxtile.assist.assistant import LONGEST, Assistant, Style
from voxtile.assist.drafting.asked import PointedAt, answers_to, earlier_images, marked_regions, questions_of
from voxtile.assist.drafting.pictures import shown_of, shows_studies
from voxtile.assist.places import Places
from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.inputs.units import SPLITS, limited, require_units, select_units
from voxtile.evaluation.tasks.task import Task
from voxtile.folders import OutputFile


def draft(
    corpus: Path,
    model: str,
    *,
    out: OutputFile,
    split: str = "test",
    scheme: str = "default",
    questions: bool = False,
    style: Style = "structured",
    shuffled: bool = False,
    blind: bool = False,
    places: bool = False,
    threshold: float = 0.5,
    presence: float = 0.5,
    limit: int | None = None,
    least: float = 0.0,
    longest: int = LONGEST,
    batch_size: int = 8,
    seed: int = 0,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Draft reports of all images of a split, or answer its questions, as a file for evaluation.

    A model that reads whole studies, by its preset or by a connector of the kind hierarchy, is shown all images of each
    study together, and writes one report of it. The file has the columns `uid` (of a study that of its first image) and
    `text`, or `dialogue_id`, `text`, `confidence` and `withheld`, as tasks of the kinds report-factuality and
    question-answering take them; with places also `mask_runs`.

    Args:
        corpus: with the images, and, for questions, its table of dialogues (voxtile instruct).
        model: a checkpoint that was trained with the Answering objective.
        out: Parquet file to write.
        split: of the images: test, val or train.
        scheme: of the splits.
        questions: answer the questions with a short answer, in place of reports.
        style: of reports: structured (a sentence for each finding) or narrative.
        shuffled: show each question or report the image of another subject, as a control.
        blind: leave the image out, as a control; a model that was trained without images is a harder one.
        places: also write what each answer points at, as run lengths over the voxels of the stored image, the first of
            voxels that are off; of a model that points. It takes a run of its decoder over the image for each answer.
        threshold: of places: probability from which a voxel belongs to one.
        presence: of places: probability from which there is one at all.
        limit: so many images at most, drawn at random by the seed.
        least: an answer to a question is withheld where its confidence is below this, as by `voxtile ask`; leave it at
            0 where the confidence itself is evaluated, or a threshold chosen (`voxtile calibrate`).
        longest: tokens of a text at most.
        batch_size: images at a time.
        seed: of the choice and of the control.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: the model does not write, or an option does not fit.
        InputError: there is no question.
        EvaluationError: the split has no image, or one cannot be read.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"--out is '{out}'; give a name that ends in .parquet")
    if split not in SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(SPLITS)}, not '{split}'")
    settings = Places(threshold, presence)
    store, assistant = Corpus(corpus), Assistant(model, trust_package, least=least)
    assistant.leave_images_out(blind)
    if places:
        _check_places(assistant, questions=questions, shuffled=shuffled)
    unit: Literal["study", "sample"] = "study" if shows_studies(assistant) else "sample"
    task = Task(name="draft", title="", kind="draft", unit=unit, scheme=scheme)
    found = select_units(store, task)
    require_units(found, split, task)
    units = found[split] if limit is None else limited(found[split], limit, seed)
    shown = shown_of(store, assistant, units, batch_size, seed, shuffled=shuffled)
    if questions:
        wanted = questions_of(store, units, marks=assistant.reads_marks and unit == "sample")
        regions, several = marked_regions(store, assistant, wanted), earlier_images(store, assistant, wanted)
        pointed = PointedAt(store, assistant, settings) if places else None
        rows = list(answers_to(wanted, assistant, shown, longest, regions, several, pointed))
    else:
        rows = list(_reports(assistant, shown, style, longest))
    out.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    if places and rows:  # a column of nulls alone has no type
        runs = pa.array([row["mask_runs"] for row in rows], pa.list_(pa.int64()))
        table = table.set_column(table.schema.get_field_index("mask_runs"), "mask_runs", runs)
    pq.write_table(table, out)
    of = "studies" if unit == "study" else "images"
    note(f"{len(rows):,} {'answers' if questions else 'reports'} of {len(units):,} {of} were written to {out}")


def _reports(
    assistant: Assistant, shown: Iterator[tuple[list[str], list[Tensor]]], style: Style, longest: int
) -> Iterator[dict[str, object]]:
    for names, images in shown:
        if assistant.reads_studies:
            replies = [assistant.report(study, style, longest=longest) for study in images]
        else:
            replies = assistant.reports(torch.stack(images), style, longest=longest)
        for name, reply in zip(names, replies, strict=True):
            yield {"uid": name, "text": reply.text}


def _check_places(assistant: Assistant, *, questions: bool, shuffled: bool) -> None:
    """Refuse what nothing could be pointed at for."""
    assistant.require_pointing()
    if not questions or shuffled:
        raise ConfigError(
            "--places goes with --questions true and without --shuffled; places of other subjects' images are what "
            "the task compares with by itself"
        )
    if shows_studies(assistant):
        raise ConfigError("--places goes with models of single images, and this one reads whole studies")
