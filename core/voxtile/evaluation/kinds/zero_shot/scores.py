"""Zero-shot scores from embeddings: present/absent pairs for findings, class prompts for single-label tasks.

For a finding with wording w: p_w = sigmoid(scale · (⟨image, present_w⟩ − ⟨image, absent_w⟩)), which is the softmax over
the pair; the score is the mean of p_w over wordings. For classes: softmax over scale · ⟨image, class⟩. Where embeddings
are averaged, it is after normalisation and they are normalised again (Radford et al. 2021, section 3.1.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.texts import Embeddings, embed_texts, normalised
from voxtile.evaluation.tasks.task import EvaluationTask
from voxtile.models.protocol import EvaluationModel


@dataclass(frozen=True)
class Prompts:
    """Embedded prompts of a task.

    Attributes:
        present: a [W, T, D] array a class: W wordings, T templates.
        absent: the counterparts in multi-label tasks, else empty.
        texts: the different ones.
        present_at, absent_at: [W, T] int64 a class, which of the texts each prompt is.
    """

    present: tuple[Embeddings, ...]
    absent: tuple[Embeddings, ...]
    texts: tuple[str, ...] = ()
    present_at: tuple[npt.NDArray[np.int64], ...] = ()
    absent_at: tuple[npt.NDArray[np.int64], ...] = ()


def embed_prompts(model: EvaluationModel, task: EvaluationTask) -> Prompts:
    """Embed every prompt of a task once.

    Raises:
        EvaluationError: an embedding is not finite; names the prompt.
    """
    texts: dict[str, int] = {}

    def positions(wordings: Sequence[str]) -> npt.NDArray[np.int64]:
        filled = [[template.format(wording) for template in task.templates] for wording in wordings]
        return np.array([[texts.setdefault(text, len(texts)) for text in row] for row in filled])

    present = [positions([w.present for w in item.wordings]) for item in task.classes]
    absent = [positions([w.absent or "" for w in item.wordings]) for item in task.classes] if task.multilabel else []
    embedded = embed_texts(model, list(texts))
    return Prompts(
        tuple(embedded[p] for p in present),
        tuple(embedded[a] for a in absent),
        tuple(texts),
        tuple(present),
        tuple(absent),
    )


def wording_scores(images: Embeddings, prompts: Prompts, task: EvaluationTask, scale: float) -> list[Floats]:
    """Scores of a multi-label task by each wording alone: a [N, W] array a class."""
    return [
        _pair(images, _templates_joined(present, task), _templates_joined(absent, task), scale)
        for present, absent in zip(prompts.present, prompts.absent, strict=True)
    ]


def multilabel_scores(images: Embeddings, prompts: Prompts, task: EvaluationTask, scale: float) -> Floats:
    """Scores [N, K] of a multi-label task, averaged in the task's order.

    Args:
        images: [N, D] normalised embeddings.
        prompts: of the K classes.
        task: says where means are taken.
        scale: logit scale of the model.
    """
    if task.averaging.wordings == "scores":
        return np.stack([scores.mean(axis=1) for scores in wording_scores(images, prompts, task, scale)], axis=1)
    columns = []
    for present, absent in zip(prompts.present, prompts.absent, strict=True):
        joined = [normalised(_templates_joined(part, task).mean(axis=0, keepdims=True)) for part in (present, absent)]
        columns.append(_pair(images, joined[0], joined[1], scale).mean(axis=1))
    return np.stack(columns, axis=1)


def singlelabel_scores(images: Embeddings, prompts: Prompts, task: EvaluationTask, scale: float) -> Floats:
    """Class probabilities [N, K] of a single-label task, averaged in the task's order."""
    result: Floats = softmax(singlelabel_logits(images, prompts, task, scale), axis=1)
    return result


def singlelabel_logits(images: Embeddings, prompts: Prompts, task: EvaluationTask, scale: float) -> Floats:
    """What `singlelabel_scores` is the softmax of: [N, K]."""
    logits = []
    for present in prompts.present:
        part = _templates_joined(present, task)
        if task.averaging.wordings == "embeddings":
            part = normalised(part.mean(axis=0, keepdims=True))
        logits.append(scale * (images @ part.mean(axis=1).T).mean(axis=1))
    return np.stack(logits, axis=1)


def prompt_logits(images: Embeddings, prompts: Prompts, scale: float) -> list[tuple[int, int, Floats]]:
    """Logits [N, K] of a single-label task by each (wording, template) that all classes have."""
    wordings = min(len(part) for part in prompts.present)
    templates = prompts.present[0].shape[1]
    return [
        (w, t, scale * images @ np.stack([part[w, t] for part in prompts.present]).T)
        for w in range(wordings)
        for t in range(templates)
    ]


def pair_logits(logits: Floats, prompts: Prompts, task: EvaluationTask) -> Floats:
    """Scores [S, K] from logits [S, T] of images with the prompts' texts, as from cosines at the model's scale.

    Texts have no vector here that could be averaged, so that scores of wordings and logits of templates are.
    """
    present = [logits[:, places] for places in prompts.present_at]  # [S, W, T] a class
    if task.multilabel:
        absent = [logits[:, places] for places in prompts.absent_at]
        pairs = [expit(one - other).mean(axis=(1, 2)) for one, other in zip(present, absent, strict=True)]
        return np.stack(pairs, axis=1)
    return np.stack([part.mean(axis=(1, 2)) for part in present], axis=1)


def _templates_joined(prompts: Embeddings, task: EvaluationTask) -> Embeddings:
    """[W, T, D] to [W, 1, D] where templates are averaged as embeddings."""
    if task.averaging.templates == "embeddings":
        return normalised(prompts.mean(axis=1, keepdims=True))
    return prompts


def _pair(images: Embeddings, present: Embeddings, absent: Embeddings, scale: float) -> Floats:
    """[N, W] probabilities of presence, from [W, T, D] prompts."""
    difference = np.einsum("nd,wtd->nwt", images, present - absent)
    result: Floats = expit(scale * difference).mean(axis=2)
    return result
