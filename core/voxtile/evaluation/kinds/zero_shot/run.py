"""Running a task with classes: score the model, its fact head, the trivial baseline and the shuffled control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.roles import StudyReader
from voxtile.evaluation.figures.baselines import (
    EXAMPLES,
    SPECTRUM,
    TRIVIALS,
    SimpleFeatures,
    TrivialScores,
    permutations,
    trivial_scores,
)
from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.decisions import decide
from voxtile.evaluation.figures.figures import FigureTable, LabelMatrix, Scores
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row
from voxtile.evaluation.inputs.encode import Encoded, PairLogits
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.inputs.split_roles import encode_roles, role_images, sizes, units_by_role
from voxtile.evaluation.inputs.units import Units, require_units, select_units
from voxtile.evaluation.kinds.zero_shot.model_scores import model_scores, with_best_count
from voxtile.evaluation.kinds.zero_shot.scores import Prompts, embed_prompts
from voxtile.evaluation.kinds.zero_shot.sensitivity import prompt_sensitivity
from voxtile.evaluation.notes import evidence_notes, missing_notes, nothing_to_report
from voxtile.evaluation.options import Options
from voxtile.evaluation.pair_scores import prompt_scores
from voxtile.evaluation.result import ClassScores, Result
from voxtile.evaluation.tasks.task import EvaluationTask
from voxtile.models.protocol import EvaluationModel


@dataclass(frozen=True)
class TaskData:
    """Units, labels [N, K] of the reported classes and what the images gave, by role: `reported`, `val`, `train`."""

    units: Mapping[str, Units]
    labels: Mapping[str, LabelMatrix]
    encoded: Mapping[str, Encoded]
    features: SimpleFeatures


@dataclass(frozen=True, kw_only=True)
class TaskResult(Result):
    """Everything that is known after one task with classes.

    Attributes:
        task: the task.
        labels: [N, K] of the reported classes.
        scores: [N, K] by model name, the trivial baseline's among them.
        thresholds: by model name and class.
        sensitivity: how much the wording matters.
        figures: names of the classes with enough evidence.
        validation: scores [N, K] of the validation units by model name; empty where validation itself is reported.
        data: units, labels and embeddings behind the scores.
        prompts: embedded.
        pairs: what scores images with the prompts by their tokens.
    """

    task: EvaluationTask
    labels: LabelMatrix
    scores: Mapping[str, Floats]
    thresholds: Mapping[str, Mapping[str, float]]
    figures: tuple[str, ...]
    validation: Mapping[str, Floats]
    data: TaskData
    prompts: Prompts
    pairs: PairLogits | None = None

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        thresholds = {name: dict(values) for name, values in self.thresholds.items()}
        return {"thresholds": thresholds, **({"top_k": k} if (k := self.task.averaging.top_k) else {})}

    def headlines(self, model: str) -> dict[str, Row]:
        """The macro AUROC, for the logger."""
        row = find_row(self.rows, model=model, kind="model", metric="auroc", class_name=None)
        return {"auroc": row} if row is not None else {}

    def class_scores(self) -> ClassScores:
        """Scores and labels of every unit."""
        return ClassScores(tuple(item.name for item in self.task.reported), self.labels, self.scores)


def run_task(model: EvaluationModel, corpus: Corpus, task: EvaluationTask, options: Options) -> TaskResult:
    """Run one task.

    Raises:
        EvaluationError: nothing to evaluate, no class with enough evidence, or an embedding that is not finite.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    require_units(splits, split, task)
    units = units_by_role(splits, split, options.seed)
    task, source = label_source(corpus, task)
    columns = [task.classes.index(item) for item in task.reported]
    labels = {role: source.labels(part)[:, columns] for role, part in units.items()}
    table = figure_table(task, units["reported"], labels["reported"], options)
    notes = evidence_notes(task, table, split)
    if not table.reported:
        raise nothing_to_report(task, split, [*source.notes, *notes])
    images = role_images(model.preset, corpus, task, units, options.batch_size)
    if isinstance(model.preset, StudyReader):
        units = {role: part.whole() for role, part in units.items()}
    prompts = embed_prompts(model, task)
    pairs = prompt_scores(model, prompts.texts, (*task.scorers, *options.scorers))
    first = (units["train"].uids or units["reported"].uids)[:EXAMPLES]
    features = SimpleFeatures(torch.stack([images.image(uid) for uid in first]))
    data = TaskData(units, labels, encode_roles(model, task, units, images, features, pairs=pairs), features)
    task = with_best_count(task, prompts, data.encoded["val"], labels["val"], model.logit_scale)
    scored = [_model_scores(model, task, prompts, data, role) for role in ("reported", "val")]
    trivial = _trivial(data)
    for name, known in trivial.items():
        for part, values in zip(scored, (known.reported, known.validation), strict=True):
            part[name] = values
    figures = _Figures(table, data, options)
    rows = [row for name in scored[0] for row in figures.rows(name, scored[0][name], scored[1].get(name))]
    return TaskResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=(*source.notes, *notes, *missing_notes(model, task, units, split)),
        units=units["reported"],
        labels=labels["reported"],
        scores=scored[0],
        thresholds=figures.thresholds,
        sensitivity=prompt_sensitivity(
            task, prompts, data.encoded["reported"], model.logit_scale, labels["reported"], table.reported
        ),
        sizes={**sizes(units, split), split: table.size},
        figures=table.reported,
        validation=scored[1],
        data=data,
        prompts=prompts,
        pairs=pairs,
        penalty=trivial[TRIVIAL].penalty if TRIVIAL in trivial else None,
        differences=tuple(d for name in scored[0] if (d := table.difference(name, TRIVIAL)) is not None),
        images=images,
    )


def figure_table(task: EvaluationTask, units: Units, labels: LabelMatrix, options: Options) -> FigureTable:
    """Makes the rows of a task on the bootstrap draws that the options fix."""
    return FigureTable(
        task.name,
        tuple(item.name for item in task.reported),
        labels,
        units.subjects,
        SubjectBootstrap(units.subjects, replicates=options.replicates, seed=options.seed),
        exclusive=task.exclusive,
    )


def _model_scores(
    model: EvaluationModel, task: EvaluationTask, prompts: Prompts, data: TaskData, role: str
) -> dict[str, Floats]:
    return model_scores(model, task, prompts, data.encoded[role]) if len(data.units[role]) else {}


def _trivial(data: TaskData) -> dict[str, TrivialScores]:
    """The baseline, and for pictures of many bands that of the mean spectrum; nothing without a training split."""
    if not len(data.units["train"]):
        return {}
    simple = {role: encoded.simple for role, encoded in data.encoded.items()}
    found = {TRIVIAL: _fitted(data, simple)}
    spectra = {role: data.features.spectrum(part) for role, part in simple.items() if part.size}
    if spectra["train"] is not None:
        empty = np.empty((0, spectra["train"].shape[1]), np.float32)
        found[SPECTRUM] = _fitted(
            data, {role: part for role in simple if (part := spectra.get(role, empty)) is not None}
        )
    return found


def _fitted(data: TaskData, features: Mapping[str, npt.NDArray[np.float32]]) -> TrivialScores:
    train, val = [(features[role], data.labels[role]) for role in ("train", "val")]
    return trivial_scores(train, val, features["reported"])


class _Figures:
    """Rows of every model on the same draws; remembers the thresholds."""

    def __init__(self, table: FigureTable, data: TaskData, options: Options) -> None:
        self.thresholds: dict[str, Mapping[str, float]] = {}
        self._table, self._data = table, data
        self._permutations = permutations(data.units["reported"].subjects, seed=options.seed)

    def rows(self, name: str, values: Floats, validation: Floats | None) -> list[Row]:
        known = None if validation is None else (validation, self._data.labels["val"])
        decisions = decide(values, known, tuple(self._table.counts), exclusive=self._table.exclusive)
        self.thresholds[name] = decisions.thresholds
        kind: ScoreKind = "trivial" if name in TRIVIALS else "model"
        rows = self._table.rows(Scores(name, kind, values[None], decisions.called[None], decisions.undecided))
        if kind == "model":
            mixed = np.stack([values[order] for order in self._permutations])
            called = np.stack([decisions.called[order] for order in self._permutations])
            rows += self._table.rows(Scores(name, "shuffled", mixed, called, decisions.undecided))
        return rows
