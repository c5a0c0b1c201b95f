"""Published rules on a result: which protocol says something about which kind of task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from voxtile.errors import ConfigError
from voxtile.evaluation.compat import clip_benchmark, ct_clip, plip, pooling
from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.encode import unit_embeddings
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.kinds.zero_shot.scores import prompt_scores, singlelabel_scores
from voxtile.evaluation.result import Result
from voxtile.evaluation.tasks.place import nearest
from voxtile.models.protocol import EvaluationModel

NAMES = (ct_clip.NAME, pooling.CONCH, pooling.MI_ZERO, plip.NAME, clip_benchmark.NAME)


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The protocols, if there are such.

    Raises:
        ConfigError: there is none.
    """
    for name in names:
        if name not in NAMES:
            raise ConfigError(f"--compat knows no protocol '{name}'; {nearest(name, NAMES)}")
    return tuple(names)


def compat_figures(names: Sequence[str], result: Result, model: EvaluationModel) -> tuple[list[Flattery], list[str]]:
    """Figures under published rules, and a note for each protocol that says nothing about such a task.

    Args:
        names: of the protocols.
        result: of a task.
        model: that made it.
    """
    found: list[Flattery] = []
    notes = []
    for name in checked(names):
        parts = _RULES[name](result, model)
        found += parts
        if not parts:
            notes.append(f"no figure by the rules of {name}: {_NEEDS[name]}")
    return found, notes


def _ct_clip(result: Result, model: EvaluationModel) -> list[Flattery]:
    if not isinstance(result, TaskResult) or result.task.exclusive:
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


def _conch(result: Result, model: EvaluationModel) -> list[Flattery]:
    return _best_top(pooling.CONCH, result, model, pooling.CONCH_TOP)


def _mi_zero(result: Result, model: EvaluationModel) -> list[Flattery]:
    return _best_top(pooling.MI_ZERO, result, model, pooling.MI_ZERO_TOP)


def _best_top(protocol: str, result: Result, model: EvaluationModel, tops: Sequence[int]) -> list[Flattery]:
    if not isinstance(result, TaskResult) or result.task.multilabel or result.task.unit != "study":
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
        scores = [singlelabel_scores(encoded.embeddings, result.prompts, result.task, model.logit_scale)]
    else:
        scores = [part for _, _, part in prompt_scores(encoded.embeddings, result.prompts, model.logit_scale)]
    classes = _classes(result, role)
    known = np.flatnonzero(classes >= 0)
    ends = np.cumsum(np.bincount(encoded.units.owner, minlength=len(encoded.units)))[:-1]
    return classes[known], [[np.split(part, ends)[unit] for unit in known] for part in scores]


def _plip(result: Result, model: EvaluationModel) -> list[Flattery]:
    if not isinstance(result, TaskResult) or result.task.multilabel or not len(result.data.units["train"]):
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


def _clip_benchmark(result: Result, model: EvaluationModel) -> list[Flattery]:
    if isinstance(result, RetrievalResult):
        pairs = result.pairs
        texts = result.embedded[1][pairs.text]
        return [clip_benchmark.caption_flattery(result.embedded[0], texts, pairs.unit, k) for k in result.task.recall]
    if not isinstance(result, TaskResult):
        return []
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


_RULES: Mapping[str, Callable[[Result, EvaluationModel], list[Flattery]]] = {
    ct_clip.NAME: _ct_clip,
    pooling.CONCH: _conch,
    pooling.MI_ZERO: _mi_zero,
    plip.NAME: _plip,
    clip_benchmark.NAME: _clip_benchmark,
}
_BAGS = "it is about single-label tasks of studies (slides) with a validation split"
_NEEDS: Mapping[str, str] = {
    ct_clip.NAME: "it is about findings (multi-label or two classes) with a validation split",
    pooling.CONCH: _BAGS,
    pooling.MI_ZERO: _BAGS,
    plip.NAME: "it is about single-label tasks with training and validation splits",
    clip_benchmark.NAME: "it is about tasks with classes, and retrieval",
}
