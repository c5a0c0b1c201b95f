"""Units with an embedding each, and a thumbnail beside it: what a task that compares images begins with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.data.presets.roles import StudyReader
from voxtile.evaluation.figures.baselines import EXAMPLES, SimpleFeatures
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.encode import unit_embeddings
from voxtile.evaluation.inputs.split_roles import encode_roles, role_images
from voxtile.evaluation.inputs.texts import normalised
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.task import Task
from voxtile.models.protocol import EvaluationModel


@dataclass(frozen=True)
class EmbeddedUnits:
    """N units as a model sees them.

    Attributes:
        units: the units; of a model that reads whole studies, these.
        embeddings: [N, D] of length one.
        thumbnails: [N, P] of length one, from an intensity histogram and block means: what a trivial baseline sees.
        images: reads single images, for the page.
    """

    units: Units
    embeddings: Floats
    thumbnails: Floats
    images: CorpusImages


def embed_units(
    model: EvaluationModel, corpus: Corpus, task: Task, units: Units, *, batch_size: int = 32
) -> EmbeddedUnits:
    """Embed units, each as the mean of its samples or as the model's study tower does.

    Args:
        model: any.
        corpus: of the units.
        task: whose units they are.
        units: at least one.
        batch_size: images a batch.

    Raises:
        EvaluationError: an embedding is not finite; names the sample.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    roles = {"reported": units}
    images = role_images(model.preset, corpus, task, roles, batch_size)
    if isinstance(model.preset, StudyReader):
        roles = {"reported": units.whole()}
    examples = torch.stack([images.image(uid) for uid in roles["reported"].uids[:EXAMPLES]])
    encoded = encode_roles(model, task, roles, images, SimpleFeatures(examples))["reported"]
    assert encoded.embeddings is not None
    simple = encoded.simple.astype(np.float64)
    return EmbeddedUnits(
        units=roles["reported"],
        embeddings=unit_embeddings(encoded.embeddings, encoded.units),
        thumbnails=normalised((simple - simple.mean(axis=0)) / np.maximum(simple.std(axis=0), 1e-6)),
        images=images,
    )
