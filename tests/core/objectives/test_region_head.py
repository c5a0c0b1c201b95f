"""Heads that tell where regions are: bad names and towers are said, and a tower that is locked learns no more of them.

Their equation is held against a dense reference in tests/core/training/exactness_local.py.
"""

from types import SimpleNamespace

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.image.wavelet import WaveletTower
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.objectives.local.region_head import RegionHead
from voxtile.training.step.locked_images import check_cache
from voxtile.types import Encoded, Regions


def head(**settings):
    built = RegionHead(phrases=["pleural effusion", "heart"], **settings)
    built.setup_towers(WaveletTower(dimensions=2, widths=[4, 5], blocks=[1, 1]), None)
    return built


def features(phrases, levels, count=2):
    masks = torch.zeros(len(phrases), 16, 16)
    masks[:, :8] = 1
    own = torch.zeros(len(phrases), dtype=torch.int64)
    regions = Regions(phrases, own, masks, own > 0, torch.ones(len(phrases)))
    batch = type("B", (), {"regions": regions, "__len__": lambda self: count})()
    return SimpleNamespace(batch=batch, image_encoded=Encoded(torch.zeros(count, 3), levels=levels))


def test_every_level_but_the_finest_is_asked_where_none_is_named():
    assert list(head().heads) == ["1", "2"]
    levels = tuple(torch.zeros(2, width, size, size) for width, size in ((4, 8), (4, 4), (5, 2)))
    built = head()
    for parameter in built.parameters():
        torch.nn.init.zeros_(parameter)
    rows = built.rows(features(["Heart", "pleural effusions"], levels))  # in whatever spelling
    torch.testing.assert_close(rows[0], torch.tensor([4 * torch.log(torch.tensor(2.0)).item(), 2.0]))
    assert rows[1].tolist() == [0, 0]


def test_unknown_names_and_levels_are_said():
    levels = tuple(torch.zeros(2, width, size, size) for width, size in ((4, 8), (4, 4), (5, 2)))
    with pytest.raises(ConfigError, match="no channel for 'a heart of glass'"):
        head().rows(features(["a heart of glass"], levels))
    with pytest.raises(ConfigError, match="phrases that differ"):
        RegionHead(phrases=["heart", "Heart"])
    with pytest.raises(ConfigError, match=r"reads levels \[7\], but the image tower has 3 feature maps"):
        head(levels=[7])
    with pytest.raises(ConfigError, match="was not set up"):
        RegionHead(phrases=["heart"]).rows(features(["heart"], levels))


def test_once_the_tower_is_locked_nothing_is_learned_and_its_vectors_may_be_kept():
    built = head()
    rows = built.rows(features(["heart"], None))
    assert rows.tolist() == [[0, 0], [0, 0]]
    rows.sum().backward()
    assert all(not parameter.grad.any() for parameter in built.parameters())
    check_cache({"regions": built, "facts": FactHead()}, 1, False)
    with pytest.raises(ConfigError, match="RegionContrast needs regions, tokens"):
        check_cache({"regions": RegionContrast()}, 1, False)
