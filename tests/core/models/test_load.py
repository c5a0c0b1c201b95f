"""Models by name: open_clip's give open_clip's own numbers; checkpoints are held to what is safe."""

import json

import numpy as np
import open_clip
import pytest
import torch
from harm import Harm
from PIL import Image

from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.load import load_model
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.openclip import hub_name
from voxtile.models.text import TextBag

NAME = "voxtile-tiny"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of a tiny model of open_clip, saved as open_clip would."""
    folder = tmp_path_factory.mktemp("openclip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / f"{NAME}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(NAME)
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


class Stored:
    """A sample that is a PNG."""

    def __init__(self, path):
        self._bytes = path.read_bytes()
        width, height = Image.open(path).size
        self.meta = {
            "kind": "image",
            "axes": "YXC",
            "shape": [height, width, 3],
            "dtype": "uint8",
            "units": None,
            "codec": "png",
        }

    def encoded(self):
        return self._bytes


def test_open_clip_models_give_open_clips_own_numbers(weights, tmp_path):
    model = load_model(f"open_clip:{NAME}/{weights}")
    peer, _, transform = open_clip.create_model_and_transforms(NAME, pretrained=str(weights))
    peer.eval()
    pixels = np.random.default_rng(0).integers(0, 255, (48, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    theirs = transform(Image.open(tmp_path / "a.png"))[None]
    ours = model.preset(Stored(tmp_path / "a.png"), None)[None]
    assert (ours - theirs).abs().max() < 0.03  # interpolation in another library: at most 2 of 255 levels
    texts = ["a chest X-ray", "pneumonia", "a very long " * 60]
    with torch.no_grad():
        image = peer.encode_image(theirs, normalize=True)
        text = peer.encode_text(open_clip.get_tokenizer(NAME)(texts), normalize=True)
    assert torch.allclose(model.encode_images(theirs), image, atol=1e-5)
    assert torch.allclose(model.encode_texts(texts), text, atol=1e-5)
    assert model.name == f"open_clip:{NAME}/{weights}"
    assert model.fact_names == ()
    with pytest.raises(ConfigError, match="no fact head"):
        model.fact_logits(theirs)


def test_names_split_at_the_first_slash_but_for_schemas():
    assert hub_name("ViT-B-32") == ("ViT-B-32", None)
    assert hub_name("ViT-B-32/openai") == ("ViT-B-32", "openai")
    assert hub_name("ViT-B-32//models/a.pt") == ("ViT-B-32", "/models/a.pt")
    assert hub_name("hf-hub:org/repo") == ("hf-hub:org/repo", None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("open_clip:ViT-Q-99", "knows no model 'ViT-Q-99'"),
        (f"open_clip:{NAME}/nowhere.pt", "neither a file nor a pretrained tag"),
        ("elsewhere:org/model", "is no model"),
        ("nowhere.ckpt", "does not exist"),
    ],
)
def test_unknown_models_are_refused(weights, spec, message):
    with pytest.raises((ConfigError, CheckpointError), match=message):
        load_model(spec)


def test_weights_that_hold_code_are_refused(weights, tmp_path):
    import pickle

    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"state_dict": Harm(tmp_path / "harm")}))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_model(f"open_clip:{NAME}/{tmp_path / 'bad.pt'}")
    assert not (tmp_path / "harm").exists()


@pytest.fixture(params=["softmax", "sigmoid"])
def scaled(request, tmp_path):
    """A model whose weights hold a scale of 85.2, and a bias where it is of the sigmoid kind."""
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    if request.param == "sigmoid":
        config["init_logit_bias"] = -10.0
    name = f"voxtile-tiny-{request.param}"
    (tmp_path / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    model = open_clip.create_model(name)
    with torch.no_grad():
        model.logit_scale.fill_(np.log(85.2))
        if request.param == "sigmoid":
            model.logit_bias.fill_(-12.5)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    return name, tmp_path / "weights.pt", -12.5 if request.param == "sigmoid" else None


def test_open_clip_models_keep_their_logit_scale_and_bias(scaled):
    name, weights, bias = scaled
    loaded = load_model(f"open_clip:{name}/{weights}")
    peer = open_clip.create_model(name, pretrained=str(weights))
    assert loaded.logit_scale == pytest.approx(85.2, rel=1e-6)
    assert loaded.logit_scale == pytest.approx(peer.logit_scale.exp().item(), rel=1e-6)
    kept = loaded.encoder.logit_bias
    assert (None if kept is None else kept.item()) == bias


def test_a_pretrained_scale_above_the_limits_is_kept(scaled):
    """OpenAI's weights hold 100.00000762939453, and SigLIP's 117: no limit may refuse or change them."""
    name, weights, _ = scaled
    state = torch.load(weights, weights_only=True)
    state["logit_scale"] = torch.tensor(np.log(117.3), dtype=torch.float32)
    torch.save(state, weights)
    loaded = load_model(f"open_clip:{name}/{weights}")
    loaded.encoder.clamp_scale()
    assert loaded.logit_scale == pytest.approx(117.3, rel=1e-6)


def test_training_may_begin_with_the_pretrained_scale(scaled):
    name, weights, bias = scaled
    towers = {"image": f"open_clip:{name}/{weights}", "text": f"open_clip:{name}/{weights}", "embed_dim": 24}
    encoder = DualEncoder(**towers, project=False, logit_scale="pretrained")
    assert encoder.logit_scale.item() == pytest.approx(85.2, rel=1e-6)
    assert encoder.log_scale.requires_grad
    assert (None if encoder.logit_bias is None else encoder.logit_bias.item()) == bias
    assert DualEncoder(**towers, project=False).logit_scale.item() == pytest.approx(1 / 0.07)  # unless it is asked for
    with pytest.raises(ConfigError, match="projections are new"):
        DualEncoder(**towers, logit_scale="pretrained")
    with pytest.raises(ConfigError, match="TextBag has none; give a number"):
        DualEncoder(**{**towers, "text": TextBag(width=24)}, project=False, logit_scale="pretrained")
