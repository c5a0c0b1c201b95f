"""One model of six kinds: every micro-batch is of one kind, and no pair of two kinds takes part in the loss."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.evaluation.tasks.file import load_task
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.module import ContrastiveModule
from voxtile_datasets.recipes.medmnist_sets import SETS

KINDS = {
    "xray": "pneumoniamnist",
    "ct": "organamnist",
    "ultrasound": "breastmnist",
    "fundus": "retinamnist",
    "oct": "octmnist",
    "histology": "pathmnist",
}
MICRO = 32
STEPS = 3


def write_set(flag: str, path: Path, seed: int) -> None:
    """Noise whose grey value is the class, in the layout of a MedMNIST set."""
    rng, arrays, count = np.random.default_rng(seed), {}, len(SETS[flag].classes)
    shape = (28, 28, 3) if flag in ("retinamnist", "pathmnist") else (28, 28)
    for split, size in (("train", 70), ("val", 2 * count), ("test", 12 * count)):
        labels = np.arange(size) % count
        grey = (labels * 200 // count).reshape(-1, *[1] * len(shape))
        arrays[f"{split}_images"] = (grey + rng.integers(0, 50, (size, *shape))).astype(np.uint8)
        arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The config trained on six small sets as its head says: the folder, and features and loss of each step."""
    folder, seen, losses = tmp_path_factory.mktemp("unified"), [], ContrastiveModule.losses

    def watched(module, features):
        found = losses(module, features)
        if module.training:
            seen.append((features, found["contrastive"].item()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VOXTILE_CACHE", str(folder / "cache"))
        patch.setattr(ContrastiveModule, "losses", watched)
        for seed, flag in enumerate(KINDS.values()):
            write_set(flag, Path(f"{flag}.npz"), seed)
            assert main(["build", "medmnist", f"{flag}.npz", f"corpora/{flag}", "--engine", "inline"]) == 0
            more = ["--absent", "1"] if flag == "pneumoniamnist" else []
            assert main(["caption", "template", f"corpora/{flag}", "--engine", "inline", *more]) == 0
        options = ["--data.num_workers", "0", "--trainer.max_steps", str(STEPS), "--trainer.limit_val_batches", "0"]
        assert main(["fit", "-c", "medical/unified", *options, "--trainer.precision", "32-true"]) == 0
    return folder, seen


def loss_of_one_kind(features, rows, scale):
    """Softmax loss of some items by themselves; pictures with the same labels are positives of each other's texts."""
    facts = features.batch.facts[rows]
    alike = (facts[:, None] == facts).all(2)
    logits = scale * features.image[rows].double() @ features.text[rows].double().T
    both = [-(torch.where(alike, F.log_softmax(z, 1), 0.0).sum(1) / alike.sum(1)) for z in (logits, logits.T)]
    return sum(both) / 2


def test_each_micro_batch_is_of_one_kind_and_is_contrasted_by_itself(trained):
    seen = trained[1]
    assert len(seen) == STEPS
    for features, loss in seen:
        batch, scale = features.batch, features.logit_scale.double()
        assert batch.source_names == tuple(KINDS)
        micro = batch.source.reshape(-1, MICRO)
        assert (micro == micro[:, :1]).all(), "a micro-batch mixes kinds"
        assert len(micro) == len(KINDS)
        assert len(micro[:, 0].unique()) >= 4, "a step sees too few kinds"
        parts = [loss_of_one_kind(features, batch.source == kind, scale) for kind in batch.source.unique()]
        torch.testing.assert_close(torch.cat(parts).mean().item(), loss, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("flag", "positive"), [("pneumoniamnist", "pneumonia"), ("breastmnist", "malignant")])
def test_captions_deny_where_prompts_deny(trained, flag, positive):
    """One text tower reads "no" for all kinds: of a kind whose captions never say it, it would mean another kind's."""
    corpus = Corpus(trained[0] / "corpora" / flag)
    facts = corpus.table("facts").to_pylist()
    shown = {row["uid"] for row in facts if (row["concept"], row["polarity"]) == (positive, "present")}
    denial = re.compile(
        rf"\b(no|without|negative for)\b.*({'pneumoni|infection' if 'pneu' in flag else 'malignan'})", re.I
    )
    for row in corpus.table("captions").to_pylist():
        assert bool(denial.search(row["text"])) == (row["uid"] not in shown), row["text"]
    (negative,) = [c for c in load_task(f"medical/{flag}").classes if c.concept != positive or c.when == "absent"]
    assert any(re.match("no ", wording.present, re.I) for wording in negative.wordings)


@pytest.mark.sweep(ci=True)
def test_each_kind_has_figures_of_its_own_task(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained[0])
    monkeypatch.setenv("VOXTILE_CACHE", str(trained[0] / "cache"))
    (checkpoint,) = Path("runs/unified").rglob("last.ckpt")
    assert read_checkpoint(checkpoint)["global_step"] == STEPS
    for flag in KINDS.values():
        words = ["--corpus", f"corpora/{flag}", "--out", str(tmp_path / flag), "--bootstrap", "100", "--quiet"]
        assert main(["evaluate", str(checkpoint), f"medical/{flag}", *words]) == 0
        rows = json.loads((tmp_path / flag / "results.json").read_text())["rows"]
        classes = {row["class"] for row in rows if row["metric"] == "auroc" and row["class"] is not None}
        assert len(classes) == (1 if len(SETS[flag].classes) == 2 else len(SETS[flag].classes)), flag
