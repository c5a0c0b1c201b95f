"""Objectives over regions, bags and weights, as a config names them, through a real fit and a resumed one."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from voxtile.cli.lightning import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.training.checkpoint import read_checkpoint

HOME = "voxtile.objectives"


def write_corpus(root):
    """Pictures with and without a bright corner; a report, a rewrite, facts with their sentences, and a score."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(24):
        pixels = np.random.default_rng(n).integers(0, 90, (16, 16)).astype(np.uint8)
        pixels[:8, :8] += np.uint8(120 * (n % 2))
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        uid = sample_uid(f"picture {n}")
        writer.add(
            Sample({"uid": uid, "subject": f"s{n}", "kind": "image", "modality": "XRAY"}, stream.getvalue()),
        )
        sentence = f"There is {'a' if n % 2 else 'no'} corner."
        for kind, text in (("raw", sentence), ("rewrite", f"Picture {n} of many.")):
            writer.add_rows("captions", [{"caption_id": f"{kind}{n}", "uid": uid, "text": text, "kind": kind}])
        fact = {"uid": uid, "concept": "corner", "polarity": "present" if n % 2 else "absent"}
        writer.add_rows("facts", [fact | {"attributes": f'{{"evidence": ["{sentence}"]}}'}])
        writer.add_rows("scores", [{"uid": uid, "name": "quality", "value": 1.0 + n % 3}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "train"}])
    writer.publish()


def config(corpus):
    objectives = {
        "words": ("local_alignment.LocalAlignment", {"positives": ["text"]}),
        "sentences": ("local_alignment.LocalAlignment", {"queries": "sentences"}),
        "bags": ("bag_of_descriptions.BagOfDescriptions", {"positives": ["text"]}),
        "gated": ("gated_contrastive.GatedContrastive", {"raw": ["raw"], "momentum": 0.5}),
        "weighted": ("weighted_contrastive.WeightedContrastive", {"corpus": str(corpus), "score": "quality"}),
        "noise": ("noise_adaptive.NoiseAdaptive", {"warmup": 2, "refit": 2, "memory": 64}),
        "concepts": ("concept_patch.ConceptPatch", {"positives": ["facts"]}),
        "regions": ("region_attribute.RegionAttribute", {"warmup": 2, "hidden": 8}),
    }
    return {
        "name": "local",
        "data": {
            "corpus": str(corpus),
            "batch_size": 8,
            "num_workers": 0,
            "captions": {"per_item": 0},
            "preset": {
                "class_path": "voxtile.data.ImagePreset",
                "init_args": {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.25]},
            },
        },
        "model": {
            "encoder": {
                "image": {
                    "class_path": "voxtile.models.ConvTower",
                    "init_args": {"dimensions": 2, "widths": [4, 8], "blocks": [1, 1], "width": 8},
                },
                "text": {
                    "class_path": "voxtile.models.TextTransformer",
                    "init_args": {"vocabulary": 300, "context": 16, "width": 8, "depth": 1, "heads": 1, "dropout": 0.1},
                },
                "embed_dim": 8,
            },
            "objectives": {
                name: {"class_path": f"{HOME}.{path}", "init_args": arguments}
                for name, (path, arguments) in objectives.items()
            },
        },
        "trainer": {
            "max_steps": 8,
            "max_epochs": -1,
            "accelerator": "cpu",
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
        },
        "checkpoint": {"every_n_train_steps": 4, "keep": True},
    }


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*does not have many workers.*")
def test_all_are_trained_from_a_config_and_a_resumed_run_is_the_undisturbed_one(tmp_path, monkeypatch):
    write_corpus(tmp_path / "corpus")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(tmp_path / "corpus")))
    states = []
    for run, extra in (("whole", []), ("resumed", ["--ckpt_path"])):
        (tmp_path / run).mkdir()
        monkeypatch.chdir(tmp_path / run)
        if extra:
            (middle,) = (tmp_path / "whole").rglob("step-4.ckpt")
            extra.append(str(middle))
        main(["fit", "-c", str(tmp_path / "config.yaml"), *extra])
        (last,) = Path().rglob("last.ckpt")
        states.append(read_checkpoint(last)["state_dict"])
    whole, resumed = states
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert whole["objectives.noise.mixture"].abs().sum() > 0
    assert whole["objectives.gated.started"]
    assert all(value.isfinite().all() for value in whole.values() if value.is_floating_point())
