"""Running a regression: frozen embeddings, a penalty from validation; the thumbnail with the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import EXAMPLES, SimpleFeatures, permutations
from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.inputs.encode import Encoded, unit_embeddings
from voxtile.evaluation.inputs.split_roles import encode_roles, require_training, role_images, sizes, units_by_role
from voxtile.evaluation.inputs.units import Units, require_units, select_units
from voxtile.evaluation.kinds.regression.figures import HEADLINE, NumberTable
from voxtile.evaluation.kinds.regression.numbers import unit_numbers
from voxtile.evaluation.kinds.regression.ridge import LEAST_VALIDATION, fit_ridge
from voxtile.evaluation.kinds.regression.task import RegressionTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

LEAST_TRAINING = 10
"""Training units with a number that a fit needs."""


@dataclass(frozen=True, kw_only=True)
class RegressionResult(Result):
    """Everything that is known after a regression.

    Attributes:
        task: the task; targets that too few units have a number of are left out.
        model: the model's name.
        penalties: alpha of each target.
    """

    task: RegressionTask
    model: str
    penalties: Mapping[str, float]

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {"penalties": dict(self.penalties), "units": {t.name: t.unit for t in self.task.targets}}

    def headlines(self, model: str) -> dict[str, Row]:
        """R² of each target, for the logger."""
        rows = [row for row in self.rows if (row.kind, row.metric) == ("model", HEADLINE)]
        return {f"{row.class_name}/{HEADLINE}": row for row in rows}


def run_regression(model: EvaluationModel, corpus: Corpus, task: RegressionTask, options: Options) -> RegressionResult:
    """Run one regression.

    Raises:
        EvaluationError: no training split, nothing to evaluate, no target with enough numbers, or an embedding that is
            not finite.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    require_units(splits, split, task)
    units = {**units_by_role(splits, split, options.seed), "train": splits["train"]}
    require_training(task, units["train"], split)
    task, numbers, notes = _with_numbers(task, unit_numbers(corpus, task, units), units, options)
    images = role_images(model.preset, corpus, task, units, options.batch_size)
    if isinstance(model.preset, StudyReader):
        units = {role: part.whole() for role, part in units.items()}
    features = SimpleFeatures(torch.stack([images.image(uid) for uid in units["train"].uids[:EXAMPLES]]))
    encoded = encode_roles(model, task, units, images, features, embedded=("train", "val", "reported"))
    reported = units["reported"]
    table = _table(task, numbers["reported"], reported, options)
    told, penalties = _fitted(task, {role: _vectors(part) for role, part in encoded.items()}, numbers)
    simple, _ = _fitted(task, _standardised({role: part.simple for role, part in encoded.items()}), numbers)
    rows = table.rows(model.name, "model", [told])
    rows += table.rows(TRIVIAL, "trivial", [simple])
    orders = permutations(reported.subjects, seed=options.seed)
    rows += table.rows(model.name, "shuffled", [told[order] for order in orders])
    return RegressionResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=notes,
        units=reported,
        sizes=sizes(units, split),
        differences=table.differences(model.name, TRIVIAL),
        images=images,
        model=model.name,
        penalties=penalties,
    )


def _with_numbers(
    task: RegressionTask, numbers: Mapping[str, Floats], units: Mapping[str, Units], options: Options
) -> tuple[RegressionTask, Mapping[str, Floats], tuple[str, ...]]:
    """The task without the targets that cannot be fitted or measured, their numbers, and what was left out."""
    known = {role: np.isfinite(values).sum(axis=0) for role, values in numbers.items()}
    table = _table(task, numbers["reported"], units["reported"], options)
    kept, notes = [], []
    for t, target in enumerate(task.targets):
        if known["train"][t] < LEAST_TRAINING or not table.enough(t):
            notes.append(
                f"{target.title} is left out: {known['train'][t]} training units and {known['reported'][t]} reported "
                "ones have the number, and ten of each, of ten subjects and not all alike, are needed"
            )
            continue
        kept.append(t)
        if known["val"][t] < LEAST_VALIDATION:
            notes.append(f"{target.title}: the penalty is fixed, since validation has too few numbers to choose it")
    if not kept:
        others = f"; nor is there enough of {', '.join(t.title for t in task.targets[1:])}" if notes[1:] else ""
        raise EvaluationError(f"task '{task.name}' has nothing to report: {notes[0]}{others}")
    narrowed = replace(task, targets=tuple(task.targets[t] for t in kept))
    return narrowed, {role: values[:, kept] for role, values in numbers.items()}, tuple(notes)


def _table(task: RegressionTask, numbers: Floats, units: Units, options: Options) -> NumberTable:
    names = [target.name for target in task.targets]
    return NumberTable(
        task.name, names, numbers, units.subjects, replicates=options.replicates, seed=options.seed
    )  # fmt: skip


def _fitted(
    task: RegressionTask, features: Mapping[str, Floats], numbers: Mapping[str, Floats]
) -> tuple[Floats, dict[str, float]]:
    """[N, T] what is told of the reported units, and the penalties."""
    told, penalties = [], {}
    for t, target in enumerate(task.targets):
        train, validation = ((features[role], numbers[role][:, t]) for role in ("train", "val"))
        found = fit_ridge(train, validation, features["reported"])
        told.append(found.reported)
        penalties[target.name] = found.penalty
    return np.stack(told, axis=1), penalties


def _vectors(encoded: Encoded) -> Floats:
    """[N, D] of mean square 1, for which the penalties are meant."""
    if encoded.embeddings is None:
        return np.zeros((0, 0))
    values = unit_embeddings(encoded.embeddings, encoded.units)
    scaled: Floats = values * np.sqrt(values.shape[1])
    return scaled


def _standardised(features: Mapping[str, Any]) -> dict[str, Floats]:
    """Features less their mean over the training units, in their spread there; those that do not vary are left out."""
    mean, spread = features["train"].mean(axis=0), features["train"].std(axis=0)
    kept = spread > 1e-6
    return {
        role: (values.reshape(-1, len(kept))[:, kept] - mean[kept]) / spread[kept] for role, values in features.items()
    }
