"""Scores of a model on one split: by its prompts, its fact head, the mean of both, and the tokens of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import macro_auroc
from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.aggregate import aggregate
from voxtile.evaluation.inputs.encode import Encoded, unit_embeddings, unit_scores
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.zero_shot.scores import (
    Prompts,
    multilabel_scores,
    pair_logits,
    singlelabel_logits,
    singlelabel_scores,
)
from voxtile.evaluation.tasks.task import Averaging, EvaluationTask
from voxtile.models.protocol import EvaluationModel
from voxtile.words.names import name_key

FACT_HEAD = "+fact-head"
ENSEMBLE = "+fact-head-ensemble"


def model_scores(model: EvaluationModel, task: EvaluationTask, prompts: Prompts, encoded: Encoded) -> dict[str, Floats]:
    """Scores [N, K] of the reported classes by model name.

    The model's own name stands for the purely contrastive, prompted score; the fact head's has a suffix, and so have
    scores of pairs by their tokens.
    """
    columns = [task.classes.index(item) for item in task.reported]
    contrastive = _prompted(task, prompts, encoded, model.logit_scale)[:, columns]
    scores = {model.name: contrastive}
    head = _head_scores(encoded.fact_names, task, encoded)
    if head is not None:
        scores[model.name + FACT_HEAD] = head
        if task.fact_head_ensemble:
            scores[model.name + ENSEMBLE] = (contrastive + head) / 2
    for name, logits in encoded.pairs.items():
        scores[f"{model.name}+{name}"] = _paired(task, prompts, encoded, logits)[:, columns]
    return scores


def _paired(task: EvaluationTask, prompts: Prompts, encoded: Encoded, logits: Floats) -> Floats:
    """[N, K] from logits [S, T] of pairs; the samples of a unit are joined as scores."""
    found = pair_logits(logits, prompts, task)
    samples = "scores" if task.averaging.samples == "embeddings" else task.averaging.samples
    how = replace(task.averaging, samples=samples)
    return aggregate(found, encoded.units, how) if task.multilabel else unit_classes(found, encoded.units, how)


def _prompted(task: EvaluationTask, prompts: Prompts, encoded: Encoded, scale: float) -> Floats:
    score = multilabel_scores if task.multilabel else singlelabel_scores
    if encoded.embeddings is None:
        raise EvaluationError(f"task '{task.name}': the split was read without the model")
    if task.averaging.samples == "embeddings":
        return score(unit_embeddings(encoded.embeddings, encoded.units), prompts, task, scale)
    if task.multilabel:
        return aggregate(score(encoded.embeddings, prompts, task, scale), encoded.units, task.averaging)
    return unit_classes(singlelabel_logits(encoded.embeddings, prompts, task, scale), encoded.units, task.averaging)


def unit_classes(logits: Floats, units: Units, averaging: Averaging) -> Floats:
    """[N, K] class probabilities of units from logits [S, K] of their samples, which are not averaged as embeddings.

    Where the best samples of a class are picked, classes compete after that.
    """
    if averaging.samples == "scores":
        return aggregate(softmax(logits, axis=1), units, averaging)
    pooled: Floats = softmax(aggregate(logits, units, averaging, evidence=logits), axis=1)
    return pooled


def with_best_count(
    task: EvaluationTask, prompts: Prompts, validation: Encoded, labels: LabelMatrix, scale: float
) -> EvaluationTask:
    """The task with the one `top_k` of its list that has the best macro AUROC on validation.

    Args:
        task: any; only one whose samples are averaged as `top-k` over several counts is changed.
        prompts: embedded.
        validation: of the validation split and never of the reported one.
        labels: [N, K] of the reported classes.
        scale: the model's logit scale.

    Raises:
        EvaluationError: there is no validation split to choose on.
    """
    counts = task.averaging.top_k
    if len(counts) < 2:
        return task
    if not len(validation.units):
        raise EvaluationError(
            f"task '{task.name}' chooses among top_k {', '.join(map(str, counts))}, which only a validation split may "
            "decide, and there is none for it; give one number"
        )
    columns = [task.classes.index(item) for item in task.reported]
    tried = [replace(task, averaging=replace(task.averaging, top_k=(count,))) for count in counts]
    return max(tried, key=lambda t: macro_auroc(labels, _prompted(t, prompts, validation, scale)[:, columns]))


def _head_scores(fact_names: Sequence[str], task: EvaluationTask, encoded: Encoded) -> Floats | None:
    keys = [name_key(name) for name in fact_names]
    if encoded.facts is None or any(name_key(item.concept) not in keys for item in task.reported):
        return None
    columns = [keys.index(name_key(item.concept)) for item in task.reported]
    scores = unit_scores(encoded.facts[:, columns], encoded.units)
    inverted = np.array([item.when == "absent" for item in task.reported])
    result: Floats = np.where(inverted, 1 - scores, scores)
    return result
