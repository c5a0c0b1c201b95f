"""Pictures of many bands get a second trivial baseline: the mean of each band, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.tile import TilePreset
from voxtile.evaluation.figures.baselines import SPECTRUM, SimpleFeatures
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model

BANDS = ("B02", "B03", "B04", "B08", "B11")
CLASSES = ("water", "maize", "striped")  # striped has maize's mean and another texture
LEVELS = {"water": [5, 4, 3, 1, 1], "maize": [5, 6, 4, 9, 5], "striped": [5, 6, 4, 9, 5]}


class Blind:
    """A model that sees nothing."""

    name, logit_scale, fact_names = "blind", 1.0, ()
    preset = TilePreset(bands=BANDS, size=(16, 16), std=(1000.0,))

    def encode_images(self, images):
        return functional.normalize(torch.ones(len(images), 4), dim=1)

    def encode_texts(self, texts):
        return functional.normalize(torch.eye(4)[: len(texts)] + 0.1, dim=1)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("tiles"), np.random.default_rng(0)
    new_corpus(root)
    writer, tables, values = JobWriter(root, "made"), {"facts": [], "scopes": [], "splits": []}, {}
    for number in range(270):
        label = CLASSES[number % 3]
        level = np.array(LEVELS[label])[:, None, None] * 1000 * rng.normal(1, 0.1)
        stripes = 600 * np.sign(np.sin(np.arange(16) * np.pi / 2 + 0.1)) if label == "striped" else 0
        pixels = (level + stripes + rng.normal(0, 300, (5, 16, 16))).clip(0).astype(np.uint16)
        uid, split = f"u{number:03d}", ("train", "train", "val", "test", "test")[(number // 3) % 5]
        row = {"uid": uid, "subject": uid, "kind": "tile", "modality": "MSI", "axes": "CYX"}
        writer.add(Sample({**row, "channels": [{"name": name} for name in BANDS]}, pixels))
        tables["facts"].append({"uid": uid, "concept": label, "polarity": "present", "source": "x@1"})
        tables["scopes"].append({"uid": uid, "vocabulary": "x", "closed": True, "concepts": list(CLASSES)})
        tables["splits"].append({"scheme": "default", "subject": uid, "split": split})
        values[uid] = (split, CLASSES.index(label), pixels.mean(axis=(1, 2)))
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    return Corpus(root), values


def test_it_stands_beside_the_model_and_agrees_with_scikit_learn(tiles, tmp_path):
    corpus, values = tiles
    lines = "\n".join(f"  {name}: {{prompts: [{name}]}}" for name in CLASSES)
    (tmp_path / "t.yaml").write_text(f"kind: zero-shot-singlelabel\nclasses:\n{lines}\n")
    options = Options(replicates=100)
    result = evaluate_model(Blind(), "m", corpus, [str(tmp_path / "t.yaml")], options).results[0]
    row = next(r for r in result.rows if r.model == SPECTRUM and r.metric == "balanced_accuracy")
    assert row.kind == "trivial"
    parts = {s: [v[1:] for v in values.values() if v[0] == s] for s in ("train", "test")}
    (y, x), (truth, test) = ((np.array([v[0] for v in p]), np.array([v[1] for v in p])) for p in parts.values())
    mean, std = x.mean(0), x.std(0)
    peer = LogisticRegression(max_iter=1000).fit((x - mean) / std, y)
    expected = balanced_accuracy_score(truth, peer.predict((test - mean) / std))
    assert abs(row.value - expected) < 0.12
    assert 0.5 < row.value < 0.85  # it cannot tell stripes from maize


def test_means_are_those_of_the_bands():
    images = torch.randn(6, 5, 16, 16)
    features = SimpleFeatures(images)
    np.testing.assert_allclose(features.spectrum(features(images)), images.mean((2, 3)).numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 3, 16, 16), (6, 1, 16, 16), (6, 5, 8, 8, 8)])
def test_grey_pictures_rgb_and_volumes_have_none(shape):
    images = torch.randn(*shape)
    features = SimpleFeatures(images)
    assert features.spectrum(features(images)) is None
