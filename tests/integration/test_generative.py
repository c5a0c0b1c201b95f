"""Decoders, matching heads and momentum copies: from a config through a fit in micro-batches, out of its checkpoint."""

import hashlib
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.inference.captioner import Captioner
from voxtile.objectives.generative.decoding import Decoding
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.module import ContrastiveModule
from voxtile_datasets.captions import by_checkpoint
from voxtile_datasets.captions.by_checkpoint import CheckpointOptions

CONFIG = Path(__file__).with_name("tiny.yaml")
SMALL = {"width": 16, "heads": 2, "depth": 1}
OBJECTIVES = {
    "distilled": ("momentum_distillation.MomentumDistillation", {"queue": 24, "ramp": 2, "momentum": 0.9}),
    "told": ("captioning.Captioning", SMALL | {"queries": 4}),
    "matched": ("image_text_matching.ImageTextMatching", SMALL | {"group": 8}),
    "margin": ("margin.Margin", {}),
    "boosted": ("deep_boosting.DeepBoosting", {"kind": "absolute"}),
}


@pytest.mark.sweep(ci=True)
def test_from_config_to_checkpoint_and_captions(tmp_path, xray_corpus, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(CONFIG.read_text())
    config["model"]["objectives"] = {
        name: {"class_path": f"voxtile.objectives.{path}", "init_args": arguments}
        for name, (path, arguments) in OBJECTIVES.items()
    }
    config["model"] |= {"weights": {"told": 2.0}, "batch": {"global": 16, "micro": 8}}
    config["trainer"] |= {"max_epochs": -1, "max_steps": 3, "limit_val_batches": 1, "callbacks": []}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert lightning_main(["fit", "-c", "config.yaml", "--data.corpus", str(xray_corpus)]) == 0
    (path,) = tmp_path.glob("runs/tiny/*/checkpoints/last.ckpt")
    state = read_checkpoint(path)["state_dict"]
    assert state["objectives.distilled.oldest"] == 3 * 16 % 24
    assert (state["objectives.distilled.queue_keys"] >= 0).all()
    kept, now = (state[f"{of}encoder.image_projection.weight"] for of in ("objectives.distilled.kept.parts.", ""))
    assert 0 < (kept - now).norm() < now.norm()
    module = ContrastiveModule.load_from_checkpoint(path)
    image = module.encoder.image(torch.zeros(2, 1, 28, 28), tokens=True)
    text = module.encoder.text(module.encoder.text.tokenizer.encode(["pneumonia", "normal"])[0])
    said = module.objectives["told"].generate(image, longest=8)
    assert [type(one) for one in said] == [str, str]
    assert torch.isfinite(module.objectives["matched"].match(image, text)).all()
    corpus = tmp_path / "corpus"
    shutil.copytree(xray_corpus, corpus)
    asked = ["caption", str(corpus), "--provider", "checkpoint", "--limit", "5", "--unchecked", "true"]
    assert main([*asked, "--model", str(path), "--decoding", "beam", "--beams", "2", "--max-reply-tokens", "8"]) == 0
    rows = [row for row in Corpus(corpus).table("captions").to_pylist() if row["provider"] == "checkpoint"]
    assert 0 < len(rows) <= 5
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert {(row["kind"], row["model"]) for row in rows} == {("vlm", f"last-{digest}")}
    assert all(row["text"] and row["tokens_out"] <= 7 for row in rows)
    verdicts = {row["caption_id"] for row in Corpus(corpus).table("verdicts").to_pylist() if row["checker"] == "claims"}
    assert {row["caption_id"] for row in rows} <= verdicts
    options = CheckpointOptions(str(path), Decoding(longest=8), unchecked=True)
    task = by_checkpoint._opened(corpus, options, frozenset(row["uid"] for row in rows))
    elsewhere = pickle.loads(pickle.dumps(task))  # as a node of a cluster has it
    [item] = task.items()
    assert (elsewhere.config(), elsewhere.process(item)) == (task.config(), task.process(item))
    monkeypatch.setattr(Captioner, "captions", lambda self, images, *rest: [(" . . .", 3)] * len(images))
    capsys.readouterr()
    assert main([*asked, "--model", str(path), "--decoding", "sample"]) == 1
    assert "the model wrote no word, only '. . .'" in " ".join(capsys.readouterr().out.split())
    after = [row for row in Corpus(corpus).table("captions").to_pylist() if row["provider"] == "checkpoint"]
    assert after == rows
    assert main([*asked, "--model", "open_clip:ViT-B-32"]) == 2
    assert "is no file; give a checkpoint" in capsys.readouterr().err


def test_a_checkpoint_without_a_captioning_decoder_is_refused_in_a_sentence(tmp_path, xray_corpus, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(CONFIG.read_text())
    config["trainer"] |= {"max_epochs": -1, "max_steps": 1, "limit_val_batches": 1, "callbacks": []}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert lightning_main(["fit", "-c", "config.yaml", "--data.corpus", str(xray_corpus)]) == 0
    (path,) = tmp_path.glob("runs/tiny/*/checkpoints/last.ckpt")
    capsys.readouterr()
    assert main(["caption", str(xray_corpus), "--provider", "checkpoint", "--model", str(path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "has no captioning decoder; give a checkpoint that was trained with the Captioning objective" in said
    assert "Traceback" not in said
