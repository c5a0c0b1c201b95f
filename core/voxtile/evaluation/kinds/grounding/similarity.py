"""Answers of a model in a grounding task on one image: by its decoder, or by similarity and perhaps proposals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.evaluation.kinds.grounding.overlap import Mask
from voxtile.evaluation.kinds.grounding.task import GroundingTask
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.inference.similarity.proposals import proposal_scores
from voxtile.models.protocol import EvaluationModel

Floats = npt.NDArray[np.float32]


def shown_by_similarity(model: EvaluationModel, task: GroundingTask) -> SimilarityModel | None:
    """The model as similarity shows it, where the task asks for that."""
    return None if task.method is None else SimilarityModel(model, task.method)


def answers_of(
    model: object, task: GroundingTask, masks: Tensor, proposals: Callable[[], Sequence[Mask]]
) -> tuple[Floats, Floats]:
    """[K, *G] and [*G] in 0 to 1: the answers to the task's phrases, and what is said without hearing one.

    Args:
        model: that gave the masks.
        task: of the K phrases.
        masks: [K, *G], raw maps or probabilities.
        proposals: the regions of the image, read where they are needed.
    """
    if not isinstance(model, SimilarityModel):
        return masks.numpy(), masks.mean(0).numpy()
    blind = model.scaled(masks.mean(0, keepdim=True))
    if task.compete:
        return model.shared_out(masks).numpy(), blind[0].numpy()
    heat = torch.cat([model.scaled(masks), blind]).numpy()
    if task.proposals:
        regions = proposals()
        heat = np.stack([best_proposal(part, regions) for part in heat])
    return heat[:-1], heat[-1]


def best_proposal(heat: Floats, proposals: Sequence[Mask]) -> Floats:
    """[*G], 1 inside the region that holds most of the map; nothing where none is proposed."""
    if not proposals:
        return np.zeros_like(heat)
    return proposals[int(np.argmax(proposal_scores(heat, proposals)))].astype(np.float32)


def quantile_cuts(values: Sequence[float]) -> tuple[float, ...]:
    """Thresholds between the values seen, for presences that fill only a part of 0 to 1; the first lets all pass."""
    if not values:
        return (0.0,)
    inner = np.unique(np.quantile(np.asarray(values), np.linspace(0, 1, 20)))
    return (0.0, *((inner[1:] + inner[:-1]) / 2).tolist())
