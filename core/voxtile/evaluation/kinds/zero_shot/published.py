"""Published rules on a task with classes: which protocol says something about which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from voxtile.evaluation.compat import clip_benchmark, ct_clip, plip, pooling
from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.encode import unit_embeddings
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.kinds.zero_shot.scores import prompt_logits, singlelabel_logits
from voxtile.models.protocol import EvaluationModel


def published_figures(protocol: str, result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    """Figures of a task with classes by a published protocol; none where it says nothing about such a task.

    Args:
        protocol: its name.
        result: of the task.
        model: that made it.
    """
    return _RULES[protocol](result, model)


def _ct_clip(result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    if result.task.exclusive:
        return []
    found: list[Flattery] = []
    if model.name in result.validation:
        reported = result.labels, result.scores[model.name]
        validation = result.data.labels["val"], result.validation[model.name]
        found += ct_clip.threshold_flattery(reported, validation)
    encoded = result.data.encoded["reported"]
    if result.task.multilabel and encoded.embeddings is not None:
        shown = unit_embeddings(encoded.embeddings, encoded.units)
        found += ct_clip.retrieval_flattery(shown, result.labels, ct_clip.CUTOFFS)
    return found


def _conch(result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    return _best_top(pooling.CONCH, result, model, pooling.CONCH_TOP)


def _mi_zero(result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    return _best_top(pooling.MI_ZERO, result, model, pooling.MI_ZERO_TOP)


def _best_top(protocol: str, result: TaskResult, model: EvaluationModel, tops: Sequence[int]) -> list[Flattery]:
    if result.task.multilabel or result.task.unit != "study":
        return []
    sides = [_bags(protocol, result, model, role) for role in ("reported", "val")]
    if any(len(side[0]) == 0 or len(np.unique(side[0])) < 2 for side in sides):
        return []
    return [pooling.best_top_flattery(protocol, sides[0], sides[1], tops)]


def _bags(
    protocol: str, result: TaskResult, model: EvaluationModel, role: str
) -> tuple[npt.NDArray[np.int64], list[list[Floats]]]:
    """Classes of the units that have exactly one, and their patches' scores by each prompt (CONCH: by the ensemble)."""
    encoded = result.data.encoded[role]
    if encoded.embeddings is None or not len(encoded.units):
        return np.empty(0, np.int64), []
    if protocol == pooling.CONCH:
        scores = [singlelabel_logits(encoded.embeddings, result.prompts, result.task, model.logit_scale)]
    else:
        scores = [part for _, _, part in prompt_logits(encoded.embeddings, result.prompts, model.logit_scale)]
    classes = _classes(result, role)
    known = np.flatnonzero(classes >= 0)
    ends = np.cumsum(np.bincount(encoded.units.owner, minlength=len(encoded.units)))[:-1]
    return classes[known], [[np.split(part, ends)[unit] for unit in known] for part in scores]


def _plip(result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    if result.task.multilabel or not len(result.data.units["train"]):
        return []
    parts = [_probed(result, model, role) for role in ("train", "val", "reported")]
    if any(len(np.unique(classes)) < 2 for _, classes in parts):
        return []
    return [plip.probe_flattery(*parts)]


def _probed(result: TaskResult, model: EvaluationModel, role: str) -> plip.Probed:
    encoded = result.data.encoded[role]
    if encoded.embeddings is None and role == "train":
        with torch.inference_mode():
            batches = [model.encode_images(images) for _, images in result.images(encoded.units.uids)]
        encoded = replace(encoded, embeddings=torch.cat(batches).cpu().double().numpy())
    if encoded.embeddings is None:
        return np.empty((0, 0)), np.empty(0, np.int64)
    classes = _classes(result, role)
    return unit_embeddings(encoded.embeddings, encoded.units)[classes >= 0], classes[classes >= 0]


def _clip_benchmark(result: TaskResult, model: EvaluationModel) -> list[Flattery]:
    scores = result.scores[model.name]
    if not result.task.multilabel:
        columns = scores if result.task.exclusive else np.concatenate([1 - scores, scores], axis=1)
        classes = _classes(result, "reported")
        figures = clip_benchmark.accuracy_figures(classes[classes >= 0], columns[classes >= 0])
        rule = "the largest score decides; nothing is chosen"
        return [Flattery(clip_benchmark.NAME, rule, metric, value, value) for metric, value in figures.items()]
    found = clip_benchmark.precision_flattery(result.labels, scores)
    return [] if found is None else [found]


def _classes(result: TaskResult, role: str) -> npt.NDArray[np.int64]:
    """[N] number of the class of each unit, -1 where it has none; of two classes the reported one is 1."""
    labels = result.data.labels[role]
    if result.task.exclusive:
        return np.where((labels == 1).sum(axis=1) == 1, labels.argmax(axis=1), -1)
    return labels[:, 0].astype(np.int64)


_RULES: Mapping[str, Callable[[TaskResult, EvaluationModel], list[Flattery]]] = {
    ct_clip.NAME: _ct_clip,
    pooling.CONCH: _conch,
    pooling.MI_ZERO: _mi_zero,
    plip.NAME: _plip,
    clip_benchmark.NAME: _clip_benchmark,
}
