"""Small corpora of pictures, bands and volumes, and checkpoints of random towers that read them."""

import io
import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule

NAME = "voxtile-tiny-export"
TEXTS = ["A nodule.", "no effusion is seen", "Left & right: 3.5 mm, unchanged!", "river   beside a FIELD", "x"]
PICTURES = {
    "class_path": "voxtile.data.ImagePreset",
    "init_args": {"size": [32, 32], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25]},
}
BAG = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "context": 16, "width": 12}}


@pytest.fixture(scope="session")
def open_clip_name(tmp_path_factory):
    """A tiny model that open_clip knows by name."""
    config = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    path = tmp_path_factory.mktemp("openclip") / f"{NAME}.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    return NAME


def corpus(root, kind, samples, **columns):
    """A corpus of these arrays or encoded pictures with a caption each."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n, values in enumerate(samples):
        row = {"uid": sample_uid(f"{kind} {n}"), "subject": f"s{n}", "kind": kind, **columns}
        writer.add(Sample(row, values))
        caption = {"caption_id": f"c{n}", "uid": row["uid"], "text": TEXTS[n % len(TEXTS)], "kind": "raw"}
        writer.add_rows("captions", [caption])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "train"}])
    writer.publish()
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    rng, encoded = np.random.default_rng(0), []
    for _ in range(5):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (40, 52, 3), dtype=np.uint8)).resize((80, 70)).save(stream, "PNG")
        encoded.append(stream.getvalue())
    return corpus(tmp_path_factory.mktemp("pictures") / "corpus", "image", encoded, modality="RGB")


@pytest.fixture(scope="session")
def bands(tmp_path_factory):
    rng = np.random.default_rng(1)
    tiles = [rng.integers(0, 4000, (32, 32, 5)).astype(np.uint16) for _ in range(5)]
    channels = [{"name": f"B{n}", "scale": 1e-4, "offset": 0.0} for n in range(5)]
    root = tmp_path_factory.mktemp("bands") / "corpus"
    return corpus(root, "tile", tiles, modality="MS", axes="YXC", units="reflectance", channels=channels)


@pytest.fixture(scope="session")
def volumes(tmp_path_factory):
    rng = np.random.default_rng(2)
    scans = [rng.integers(-1000, 1000, (12, 14, 10)).astype(np.int16) for _ in range(5)]
    affine = np.diag([2.0, 2, 2, 1]).ravel().tolist()
    root = tmp_path_factory.mktemp("volumes") / "corpus"
    return corpus(root, "volume", scans, modality="CT", axes="ZYX", units="HU", affine=affine, spacing=[2.0, 2, 2])


@pytest.fixture
def save(tmp_path):
    """Write the checkpoint of a random model: `save(image, text, preset, **encoder)`."""

    def written(image, text, preset, *, facts=(), **encoder):
        torch.manual_seed(0)
        objectives = {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}}
        if facts:
            objectives["facts"] = {"class_path": "voxtile.objectives.FactHead"}
        encoder = {"image": image, "text": text, "embed_dim": 12, **encoder}
        module = ContrastiveModule.from_config({"encoder": encoder, "objectives": objectives})
        with torch.no_grad():  # towers begin with branches at zero
            for name, parameter in module.named_parameters():
                if parameter.ndim > 1 and "stem" not in name:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        for norm in module.modules():
            if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
                norm.running_mean.normal_(0, 0.2)
                norm.running_var.uniform_(0.5, 2)
        module.encoder.text.tokenizer.train(TEXTS)
        module.setup_objectives(tuple(facts))
        module.preset_config = preset
        content = {"state_dict": module.state_dict()}
        module.on_save_checkpoint(content)
        AtomicCheckpointIO().save_checkpoint(content, tmp_path / "model.ckpt")
        return tmp_path / "model.ckpt"

    return written


def clip(name, **image):
    """Both towers of an open_clip model, as configs."""
    return (
        {"class_path": "voxtile.models.OpenClipImage", "init_args": {"name": name, **image}},
        {"class_path": "voxtile.models.OpenClipText", "init_args": {"name": name}},
    )


@pytest.fixture
def clip_towers(open_clip_name):
    return lambda **image: clip(open_clip_name, **image)


@pytest.fixture
def picture_preset():
    return PICTURES


@pytest.fixture
def bag():
    return BAG
