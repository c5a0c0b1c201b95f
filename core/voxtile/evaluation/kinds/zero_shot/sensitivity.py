"""The AUROC of a task by each of its prompts alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats, auroc
from voxtile.evaluation.figures.sensitivity import PromptSensitivity
from voxtile.evaluation.inputs.aggregate import aggregate
from voxtile.evaluation.inputs.encode import Encoded, unit_embeddings
from voxtile.evaluation.kinds.zero_shot.model_scores import unit_classes
from voxtile.evaluation.kinds.zero_shot.scores import Prompts, prompt_logits, wording_scores
from voxtile.evaluation.tasks.task import EvaluationTask


def prompt_sensitivity(
    task: EvaluationTask,
    prompts: Prompts,
    encoded: Encoded,
    scale: float,
    labels: LabelMatrix,
    reported: Sequence[str],
) -> tuple[PromptSensitivity, ...]:
    """The macro average first, then each class (multi-label tasks), over classes with enough evidence.

    Args:
        task: the task.
        prompts: embedded.
        encoded: the reported split.
        scale: the model's logit scale.
        labels: [N, K] of the task's reported classes.
        reported: names of the classes with enough evidence.
    """
    if encoded.embeddings is None:
        return ()
    pooled = task.averaging.samples == "embeddings"
    images = unit_embeddings(encoded.embeddings, encoded.units) if pooled else encoded.embeddings

    if task.multilabel:
        scores = wording_scores(images, prompts, task, scale)
        units = scores if pooled else [aggregate(part, encoded.units, task.averaging) for part in scores]
        return _by_wording(task, units, labels, reported)
    columns = [task.classes.index(item) for item in task.reported]
    texts, values = [], []
    for wording, template, logits in prompt_logits(images, prompts, scale):
        found = softmax(logits, axis=1) if pooled else unit_classes(logits, encoded.units, task.averaging)
        unit = found[:, columns]
        kept = [k for k, item in enumerate(task.reported) if item.name in reported]
        values.append(float(np.mean([_auroc(labels[:, k], unit[:, k]) for k in kept])))
        shown = [task.templates[template].format(item.wordings[wording].present) for item in task.classes[:2]]
        texts.append(" / ".join(shown) + (" / …" if len(task.classes) > 2 else ""))
    return (PromptSensitivity(task.positive, tuple(texts), tuple(values)),)


def _by_wording(
    task: EvaluationTask, scores: Sequence[Floats], labels: LabelMatrix, reported: Sequence[str]
) -> tuple[PromptSensitivity, ...]:
    classes = [
        PromptSensitivity(
            item.name,
            tuple(wording.present for wording in item.wordings),
            tuple(_auroc(labels[:, k], column) for column in scores[k].T),
        )
        for k, item in enumerate(task.classes)
        if item.name in reported
    ]
    count = min(len(part.values) for part in classes)
    means = tuple(float(np.mean([part.values[w] for part in classes])) for w in range(count))
    macro = PromptSensitivity(None, tuple(f"wording {w + 1} of every class" for w in range(count)), means)
    return (macro, *classes)


def _auroc(labels: LabelMatrix, scores: Floats) -> float:
    known = labels >= 0
    return float(auroc(labels[known] == 1, scores[known])[0])
