"""A corpus without captions trains an image tower; stopped and resumed, it is the same to the last bit."""

from pathlib import Path

import pytest
import torch
import yaml

from voxtile.cli.main import lightning_main
from voxtile.phantom.xrays import write_xrays
from voxtile.training.checkpoint import read_checkpoint

TINY = Path(__file__).with_name("tiny.yaml")
OBJECTIVES = """
self:
  class_path: voxtile.objectives.SelfDistillation
  init_args: {prototypes: 32, hidden: 16, bottleneck: 8, small: 1, momentum: 0.9}
patches:
  class_path: voxtile.objectives.MaskedSelfDistillation
  init_args: {balance: sinkhorn, separate_head: true, prototypes: 32, hidden: 16, bottleneck: 8, small: 1}
koleo:
  class_path: voxtile.objectives.KoLeo
masked:
  class_path: voxtile.objectives.MaskedImage
  init_args: {patch: 4}
views:
  class_path: voxtile.objectives.UnimodalSelfSupervision
  init_args: {head: [16, 8], views: {crop: [0.3, 1.0], flips: [x]}}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A corpus of pictures with labels and no captions."""
    from voxtile_datasets.recipes.medmnist import build_medmnist

    folder = tmp_path_factory.mktemp("pictures")
    build_medmnist(write_xrays(folder, train=64, val=16, test=8), folder / "corpus", engine="inline")
    return folder / "corpus"


def fit(corpus, folder, monkeypatch, objectives, *extra):
    folder.mkdir()
    monkeypatch.chdir(folder)
    config = yaml.safe_load(TINY.read_text())
    config["data"]["corpus"] = str(corpus)
    config["model"] |= {
        "objectives": yaml.safe_load(objectives),
        "weights": {"masked": 0.5} if "masked" in objectives else {},
    }
    config["trainer"] |= {"max_epochs": 2}
    config["checkpoint"] = {"every_n_train_steps": 3, "keep": True}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return lightning_main(["fit", "-c", "config.yaml", *extra])


@pytest.mark.sweep(ci=True)
def test_images_alone_are_enough_and_a_resumed_run_is_an_undisturbed_one(pictures, tmp_path, monkeypatch):
    assert fit(pictures, tmp_path / "whole", monkeypatch, OBJECTIVES) == 0
    metrics = next((tmp_path / "whole").rglob("metrics.csv"))
    assert "recall" not in metrics.read_text()
    whole = read_checkpoint(metrics.parent / "checkpoints" / "last.ckpt")
    assert whole["global_step"] == 8
    state = whole["state_dict"]
    assert state["objectives.self.balance.centre"].abs().sum() > 0
    assert any("self.teacher" in name for name in state)
    third = metrics.parent / "checkpoints" / "step-3.ckpt"
    assert fit(pictures, tmp_path / "again", monkeypatch, OBJECTIVES, "--ckpt_path", str(third)) == 0
    resumed = read_checkpoint(next((tmp_path / "again").rglob("last.ckpt")))["state_dict"]
    assert set(resumed) == set(state)
    for name, value in state.items():
        assert torch.equal(resumed[name], value), name


def test_what_reads_texts_is_refused_without_them(pictures, tmp_path, monkeypatch, capsys):
    contrastive = "contrastive: {class_path: voxtile.objectives.Contrastive}"
    assert fit(pictures, tmp_path / "texts", monkeypatch, contrastive) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no item of the training split has a text for the objective 'contrastive'" in said
