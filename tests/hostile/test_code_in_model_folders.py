"""Folders of open_clip, transformers and timm that bring code: none of it runs."""

import json

import pytest
import torch
from harm import Harm

from voxtile.errors import VoxtileError
from voxtile.inference.load import load_model
from voxtile.models.hub.openclip import OpenClipText
from voxtile.models.hub.transformers import HuggingFaceImage, HuggingFaceText
from voxtile.stages.embed.extractor import load_extractor

OWN = """
open({song!r}, "w").close()
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizer


class Config(PretrainedConfig):
    model_type = "evil"


class Model(PreTrainedModel):
    config_class = Config


class Tokenizer(PreTrainedTokenizer):
    pass
"""
AUTO = {
    "AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoTokenizer": ["own.Tokenizer", None],
    "AutoImageProcessor": "own.Tokenizer", "AutoProcessor": "own.Tokenizer",
}  # fmt: skip
CLIP = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}
PREPROCESSING = {"size": [16, 16], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
                 "resize_mode": "shortest", "fill_color": 0}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with code of its own, and pickles under every name that a library looks for."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    model = tmp_path / "model"
    model.mkdir()
    (model / "own.py").write_text(OWN.format(song=str(tmp_path / "song")))
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        _write(model / name, auto_map=AUTO, tokenizer_class="Tokenizer")
    for name in ("open_clip_pytorch_model.bin", "pytorch_model.bin"):
        torch.save({"state_dict": Harm(tmp_path / "song"), "model": Harm(tmp_path / "song")}, model / name)
    return model


def _write(path, **content):
    path.write_text(json.dumps(content))


def _refused(load, folder):
    with pytest.raises(VoxtileError) as said:
        load(folder)
    assert not (folder.parent / "song").exists()
    return str(said.value)


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_model(str(folder)),
        lambda folder: load_extractor(str(folder)),
        lambda folder: load_model(f"open_clip:local-dir:{folder}"),
        lambda folder: OpenClipText(name=f"local-dir:{folder}", pretrained=None),
    ],
    ids=["model", "extractor", "by name", "text tower"],
)
def test_an_open_clip_folder_runs_no_tokenizer_of_its_own(load, folder):
    text = {**CLIP["text_cfg"], "hf_tokenizer_name": "x", "tokenizer_kwargs": {"trust_remote_code": True}}
    config = {"model_cfg": {**CLIP, "text_cfg": text}, "preprocess_cfg": PREPROCESSING}
    _write(folder / "open_clip_config.json", **config)
    assert "asks to run code of its own" in _refused(load, folder)


def test_an_open_clip_folder_loads_no_pickle(folder):
    _write(folder / "open_clip_config.json", model_cfg=CLIP, preprocess_cfg=PREPROCESSING)
    assert "could run code" in _refused(lambda path: load_model(str(path)), folder)


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_model(str(folder)),
        lambda folder: load_model(f"hf:{folder}"),
        lambda folder: load_extractor(str(folder)),
        lambda folder: HuggingFaceText(name=str(folder)),
        lambda folder: HuggingFaceImage(name=str(folder)),
    ],
    ids=["model", "by name", "extractor", "text tower", "image tower"],
)
@pytest.mark.parametrize("kind", ["evil", "clip", "bert"])
def test_a_folder_of_transformers_runs_no_code_and_loads_no_pickle(kind, load, folder):
    own = {"auto_map": AUTO} if kind == "evil" else {}
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    _write(folder / "config.json", model_type=kind, **own, **small, text_config=small, vision_config=small)
    _refused(load, folder)


def test_a_folder_of_timm_loads_no_pickle(folder):
    _write(folder / "config.json", architecture="resnet18", num_classes=2, pretrained_cfg={})
    assert "weights" in _refused(lambda path: load_extractor(str(path)), folder)
