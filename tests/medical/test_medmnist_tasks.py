"""A task for each MedMNIST set: its classes are those of the recipe, and a model that sees them is right."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.evaluation.kinds.zero_shot.run import run_task
from voxtile.evaluation.options import Options
from voxtile.evaluation.tasks.file import load_task
from voxtile_datasets.recipes.medmnist import build_medmnist
from voxtile_datasets.recipes.medmnist_sets import SETS

IMAGES = 16  # of each class and split


@pytest.mark.parametrize("flag", sorted(SETS))
def test_each_set_has_a_task_whose_classes_are_the_recipes(flag):
    task = load_task(f"medical/{flag}")
    recipe = SETS[flag]
    assert task.labels.vocabulary in (flag, None)
    assert task.multilabel == recipe.is_multi_label
    assert all(c.concept in recipe.classes for c in task.classes)
    assert flag == "pneumoniamnist" or [c.concept for c in task.classes if c.when == "present"] == list(recipe.classes)
    prompts = Counter(wording.present for c in task.classes for wording in c.wordings)
    assert max(prompts.values()) == 1, prompts.most_common(1)
    assert min(len(c.wordings) for c in task.classes) >= 2
    assert (task.positive is not None) == (len(recipe.classes) == 2)


@pytest.mark.cases(2)
@pytest.mark.parametrize("flag", ["bloodmnist", "breastmnist", "chestmnist", "fracturemnist3d"])
def test_a_model_that_sees_the_classes_is_right(flag, tmp_path):
    """Pictures show their label as a bar; a model that reads the bar and knows the prompts of each class."""
    recipe, task = SETS[flag], load_task(f"medical/{flag}")
    shape = (16, 16, 16)[: recipe.dimensions] + ((3,) if recipe.modality == "SM" else ())
    count = len(recipe.classes)
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "val", "test"):
        if recipe.is_multi_label:
            labels = rng.integers(0, 2, (IMAGES * 4, count)).astype(np.uint8)
            shown = labels
        else:
            labels = np.tile(np.arange(count, dtype=np.uint8), IMAGES)[:, None]
            shown = np.eye(count, dtype=np.uint8)[labels[:, 0]]
        images = rng.integers(0, 20, (len(labels), *shape)).astype(np.uint8)
        images[(slice(None),) + (0,) * (recipe.dimensions - 1) + (slice(0, count),)] = (
            shown.reshape(len(labels), count, *([1] * (len(shape) - recipe.dimensions))) * 200
        )
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    np.savez_compressed(tmp_path / f"{flag}.npz", **arrays)
    build_medmnist(tmp_path / f"{flag}.npz", tmp_path / "corpus", engine="inline")
    model = BarModel(task, shape, recipe.dimensions)
    result = run_task(model, Corpus(tmp_path / "corpus"), task, Options(replicates=50))
    figures = {row.class_name: row.value for row in result.rows if (row.kind, row.metric) == ("model", "auroc")}
    assert figures
    assert all(value == 1 for value in figures.values()), figures


class BarModel:
    """Answers with the first row of a picture; a text with the classes whose prompts it holds."""

    name, logit_scale, fact_names = "bar", 10.0, ()

    def __init__(self, task, shape, dimensions):
        channels = 3 if len(shape) > dimensions else 1
        if dimensions == 3:
            self.preset = VolumePreset(shape=shape, windows=((0, 255),), units="a.u.")
        else:
            self.preset = ImagePreset(size=shape[:2], channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
        self.task, self.count = task, len(task.classes)

    def encode_images(self, images):
        bars = images[:, 0].flatten(1)[:, : self.count]
        return functional.normalize(bars - bars.amin(dim=1, keepdim=True) + 1e-3, dim=1)

    def encode_texts(self, texts):
        rows = []
        for text in texts:
            sides = [
                float(any(template.format(w.present) == text for template in self.task.templates for w in c.wordings))
                - float(any(w.absent == text for w in c.wordings))
                for c in self.task.classes
            ]
            assert any(sides), text
            rows.append(sides)
        return functional.normalize(torch.tensor(rows), dim=1)
