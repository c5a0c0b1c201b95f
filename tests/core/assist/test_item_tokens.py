"""Connectors for items of any size: hierarchies of studies and slides, and the scale-invariant one."""

import pytest
import torch

from voxtile.assist.connector import Connector, ImageTokens
from voxtile.errors import ConfigError
from voxtile.models import DualEncoder, GatedAttention, TextBag, ViTTower
from voxtile.types import Encoded, Members

WIDTH, LANGUAGE = 8, 12


def connector(**settings):
    torch.manual_seed(0)
    chosen = Connector(hidden=16, heads=2, pooled=1, **settings)
    return ImageTokens(chosen, WIDTH, LANGUAGE, 1.0).double()


def images(counts, tokens=5):
    """Items of so many images, in a mixed order."""
    item = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    item = item[torch.randperm(len(item), generator=torch.Generator().manual_seed(1))]
    generator = torch.Generator().manual_seed(2)
    pooled = torch.randn(len(item), WIDTH, generator=generator, dtype=torch.float64)
    local = torch.randn(len(item), tokens, WIDTH, generator=generator, dtype=torch.float64)
    whole = torch.randn(len(counts), WIDTH, generator=generator, dtype=torch.float64)
    return Encoded(whole, members=Members(Encoded(pooled, local), item))


def reordered(encoded, order):
    members = encoded.members
    return Encoded(encoded.pooled, members=Members(members.encoded.at(order), members.item[order]))


@pytest.fixture(scope="module")
def hierarchy():
    return connector(kind="hierarchy", queries=6, each=2)


def test_any_number_of_images_makes_as_many_tokens_and_their_order_means_nothing(hierarchy):
    encoded = images([1, 7, 3])
    made = hierarchy(encoded)
    assert made.shape == (3, 1 + 6, LANGUAGE)
    for seed in range(3):
        order = torch.randperm(11, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(hierarchy(reordered(encoded, order)), made, rtol=0, atol=1e-12)
    assert hierarchy(images([40])).shape == (1, 7, LANGUAGE)


def test_what_stands_beside_an_item_in_its_batch_does_not_change_it(hierarchy):
    encoded = images([1, 7, 3])
    made = hierarchy(encoded)
    for item in range(3):
        alone = encoded.at(torch.tensor([item]))
        assert set(alone.members.item.tolist()) == {0}
        torch.testing.assert_close(hierarchy(alone)[0], made[item], rtol=0, atol=1e-12)
    both = encoded.at(torch.tensor([2, 0]))
    torch.testing.assert_close(hierarchy(both), made[[2, 0]], rtol=0, atol=1e-12)


def test_each_image_and_each_of_its_tokens_counts(hierarchy):
    encoded = images([2, 3])
    made = hierarchy(encoded)
    changed = encoded.members.encoded.tokens.clone()
    changed[0, 4] += 1
    members = Members(Encoded(encoded.members.encoded.pooled, changed), encoded.members.item)
    other = hierarchy(Encoded(encoded.pooled, members=members))
    owner = int(encoded.members.item[0])
    assert not torch.allclose(other[owner, 1:], made[owner, 1:])
    torch.testing.assert_close(other[1 - owner], made[1 - owner], rtol=0, atol=1e-12)
    # One image an item needs no members: it is the same.
    single = images([1, 1])
    order = torch.argsort(single.members.item)
    plain = Encoded(single.pooled, single.members.encoded.tokens[order])
    whole = Encoded(single.pooled, members=Members(Encoded(single.pooled, plain.tokens), torch.arange(2)))
    torch.testing.assert_close(hierarchy(plain), hierarchy(whole), rtol=0, atol=1e-12)


def grown(tokens, grid, factor):
    """The same picture on a grid so many times as fine."""
    laid = tokens.unflatten(1, grid)
    return laid.repeat_interleave(factor, 1).repeat_interleave(factor, 2).flatten(1, 2)


def test_a_larger_image_that_says_the_same_makes_the_same_tokens():
    made_by = connector(kind="scale-invariant", grid=[2, 3])
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(2, 24, WIDTH, generator=generator, dtype=torch.float64)
    pooled = torch.randn(2, WIDTH, generator=generator, dtype=torch.float64)
    made = made_by(Encoded(pooled, tokens, (4, 6)))
    assert made.shape == (2, 1 + 6, LANGUAGE)
    for factor in (2, 3):
        larger = Encoded(pooled, grown(tokens, (4, 6), factor), (4 * factor, 6 * factor))
        torch.testing.assert_close(made_by(larger), made, rtol=0, atol=1e-12)
    sizes = [made_by(Encoded(pooled, torch.randn(2, y * x, WIDTH).double(), (y, x))).shape for y, x in ((2, 3), (7, 5))]
    assert sizes == [made.shape] * 2
    # More than the overview is seen: what has the same means has other tokens.
    cells = tokens.unflatten(1, (2, 2, 3, 2))
    means = cells.mean((2, 4), keepdim=True)
    other = (means + 2 * (cells - means)).flatten(1, 4)
    assert not torch.allclose(made_by(Encoded(pooled, other, (4, 6))), made)


def test_studies_reach_a_connector_that_reads_them_and_no_other():
    torch.manual_seed(0)
    image = ViTTower(dimensions=2, channels=1, size=16, patch=8, width=WIDTH, depth=1, heads=2)
    encoder = DualEncoder(image=image, text=TextBag(), embed_dim=4, study=GatedAttention(heads=2, hidden=4)).eval()
    pictures, item = torch.randn(5, 1, 16, 16), torch.tensor([0, 1, 1, 0, 1])
    embeddings, encoded = encoder.encode_samples(pictures, tokens=True)
    with pytest.raises(ConfigError, match="items have several samples"):
        encoder.pool_items(embeddings, encoded, item, 2)
    _, found = encoder.pool_items(embeddings, encoded, item, 2, members=True)
    _, plain = encoder.pool_items(*encoder.encode_samples(pictures), item, 2)
    torch.testing.assert_close(found.pooled, plain.pooled)
    made = connector(kind="hierarchy", queries=3).float()(found)
    assert made.shape == (2, 4, LANGUAGE)
    with pytest.raises(ConfigError, match="kind mlp reads one image an item, and items have several"):
        connector(kind="mlp").float()(found)
    with pytest.raises(ConfigError, match="kind scale-invariant looks from a grid"):
        Connector(kind="scale-invariant")
