"""Dataset tasks: their classes are those that the recipes write, and no prompt stands for two classes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.evaluation.kinds.retrieval.run import run_retrieval
from voxtile.evaluation.options import Options
from voxtile.evaluation.tasks.file import load_task
from voxtile_remote_sensing.domain import domain
from voxtile_remote_sensing.landcover.legend import load_legend
from voxtile_remote_sensing.recipes.layouts import classes
from voxtile_remote_sensing.recipes.skyscript_benchmark import CLASSIFICATION, RETRIEVAL

TABLES = {
    "eurosat": classes.EUROSAT, "resisc45": classes.RESISC45, "aid": classes.AID, "patternnet": classes.PATTERNNET,
    "rsscn7": classes.RSSCN7, "fmow": classes.FMOW, "millionaid": classes.MILLIONAID, "rsicb256": classes.RSICB256,
    "bigearthnet": classes.BIGEARTHNET,
}  # fmt: skip
SIZES = {"eurosat": 10, "resisc45": 45, "aid": 30, "patternnet": 38, "rsscn7": 7, "fmow": 62, "millionaid": 51,
         "rsicb256": 35, "bigearthnet": 19}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLES))
def test_classes_of_a_task_are_those_of_its_recipe(name):
    task = load_task(f"remote_sensing/{name}")
    assert [c.concept for c in task.classes] == list(classes.concepts(TABLES[name]))
    assert len(task.classes) == SIZES[name], "the official number of classes"
    assert task.labels.vocabulary == ("bigearthnet-19" if name == "bigearthnet" else name)
    prompts = Counter(wording.present for c in task.classes for wording in c.wordings)
    assert max(prompts.values()) == 1, prompts.most_common(1)
    assert min(len(c.wordings) for c in task.classes) >= 2
    assert task.multilabel == (name == "bigearthnet")
    if not task.multilabel:
        assert len(task.templates) >= 5


def test_skyscripts_seven_sets_have_a_task_each():
    seven = set(CLASSIFICATION) - {"skyscript"}
    assert len(seven) == 7
    for name in seven:
        task = load_task(f"remote_sensing/{name}")
        table = CLASSIFICATION[name][2]
        assert {c.concept for c in task.classes} == set(table.values())


@pytest.mark.parametrize("name", sorted(RETRIEVAL))
def test_skyscripts_three_retrieval_sets_have_a_task_each(name):
    assert len(RETRIEVAL) == 3
    task = load_task(f"remote_sensing/{name}-retrieval")
    assert (task.kind, task.recall, task.captions, task.split) == ("retrieval", (1, 5, 10), ("raw",), "test")


def test_retrieval_from_a_recipe_with_real_captions(test_data, tmp_path):
    """Forty pictures of noise under RSITMD's own captions: what a model of noise finds is chance."""
    content = json.loads((test_data / "remote_sensing/captions_rsicd_rsitmd/rsitmd_test.json").read_text())[:40]
    rng = np.random.default_rng(0)
    for image in content:
        path = tmp_path / "data" / "images" / Path(image["image"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    (tmp_path / "data" / "rsitmd_test.json").write_text(json.dumps(content))
    domain.recipes["rsitmd"].load()(tmp_path / "data", tmp_path / "corpus", engine="inline")
    options = Options(replicates=100)
    result = run_retrieval(
        NoiseModel(), Corpus(tmp_path / "corpus"), load_task("remote_sensing/rsitmd-retrieval"), options
    )
    assert result.captions == sum(len(image["caption"]) for image in content)
    rows = {(row.kind, row.metric, row.class_name): row for row in result.rows}
    control = rows["shuffled", "recall@10", "text-to-image/strict"]
    assert control.value == pytest.approx(10 / 40, abs=0.03)
    found = rows["model", "recall@10", "text-to-image/strict"]
    assert found.low < 10 / 40 < found.high


class NoiseModel:
    """Pixels of the corner, and a direction that depends on the text alone."""

    name, logit_scale, fact_names = "noise", 10.0, ()
    preset = ImagePreset(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3))

    def encode_images(self, images):
        return functional.normalize(images[:, :, :2, :2].flatten(1), dim=1)

    def encode_texts(self, texts):
        rows = [np.random.default_rng(list(text.encode())).standard_normal(12) for text in texts]
        return functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=1)


def test_bigearthnets_classes_are_the_concepts_of_the_corine_19_legend():
    assert classes.concepts(classes.BIGEARTHNET) == load_legend("corine-19").concepts
