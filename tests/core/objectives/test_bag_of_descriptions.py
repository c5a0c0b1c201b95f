"""A bag of descriptions: one that fits is enough; its gradient is in the exactness table."""

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.bag_of_descriptions import BagOfDescriptions
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.types import Encoded, Features

B, D = 6, 16


def vectors(count, seed=0):
    return F.normalize(torch.randn(count, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def loss(objective, batch, image, text):
    none = Encoded(image)
    scale = torch.tensor(20.0, dtype=torch.float64)
    return float(objective(Features(image, text, scale, None, none, none, batch)))


def test_one_text_that_fits_is_enough(made_batch):
    """Two texts that fit nothing are added to each item; the contrast of single texts cannot get over them."""
    batch, image = made_batch(B, torch.arange(B).repeat_interleave(3)), vectors(B)
    text = vectors(3 * B, 1)
    text[::3] = image
    alone = loss(BagOfDescriptions(), made_batch(B), image, image)
    assert loss(BagOfDescriptions(), batch, image, text) < alone + 0.1
    assert loss(Contrastive(), batch, image, text) > 5


def test_a_bag_of_equal_texts_is_that_text(made_batch):
    image, text = vectors(B), vectors(B, 1)
    batch = made_batch(B, torch.arange(B).repeat_interleave(2))
    pooled = loss(BagOfDescriptions(pool="mean"), batch, image, text.repeat_interleave(2, 0))
    assert pooled == pytest.approx(loss(Contrastive(), made_batch(B), image, text), abs=1e-12)


@pytest.mark.parametrize("pool", ["none", "mean"])
def test_an_item_without_a_text_is_only_a_negative(made_batch, pool):
    batch, image, text = made_batch(B, torch.arange(B - 1)), vectors(B), vectors(B - 1, 1)
    assert 0 < loss(BagOfDescriptions(pool=pool), batch, image, text) < 20
    nothing = made_batch(B, torch.zeros(0, dtype=torch.int64))
    assert loss(BagOfDescriptions(pool=pool), nothing, image, text[:0]) == 0


def test_what_it_cannot_do_is_refused_by_name():
    with pytest.raises(ConfigError, match="no pool 'max'"):
        BagOfDescriptions(pool="max")
    with pytest.raises(ConfigError, match="'text' says nothing"):
        BagOfDescriptions(pool="mean", positives=["text"])
