"""Region-phrase contrast against its equation, written out region by region."""

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.grounding_decoder import GroundingDecoder
from voxtile.models.image.wavelet import WaveletTower
from voxtile.objectives.local.grounding import Grounding
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.types import Encoded, Regions


def made(phrases, item, masks, weight=None, width=6):
    g = torch.Generator().manual_seed(0)
    names = sorted(set(phrases))
    vectors = torch.nn.functional.normalize(torch.randn(len(names), width, generator=g, dtype=torch.float64), dim=1)
    embedded = torch.stack([vectors[names.index(p)] for p in phrases]) if phrases else vectors
    weight = torch.ones(len(phrases), dtype=torch.float64) if weight is None else weight
    return Regions(phrases, item, masks, torch.zeros(len(phrases), dtype=torch.bool), weight, embedded=embedded)


def features(regions, levels):
    batch = type("B", (), {"regions": regions})()
    encoded = Encoded(torch.zeros(2, 4), levels=levels)
    image = torch.zeros(2, 6, dtype=torch.float64)
    scale = torch.tensor(7.0, dtype=torch.float64)
    made = {"batch": batch, "image_encoded": encoded, "image": image, "logit_scale": scale, "share": None}
    return type("F", (), made)()


def loss(built, given):
    given.rows = {built: built.rows(given)}
    return built(given)


def objective(width=5):
    tower = WaveletTower(dimensions=2, channels=1, widths=[width], blocks=[1])
    built = RegionContrast(level=1)
    built.setup_towers(tower, None)
    torch.manual_seed(1)
    built.setup(image_width=1, text_width=1, embed_dim=6, fact_names=())
    return built.double()


def test_it_equals_its_equation():
    g = torch.Generator().manual_seed(2)
    levels = (torch.zeros(2, 4, 8, 8), torch.randn(2, 5, 4, 4, generator=g, dtype=torch.float64))
    masks = torch.zeros(4, 16, 16, dtype=torch.float64)
    masks[0, 2:9, 3:7], masks[1, 0:4, 0:4], masks[2, 8:16, 8:16] = 1, 1, 1  # the last phrase has no target
    regions = made(["a", "b", "a", "c"], torch.tensor([0, 1, 1, 0]), masks, torch.tensor([1.0, 0.5, 1.0, 1.0]).double())
    built = objective()
    total = above = 0.0
    for r in range(3):
        cells = masks[r].view(4, 4, 4, 4).mean((1, 3))  # each cell of the level covers 4 × 4 pixels
        vector = (levels[1][regions.item[r]] * cells).sum((1, 2)) / cells.sum()
        vector = built.project(vector)
        vector = vector / vector.norm()
        candidates = {p: regions.embedded[n] for n, p in reversed(list(enumerate(regions.phrases)))}
        exp = {p: torch.exp(7.0 * vector @ t) for p, t in candidates.items()}
        above = above - regions.weight[r] * torch.log(exp[regions.phrases[r]] / sum(exp.values()))
        total = total + regions.weight[r]
    torch.testing.assert_close(loss(built, features(regions, levels)), above / total, rtol=1e-10, atol=1e-12)


def test_a_process_without_regions_takes_part_with_a_gradient_of_nought():
    levels = tuple(torch.randn(2, width, size, size, requires_grad=True) for width, size in ((4, 8), (5, 4)))
    none = made([], torch.zeros(0, dtype=torch.int64), torch.zeros(0, 16, 16))
    none.encoded = Encoded(torch.zeros(0, 3, requires_grad=True))
    grounding = Grounding(width=8, fine_width=4, heads=2)
    grounding.decoder = GroundingDecoder(dimensions=2, level_widths=(4, 5), text_width=3, **grounding.sizes)
    for built in (objective().float(), grounding):
        given = features(none, levels)
        rows = built.rows(given)
        assert rows.shape in ((0, 14), (2, 2))
        (rows.sum() + loss(built, given)).backward()
        assert all(parameter.grad is not None and not parameter.grad.any() for parameter in built.parameters())
        assert not levels[1].grad.any()


def test_nothing_to_compare_costs_nothing_and_wrong_settings_are_named():
    built = objective()
    empty = made(["a"], torch.tensor([0]), torch.zeros(1, 16, 16))
    assert loss(built, features(empty, (torch.zeros(2, 4, 8, 8), torch.zeros(2, 5, 4, 4).double()))) == 0
    with pytest.raises(ConfigError, match=r"needs regions; set data\.regions"):
        loss(built, features(None, ()))
    with pytest.raises(ConfigError, match="reads level 9"):
        RegionContrast(level=9).setup_towers(WaveletTower(dimensions=2, widths=[4], blocks=[1]), None)
