"""Segmentation by a linear probe on frozen patches: features that tell all, features that tell nothing, controls."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from tests.core.evaluate.blocks import NAMES, block_corpus
from tests.core.evaluate.test_similarity_tasks import Named

from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.figures.rows import find_row
from voxtile.evaluation.kinds.grounding.probe import VALUES, Example, fit_token_probe, patch_values
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task
from voxtile.inference.load import EncoderModel
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

SHAPE = (8, 12, 12)
OPTIONS = checked_options(None, 8, 100, 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return block_corpus(tmp_path_factory.mktemp("probe") / "corpus", SHAPE, (2, 5), items=60, share=0.6)


class Patches(ImageTower):
    """A feature a voxel: which level of grey it has, mixed by a matrix; or numbers that mean nothing."""

    width, channels, dimensions = 3, 1, 3

    def __init__(self, told=True, tokens=True):
        super().__init__()
        self.told, self.has_tokens = told, tokens
        self.mix = torch.nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, images, tokens=False):
        levels = [(images - 0.25 * k).abs() < 0.05 for k in range(4)]
        found = torch.cat(levels, 1).float().flatten(2).transpose(1, 2) @ self.mix
        if not self.told:
            found = torch.randn(found.shape, generator=torch.Generator().manual_seed(images.sum().int().item()))
        return Encoded(found.mean(1), found if tokens and self.has_tokens else None, tuple(images.shape[2:]))


def made(**changes):
    encoder = DualEncoder(image=Patches(**changes), text=Named(), embed_dim=3, project=False)
    return EncoderModel("patches", encoder, VolumePreset(shape=SHAPE, windows=((0.0, 400.0),)))


def evaluated(model, corpus, folder, options=OPTIONS, **changes):
    path = folder / "blocks.yaml"
    classes = {name: {"prompts": [name, f"show the {name}"]} for name in NAMES}
    content = {"kind": "segmentation-probe", "facts_source": "labels", "classes": classes}
    path.write_text(json.dumps(content | changes))
    evaluation = evaluate_model(model, "spec", corpus, [str(path)], options)

    def figure(metric, kind="model", name=model.name):
        return find_row(evaluation.rows, model=name, kind=kind, metric=metric, class_name=None).value

    return evaluation, figure


def test_features_that_tell_all_get_full_marks_and_controls_fall(corpus, tmp_path):
    evaluation, figure = evaluated(made(), corpus, tmp_path)
    for metric in ("dice", "iou", "ciou", "pointing", "n_acc"):
        assert figure(metric) > 0.99, metric
    assert figure("dice", "shuffled") < 0.2
    assert figure("dice", "trivial", VALUES) < 0.9, "of three levels the middle one is no half-line"
    assert evaluation.results[0].models == ("patches", VALUES)
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    page = (tmp_path / "index.html").read_text()
    assert "Values of patches" in page
    assert "frozen features" in page


def test_features_that_mean_nothing_show_nothing(corpus, tmp_path):
    _, figure = evaluated(made(told=False), corpus, tmp_path)
    assert figure("dice") < 0.3


def test_it_is_scikit_learns_regression_on_standardised_patches():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(6, 1, 4, 6)).astype(np.float32))
    targets = [rng.random((4, 6)) < 0.4 for _ in range(6)]

    def local(batch):
        return torch.cat([batch, batch**2, 5 + 3 * batch.abs()], 1).flatten(2).transpose(1, 2), (4, 6)

    def walk():
        return (Example(image, {0: target}) for image, target in zip(images, targets, strict=True))

    probe = fit_token_probe(local, {"it": 0}, walk, lambda: iter(()), ["it"], 0)
    features = local(images)[0].flatten(0, 1).double().numpy()
    scaled = (features - features.mean(0)) / features.std(0)
    peer = LogisticRegression(C=0.1, max_iter=200, class_weight="balanced").fit(scaled, np.concatenate(targets).ravel())
    shown, presence = probe.ground(images, ["it"])
    expected = peer.predict_proba(scaled)[:, 1].reshape(6, 4, 6)
    np.testing.assert_allclose(shown[:, 0].numpy(), expected, atol=2e-3)
    assert presence[:, 0].numpy() == pytest.approx(shown[:, 0].flatten(1).amax(1).numpy())


def test_a_class_smaller_than_half_a_patch_is_never_shown_and_named():
    images = torch.rand(4, 1, 4, 4)
    large, small = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    large[:2], small[3, 3] = True, True

    def walk():
        return (Example(image, {0: large, 1: small}) for image in images)

    probe = fit_token_probe(patch_values((2, 2)), {"a": 0, "b": 1}, walk, walk, ["a", "b"], 0)
    assert probe.unfitted == ("b",)
    shown, _ = probe.ground(images, ["b", "a"])
    assert shown[:, 0].max() < 1e-6
    assert shown[:, 1, 0].min() > 0.5
    with pytest.raises(EvaluationError, match="at least half of it"):
        fit_token_probe(patch_values((2, 2)), {"b": 1, "a": 0}, lambda: iter([]), walk, ["a", "b"], 0)


def test_values_of_a_patch_are_its_mean_spread_extremes_and_place():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    found, grid = patch_values((2, 2))(image)
    assert grid == (2, 2)
    first = np.array([0, 1, 4, 5.0])
    assert found[0, 0].tolist() == pytest.approx([first.mean(), first.std(), 5, 0, -1, -1])
    assert found[0, 3].tolist() == pytest.approx([12.5, first.std(), 15, 10, 1, 1])


def test_what_cannot_be_fitted_is_refused(corpus, tmp_path):
    with pytest.raises(EvaluationError, match="gives no features of patches"):
        evaluated(made(tokens=False), corpus, tmp_path)
    with pytest.raises(EvaluationError, match="fitted on the split 'train'"):
        evaluated(made(), corpus, tmp_path, checked_options("train", 8, 100, 0))
    path = tmp_path / "t.yaml"
    path.write_text(
        json.dumps(
            {
                "kind": "segmentation-probe",
                "method": "auto",
                "classes": {"a": {"prompts": ["a"]}, "b": {"prompts": ["b"]}},
            }
        )
    )
    with pytest.raises(ConfigError, match=r"method.*leave it out"):
        load_task(str(path))
