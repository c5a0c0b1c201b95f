"""Tiny models with random weights, and small corpora whose content is known."""

import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from tests.core.models.tiny_clip import tiny_clip

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule

VOLUMES = {
    "class_path": "voxtile.data.VolumePreset",
    "init_args": {"shape": [8, 8, 8], "spacing": [2.0, 2.0, 2.0], "modalities": ["CT"]},
}


@pytest.fixture(scope="session")
def open_clip_folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("models") / "oc-clip"
    target.mkdir()
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    (target / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    model = open_clip.CLIP(**{**config, "vision_cfg": dict(vision), "text_cfg": dict(text)})
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, target / "open_clip_model.safetensors")
    return target


@pytest.fixture(scope="session")
def ct_checkpoint(tmp_path_factory):
    """A tower of CT volumes at 2 mm, with random weights."""
    torch.manual_seed(0)
    image = {
        "class_path": "voxtile.models.ConvTower",
        "init_args": {"dimensions": 3, "channels": 1, "widths": [8], "blocks": [1], "width": 8},
    }
    text = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}}
    objectives = {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}}
    module = ContrastiveModule.from_config(
        {"encoder": {"image": image, "text": text, "embed_dim": 8}, "objectives": objectives}
    )
    module.encoder.text.tokenizer.train(["no effusion", "an effusion", "a nodule"])
    module.setup_objectives(())
    module.preset_config = VOLUMES
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("models") / "ct.ckpt"
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path


@pytest.fixture(scope="session")
def hugging_face_folder(tmp_path_factory):
    return tiny_clip(tmp_path_factory.mktemp("models") / "hf-clip")


def volumes():
    """[6, 12, 10] HU of six subjects: air with a block that is brighter from subject to subject."""
    for n in range(6):
        values = np.full((6, 12, 10), -1000, np.int16)
        values[1:4, 3:9, 2:7] = 40 * n
        yield values


@pytest.fixture(scope="session")
def ct_corpus(tmp_path_factory):
    """Volumes stored as HU + 1024, with facts, captions and a verdict."""
    root = tmp_path_factory.mktemp("corpora") / "ct"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    affine = np.diag([1.5, 2.0, 3.0, 1.0])  # x, y, z
    for n, values in enumerate(volumes()):
        uid = sample_uid(f"ct {n}")
        row = {"uid": uid, "subject": f"s{n}", "study": f"t{n}", "kind": "volume", "modality": "CT", "axes": "ZYX"}
        row |= {"units": "HU", "spacing": [3.0, 2.0, 1.5], "affine": affine.ravel().tolist()}
        row |= {"channels": [{"name": None, "wavelength_nm": None, "unit": "HU", "scale": 1.0, "offset": -1024.0}]}
        writer.add(Sample(row, (values + 1024).astype(np.uint16)))
        texts = [f"nodule of subject {n}", f"no effusion in {n}"]
        for k, text in enumerate(texts):
            writer.add_rows("captions", [{"caption_id": f"c{n}-{k}", "uid": uid, "text": text, "kind": "raw"}])
        polarity = "present" if n % 2 else "absent"
        fact = {"uid": uid, "concept": "nodule", "polarity": polarity, "source": "labels@1"}
        writer.add_rows("facts", [fact | {"attributes": json.dumps({"laterality": "left"}), "code": "SCT:1"}])
        split = ("train", "val", "test")[n % 3]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": split}])
    for version, verdict in (("1.9", "supported"), ("1.10", "contradicted")):
        judged = {"caption_id": "c2-1", "verdict": verdict, "checker": "rules", "checker_version": version}
        writer.add_rows("verdicts", [judged])
    writer.publish()
    return root


@pytest.fixture(scope="session")
def tile_corpus(tmp_path_factory):
    """One tile of reflectance with a corner of no data."""
    root = tmp_path_factory.mktemp("corpora") / "tiles"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    values = np.arange(3 * 40 * 40, dtype=np.uint16).reshape(3, 40, 40) + 1
    values[:, :4, :4] = 0
    channels = [
        {"name": name, "wavelength_nm": None, "unit": "reflectance", "scale": 1e-4 * (n + 1), "offset": -0.1 * n}
        for n, name in enumerate(("B02", "B03", "B04"))
    ]
    row = {"uid": sample_uid("tile"), "subject": "s", "kind": "tile", "modality": "MSI", "axes": "CYX"}
    row |= {"units": "reflectance", "channels": channels, "gsd_m": 10.0, "crs": "EPSG:32635"}
    row |= {"attributes": json.dumps({"nodata": 0}), "bounds": [0.0, 0.0, 400.0, 400.0]}
    writer.add(Sample(row, values))
    writer.publish()
    return root
