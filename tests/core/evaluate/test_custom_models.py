"""Models of one's own class: in the same table, and a sentence where the class does not serve."""

import json

import pytest
import torch
from tests.core.evaluate.test_models_from_anywhere import arguments
from tests.core.evaluate.test_single_label import pictures  # noqa: F401 - a fixture
from tests.core.models.tiny_clip import tiny_clip

from voxtile.cli.main import main
from voxtile.errors import ConfigError
from voxtile.inference.load import load_model

OWN = """
import torch
from voxtile.data.presets.image import ImagePreset

class Mean:
    "Images by the mean of each third of channels, texts by their first letter."
    logit_scale = 10.0
    def __init__(self, argument="8"):
        self.preset = ImagePreset(size=(int(argument), int(argument)))
    def encode_images(self, images):
        return torch.nn.functional.normalize(images.mean((2, 3)), dim=1)
    def encode_texts(self, texts):
        made = torch.tensor([[float(ord(c)) for c in (text + "   ")[:3]] for text in texts])
        return torch.nn.functional.normalize(made - made.mean(), dim=1)

class Deaf:
    preset = None
    def encode_images(self, images):
        return images

class Broken:
    def __init__(self):
        raise RuntimeError("no weights at hand")
    def encode_images(self, images):
        return images
    def encode_texts(self, texts):
        return texts

class Wide(Mean):
    def encode_texts(self, texts):
        return torch.ones(len(texts), 5)

class Few(Mean):
    def encode_images(self, images):
        return super().encode_images(images)[1:]

class Fails(Mean):
    def encode_texts(self, texts):
        return self.tokens(texts)

number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_class_of_ones_own_stands_in_the_table(own, pictures, tmp_path):  # noqa: F811
    assert main(arguments(pictures, tmp_path, "class:own_models.Mean:8")) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert {row["model"] for row in rows if row["kind"] == "model"} == {"class:own_models.Mean:8"}


def test_a_class_of_transformers_gives_what_its_folder_gives(tmp_path):
    tiny_clip(tmp_path / "clip")
    named = load_model(f"class:transformers.CLIPModel:{tmp_path / 'clip'}")
    found = load_model(str(tmp_path / "clip"))
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(named.encode_images(images), found.encode_images(images))
    assert named.preset.to_config() == found.preset.to_config()
    assert named.name == f"class:transformers.CLIPModel:{tmp_path / 'clip'}"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("class:own_models.Deaf", "was not called, since it lacks encode_texts; give it"),
        ("class:own_models.Broken", "no weights at hand"),
        ("class:own_models.Wide", r"two images vectors of shape \[2, 3\] and two texts those of shape \[2, 5\]; give"),
        ("class:own_models.Few", r"of shape \[1, 3\] and"),
        ("class:own_models.Fails", "cannot encode two black images and two texts .*no attribute 'tokens'"),
        ("class:own_models.number", "is no class"),
        ("class:own_models.Nothing", "cannot be imported"),
        ("class:not_here.Nothing", "install its package"),
        ("class:Nothing", "is no class"),
        ("class:transformers.CLIPModel", "needs the model's folder"),
    ],
)
def test_a_class_that_does_not_serve_is_refused(own, spec, says):
    with pytest.raises(ConfigError, match=says):
        load_model(spec)
