"""A model with a study tower embeds whole studies in evaluation; without one a study is the mean of its samples."""

from dataclasses import dataclass

import numpy as np
import torch

from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.encode import encode_split
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.zero_shot.model_scores import model_scores
from voxtile.evaluation.kinds.zero_shot.scores import embed_prompts
from voxtile.evaluation.tasks.task import Averaging, EvaluationTask, TaskClass, Wording

OWNER = np.array([0, 0, 0, 1, 1, 2], np.int64)
UNITS = Units(tuple(f"u{i}" for i in range(6)), OWNER, np.array(["a", "b", "c"]), ("u0", "u3", "u5"))
IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass
class Model:
    """Its study tower takes the largest value over a study's samples; prompts are the axes."""

    pools_studies: bool = True
    name: str = "m"
    logit_scale: float = 10.0
    fact_names: tuple = ()
    study_fact_names: tuple = ("x",)

    def encode_images(self, images):
        return torch.nn.functional.normalize(images.flatten(1)[:, :4], dim=1)

    def encode_texts(self, texts):
        return torch.eye(4)[[len(text) % 4 for text in texts]]

    def encode_vectors(self, images):
        return images.flatten(1)[:, :4]

    def encode_studies(self, vectors, owner, count):
        pooled = torch.stack([vectors[owner == n].amax(0) for n in range(count)])
        return torch.nn.functional.normalize(pooled, dim=1), pooled[:, :1]


def loader(uids):
    for start in range(0, len(uids), 2):
        batch = uids[start : start + 2]
        yield batch, IMAGES[[int(uid[1:]) for uid in batch]]


def task(unit):
    item = TaskClass("x", "X", "x", "present", (Wording("a", "bb"),))
    return EvaluationTask(
        name="t", title="T", kind="zero-shot-multilabel", unit=unit, classes=(item,), averaging=Averaging()
    )


def test_the_study_tower_sees_all_samples_of_a_study_together():
    encoded = encode_split(Model(), UNITS, loader, SimpleFeatures(IMAGES), studies=True)
    values = IMAGES.flatten(1)[:, :4].double().numpy()
    expected = np.stack([values[n == OWNER].max(0) for n in range(3)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(encoded.embeddings - expected).max() < 1e-6
    assert encoded.units.uids == UNITS.names
    assert len(encoded.simple) == 3  # the baseline's features stay the mean over samples


def test_its_scores_come_from_that_embedding_and_its_head():
    model = Model()
    encoded = encode_split(model, UNITS, loader, SimpleFeatures(IMAGES), studies=True)
    scores = model_scores(model, task("study"), embed_prompts(model, task("study")), encoded)
    difference = encoded.embeddings[:, 1] - encoded.embeddings[:, 2]
    assert np.abs(scores["m"][:, 0] - 1 / (1 + np.exp(-10 * difference))).max() < 1e-6
    raw = IMAGES.flatten(1)[:, 0].double().numpy()
    head = np.array([raw[n == OWNER].max() for n in range(3)])
    assert np.abs(scores["m+fact-head"][:, 0] - 1 / (1 + np.exp(-head))).max() < 1e-6


def test_single_samples_and_models_without_a_tower_are_embedded_one_by_one():
    for model, studies in ((Model(), False), (Model(pools_studies=False), True)):
        encoded = encode_split(model, UNITS, loader, SimpleFeatures(IMAGES), studies=studies)
        assert encoded.embeddings.shape == (6, 4)
        assert encoded.units is UNITS
