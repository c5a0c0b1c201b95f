"""Frozen towers whose vectors are read: from the corpus's table to the tower, and back from a checkpoint."""

import types

import pytest
import torch

from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.stored import StoredVectors
from voxtile.errors import ConfigError, PresetError
from voxtile.models.stored_vectors import StoredImageTower


def sample(number):
    return types.SimpleNamespace(meta={"uid": f"{number:032x}"})


def test_the_vectors_of_the_table_reach_the_tower(embedded):
    corpus, vectors = embedded()
    preset = StoredVectors(corpus, 6)
    preset.check([])
    images = torch.stack([preset(sample(number), None) for number in (7, 0, 39)])
    tower = StoredImageTower(length=6)
    assert (preset.channels, preset.grid) == (tower.channels, (1, 1))
    assert images.dtype == torch.float32
    wanted = torch.from_numpy(vectors["teacher"][[7, 0, 39]]).float()
    assert torch.equal(tower(images).pooled, wanted)
    assert not list(tower.parameters())
    again = preset_from_config(preset.to_config())
    assert torch.equal(again(sample(7), None), images[0])


@pytest.mark.parametrize(
    ("arguments", "models", "said"),
    [
        ({"length": 5}, ("teacher",), "are 6 long, but the preset's length is 5"),
        ({"length": 6}, ("a", "b"), "several models"),
        ({"length": 6, "model": "c"}, ("a",), "no 'c'"),
    ],
)
def test_vectors_that_are_not_there_are_named(embedded, arguments, models, said):
    corpus, _ = embedded(models=models)
    with pytest.raises(PresetError, match=said):
        StoredVectors(corpus, **arguments).check([])


def test_samples_and_features_that_are_not_there_are_named(embedded):
    corpus, _ = embedded()
    with pytest.raises(ConfigError, match=r"no embedding of sample 0*63 by"):
        StoredVectors(corpus, 6)(sample(99), None)
    with pytest.raises(ConfigError, match="no local features"):
        StoredImageTower(length=6)(torch.zeros(1, 6, 1, 1), tokens=True)
    with pytest.raises(ConfigError, match="length of at least 1"):
        StoredImageTower(length=0)
