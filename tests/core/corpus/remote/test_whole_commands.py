"""Training, evaluation and pages of a remote corpus, by the commands, are those of the same corpus in a folder."""

import json
import os
import shutil

import pytest
import torch
from object_stores import proxy

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.remote.payloads import see_anew

CONFIG = """
name: tiny
seed_everything: 3
data:
  batch_size: 8
  num_workers: 2
  preset:
    class_path: voxtile.data.ImagePreset
    init_args: { size: [28, 28], augment: { crop: shift, shift: 2, brightness: 0.1 } }
model:
  encoder:
    image:
      class_path: voxtile.models.ConvTower
      init_args: { dimensions: 2, channels: 3, widths: [8], blocks: [1], width: 8, dropout: 0.2 }
    text: { class_path: voxtile.models.TextBag, init_args: { vocabulary: 300, width: 8 } }
    embed_dim: 8
  objectives:
    contrastive: { class_path: voxtile.objectives.Contrastive }
trainer:
  max_epochs: 2
  limit_val_batches: 0
  accelerator: cpu
  num_sanity_val_steps: 0
  enable_model_summary: false
checkpoint: { every_n_train_steps: 3 }
"""
TASK = """
name: noise
kind: retrieval
split: test
"""


@pytest.fixture
def address(any_server, place, uploaded, picture_corpus):
    """A corpus in a store, over a network that is slow and loses one request of twenty."""

    def without_views(folder):
        """What other tests have selected of the corpus of the session would be uploaded with it."""
        shutil.rmtree(folder / "views", ignore_errors=True)

    with proxy(any_server, latency=0.05, faults=("reset", "503", "cut"), share=0.05) as network:
        yield place(any_server, uploaded(any_server, change=without_views, folder=picture_corpus), network)


def weights(folder):
    path = max(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda path: path.parts[-3])
    found = torch.load(path, weights_only=True)
    return path, found["global_step"], found["state_dict"]


@pytest.mark.sweep(ci=True)
def test_a_training_that_is_told_to_leave_ends_as_a_local_one_that_is_not_and_is_evaluated_alike(
    address, picture_corpus, tmp_path, monkeypatch
):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "noise.yaml").write_text(TASK)
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()

    def fit(folder, corpus, *extra):
        see_anew()
        monkeypatch.chdir(tmp_path / folder)
        words = ["fit", "-c", tmp_path / "tiny.yaml", "--data.corpus", corpus, *extra]
        return lightning_main([*map(str, words)])

    assert fit("local", picture_corpus) == 0
    leave = {"class_path": "leaving.LeaveAfter", "init_args": {"step": 5}}
    with pytest.raises(SystemExit):
        fit("remote", address, "--trainer.callbacks", json.dumps([leave]))
    assert weights(tmp_path / "remote")[1] < 8
    assert fit("remote", address, "--ckpt_path", "last") == 0
    (checkpoint, step, local), (_, remote_step, remote) = (weights(tmp_path / name) for name in ("local", "remote"))
    assert step == remote_step == 8
    assert local.keys() == remote.keys()
    assert all(torch.equal(local[name], remote[name]) for name in local)
    rows = {}
    for name, corpus in (("local", picture_corpus), ("remote", address)):
        see_anew()
        out = tmp_path / name / "report"
        words = ["evaluate", checkpoint, tmp_path / "noise.yaml", "--corpus", corpus, "--out", out]
        assert main([*map(str, words)]) == 0
        rows[name] = json.loads((out / "results.json").read_text())["rows"]
    assert rows["remote"] == rows["local"] != []


def test_the_page_of_a_corpus_shows_the_same(address, picture_corpus, tmp_path):
    local = shutil.copytree(picture_corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("views"))
    pages = {}
    for name, corpus in (("local", local), ("remote", address)):
        see_anew()
        assert main(["inspect", str(corpus), "--html", str(tmp_path / f"{name}.html")]) == 0
        pages[name] = (tmp_path / f"{name}.html").read_text().replace(os.fspath(corpus), "")
    assert pages["local"].count("data:image") > 1
    assert pages["remote"] == pages["local"]
