"""Inflated filters answer to grey pictures as the RGB filters did."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models.hub.adapters import adapt_input, inflate_channels

NAMES = ("coastal", "blue", "green", "red", "nir", "swir16", "swir22", "rededge071")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.booleans())
def test_sums_are_preserved(channels, seed, named):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 3, 3, 3, generator=generator, dtype=torch.float64)
    names = [NAMES[(seed + i) % len(NAMES)] for i in range(channels)] if named else []
    inflated = inflate_channels(weight, channels, names=names)
    assert inflated.shape == (6, channels, 3, 3)
    torch.testing.assert_close(inflated.sum(1), weight.sum(1), rtol=1e-12, atol=1e-12)


def test_grey_pictures_give_the_same_answer():
    conv = nn.Conv2d(3, 8, 5, stride=2, padding=2).double()
    picture = torch.rand(2, 1, 20, 20, dtype=torch.float64)
    expected = conv(picture.expand(-1, 3, -1, -1))
    model = adapt_input(nn.Sequential(conv, nn.ReLU()), 12)
    torch.testing.assert_close(model[0](picture.expand(-1, 12, -1, -1)), expected, rtol=1e-12, atol=1e-12)


def test_colours_keep_their_own_filters_by_name():
    weight = torch.randn(4, 3, 3, 3)
    torch.testing.assert_close(inflate_channels(weight, 3, names=["red", "green", "blue"]), weight)
    torch.testing.assert_close(inflate_channels(weight, 3, names=["Blue", "green", "red"]), weight[:, [2, 1, 0]])
    four = inflate_channels(weight, 4, names=["blue", "green", "red", "nir"])
    torch.testing.assert_close(four[:, :3], weight[:, [2, 1, 0]] * 0.75)
    torch.testing.assert_close(four[:, 3], weight.mean(1) * 0.75)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
def test_models_of_timm_take_more_channels(name):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0).eval()
    grey = torch.randn(1, 1, 224, 224)
    expected = model(grey.expand(-1, 3, -1, -1))
    adapted = adapt_input(model, 7)
    torch.testing.assert_close(adapted(grey.expand(-1, 7, -1, -1)), expected, rtol=1e-3, atol=1e-3)


def test_open_clip_towers_take_more_channels():
    from voxtile.models.hub.openclip import OpenClipImage

    tower = OpenClipImage(name="RN50", channels=5)
    assert tower.channels == 5
    assert tower(torch.randn(1, 5, 224, 224)).pooled.shape == (1, 1024)


def test_the_same_number_of_channels_changes_nothing():
    conv = nn.Conv2d(3, 8, 3)
    model = nn.Sequential(conv)
    assert adapt_input(model, 3)[0] is conv


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="2 band names"):
        inflate_channels(torch.randn(4, 3, 3, 3), 4, names=["red", "nir"])
    with pytest.raises(ConfigError, match="Linear has no plain first convolution"):
        adapt_input(nn.Linear(3, 4), 5)
    with pytest.raises(ConfigError, match="no plain first convolution"):
        adapt_input(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)), 5)
