"""Pairs of transformers give transformers' own numbers, by their own preprocessing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.huggingface_pair import preset_of
from voxtile.inference.load import load_model

transformers = pytest.importorskip("transformers")

WORDS = ("a", "scan", "of", "nodule", "effusion", "no")


class Stored:
    """A sample that is a PNG."""

    def __init__(self, path):
        self._bytes = path.read_bytes()
        width, height = Image.open(path).size
        self.meta = {"kind": "image", "modality": "DX", "codec": "png", "axes": "YXC", "shape": [height, width, 3]}

    def encoded(self):
        return self._bytes


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: place for place, word in enumerate(("[PAD]", "[UNK]", "[EOS]", *WORDS))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", model_max_length=12
    )


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request, tmp_path_factory):
    """A tiny model with random weights, saved as transformers saves it."""
    target = tmp_path_factory.mktemp(request.param)
    text = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "max_position_embeddings": 12, "eos_token_id": 2, "pad_token_id": 0}
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    if request.param == "clip":
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
        model = transformers.CLIPModel(config)
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        model = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(target, safe_serialization=True)
    processor.save_pretrained(target)
    tokenizer().save_pretrained(target)
    return target


def test_a_folder_gives_what_transformers_gives(folder, tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize((48, 40), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "x.png")
    found = load_model(str(folder))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = processor(images=smooth, return_tensors="pt")["pixel_values"]
    own = found.preset(Stored(tmp_path / "x.png"), None)
    assert (own - pixels[0]).abs().max() < 0.05, "the preset is the processor to a few grey levels"
    texts = ["a scan of nodule", "no effusion"]
    clip = model.config.model_type == "clip"
    tokens = tokenizer()(texts, padding=True if clip else "max_length", max_length=12, return_tensors="pt")
    with torch.no_grad():
        expected = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=pixels)
    torch.testing.assert_close(found.encode_images(pixels), expected.image_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.encode_texts(texts), expected.text_embeds, rtol=1e-4, atol=1e-5)
    assert found.logit_scale == pytest.approx(float(model.logit_scale.detach().exp()))
    assert found.name == folder.name
    with pytest.raises(ConfigError, match="no fact head"):
        found.fact_logits(pixels)


def test_a_folder_that_wants_to_run_its_own_code_is_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(CheckpointError, match="needs code of its own"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match="holds no model"):
        load_model(str(tmp_path))


def test_a_tower_without_texts_is_named(tmp_path):
    config = transformers.ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path, safe_serialization=True)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="does not encode images and texts to one space"):
        load_model(str(tmp_path))


def test_sizes_that_cannot_be_followed_are_named():
    known = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}
    known |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    with pytest.raises(CheckpointError, match="resizes pictures"):
        preset_of(known)
    with pytest.raises(CheckpointError, match="filter 0"):
        preset_of(known | {"size": {"shortest_edge": 32}, "resample": 0})
