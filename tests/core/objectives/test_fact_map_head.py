"""Heads that learn from facts of whole images where each shows; their equation is held against a dense reference in
tests/core/training/exactness_local.py.
"""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from voxtile.assist.item_tokens.found_regions import FoundRegions, FoundRegionTokens
from voxtile.errors import ConfigError
from voxtile.models.image.wavelet import WaveletTower
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.fact_map_head import FactMapHead
from voxtile.training.step.locked_images import check_cache
from voxtile.types import Encoded

WIDTHS = {"widths": [4, 5], "blocks": [1, 1]}
NAMES = ("effusion", "nodule")


def head(tower=None, names=NAMES, **settings):
    built = FactMapHead(facts=["nodule", "effusion"], **settings)
    built.setup_towers(tower or WaveletTower(dimensions=2, **WIDTHS), None)
    built.setup(image_width=256, text_width=4, embed_dim=4, fact_names=names)
    return built


def features(facts, levels):
    facts = torch.tensor(facts, dtype=torch.int8)
    batch = type("B", (), {"facts": facts, "__len__": lambda self: len(facts)})()
    return SimpleNamespace(batch=batch, image_encoded=Encoded(torch.zeros(len(facts), 3), levels=levels))


def squares(count, seed):
    """[S, 1, 16, 16] noise, half of the images with a bright square, in one of four quarters: which, or −1."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.1 * torch.randn(count, 1, 16, 16, generator=generator)
    quarters = torch.randint(-4, 4, (count,), generator=generator).clamp(min=-1)
    for image, quarter in zip(images, quarters.tolist(), strict=True):
        if quarter >= 0:
            y, x = (quarter // 2) * 8 + 2, (quarter % 2) * 8 + 2
            image[0, y : y + 4, x : x + 4] += 1
    return images, quarters


def test_where_a_thing_lies_is_learned_from_whether_it_is_there():
    torch.manual_seed(0)
    tower = WaveletTower(dimensions=2, **WIDTHS)
    built = head(tower, ("nodule",))
    images, quarters = squares(96, seed=1)
    facts = [[int(quarter >= 0)] for quarter in quarters]
    optimizer = torch.optim.Adam([*tower.parameters(), *built.parameters()], 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        total, known = built.rows(features(facts, tower(images, tokens=True).levels)).sum(0)
        (total / known).backward()
        optimizer.step()
    images, quarters = squares(64, seed=2)
    tower.eval()
    found = built.heads["1"](tower(images, tokens=True).levels[1].movedim(1, -1))[..., 0]
    there = quarters >= 0
    highest = F.adaptive_max_pool2d(found[:, None], 2).flatten(1).argmax(1)
    assert (highest == quarters)[there].float().mean() > 0.95  # chance: 0.25


def test_a_fact_that_is_not_known_and_one_that_the_corpus_lacks_teach_nothing():
    levels = tuple(torch.ones(2, width, size, size) for width, size in ((4, 8), (4, 4), (5, 2)))
    built = head(names=("nodule",))
    built.rows(features([[1], [-1]], levels)).sum().backward()
    assert built.rows(features([[1], [-1]], levels))[:, 1].tolist() == [1, 0]
    gradient = built.heads["1"].weight.grad
    assert gradient[0].any()
    assert not gradient[1].any()  # of the effusion nothing is known


def test_unknown_names_levels_and_sizes_are_said():
    levels = tuple(torch.zeros(1, width, size, size) for width, size in ((4, 8), (4, 4), (5, 2)))
    with pytest.raises(ConfigError, match="facts that differ"):
        FactMapHead(facts=["nodule", "nodule"])
    with pytest.raises(ConfigError, match="sharpness 0 is not above 0"):
        FactMapHead(facts=["nodule"], sharpness=0)
    with pytest.raises(ConfigError, match=r"reads levels \[7\], but the image tower has 3 feature maps"):
        head(levels=[7])
    with pytest.raises(ConfigError, match="the corpus view has none; run 'voxtile facts'"):
        head(names=())
    with pytest.raises(ConfigError, match="was not set up"):
        FactMapHead(facts=["nodule"]).rows(features([[1, 1]], levels))


def test_once_the_tower_is_locked_nothing_is_learned_and_its_vectors_may_be_kept():
    built = head()
    rows = built.rows(features([[1, 0]], None))
    assert rows.tolist() == [[0, 0]]
    rows.sum().backward()
    assert all(not parameter.grad.any() for parameter in built.parameters())
    check_cache({"maps": built, "facts": FactHead()}, 1, False)


def test_an_assistant_reads_its_maps():
    built = head()
    reader = FoundRegionTokens(FoundRegions(phrases=2), (12, 4, 5), 2, 8, 16)
    reader.begin_with({f"maps.{name}": part for name, part in built.state_dict().items()})
    assert torch.equal(reader.heads["2"].weight, built.heads["2"].weight)
