"""Towers and the dual encoder from the outside: shapes, independence of items, formats, projections."""

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.study import StudyPool
from voxtile.models.text import TextBag, TextTransformer
from voxtile.models.tower import ImageTower, TextTower, expected_size, masked_max, masked_mean
from voxtile.types import Encoded

TEXTS = ["No pleural effusion.", "Nodule in the left upper lobe.", "A nodule of 8 mm.", "No effusion, no nodule."] * 3


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("norm", ["group", "none"])
@pytest.mark.parametrize(
    ("tower", "images", "grid"),
    [
        (
            ConvTower(dimensions=2, channels=2, widths=(8, 16), blocks=(1, 0), width=12),
            torch.randn(3, 2, 20, 28),
            (5, 7),
        ),
        (
            ConvTower(dimensions=3, widths=(8, 16, 16), blocks=(0, 1, 1), width=12),
            torch.randn(3, 1, 16, 24, 32),
            (2, 3, 4),
        ),
        (
            ConvTower(dimensions=2, stem=1, widths=(8,), blocks=(1,), width=12, cells=(2, 2)),
            torch.randn(3, 1, 9, 9),
            (9, 9),
        ),
        (
            ConvTower(dimensions=3, stem=(1, 2, 2), widths=(8,), blocks=(1,), width=12, levels=1),
            torch.randn(3, 1, 6, 8, 8),
            (6, 4, 4),
        ),
    ],
)
def test_conv_towers_give_one_vector_and_a_grid_of_tokens(tower, images, grid, norm):
    encoded = tower(images, tokens=True)
    assert encoded.pooled.shape == (3, 12)
    assert encoded.grid == grid
    assert encoded.tokens.shape == (3, torch.Size(grid).numel(), 12)
    assert tower(images).tokens is None


def test_a_batch_does_not_change_an_image():
    tower = ConvTower(dimensions=3, widths=(8, 16), blocks=(1, 1), width=12).eval()
    images = torch.randn(4, 1, 8, 8, 8)
    together = tower(images).pooled
    assert torch.allclose(together[2:3], tower(images[2:3]).pooled, atol=1e-5)


def test_coordinates_let_a_tower_tell_sides_apart():
    """Without them, circularly padded or not, pooled features of a far-from-border blob hardly depend on its side."""
    left = torch.zeros(1, 1, 32, 32)
    left[..., 14:18, 8:12] = 1
    right = left.flip(-1)

    def distance(tower):
        a, b = tower(left).pooled, tower(right).pooled
        return ((a - b).norm() / a.norm()).item()

    kinds = {}
    for coordinates in (False, True):
        torch.manual_seed(1)
        tower = ConvTower(
            dimensions=2, stem=1, widths=(8,), blocks=(0,), width=16, coordinates=coordinates, norm="none"
        )
        with torch.no_grad():  # kernels that are symmetric in x cannot use the blob's own shape
            tower.stem.weight.copy_((tower.stem.weight + tower.stem.weight.flip(-1)) / 2)
        kinds[coordinates] = distance(tower)
    assert kinds[False] < 1e-5
    assert kinds[True] > 1e-3


def test_residual_branches_start_at_zero():
    from voxtile.models.image.conv import ResidualBlock

    x = torch.randn(2, 16, 5, 5)
    assert torch.equal(ResidualBlock(2, 16, "group", 0.0)(x), x)


def test_bfloat16_and_channels_last_run():
    tower = ConvTower(dimensions=3, widths=(8, 16), blocks=(1, 1), width=12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tower(torch.randn(2, 1, 8, 8, 8)).pooled.sum().backward()
    assert all(p.grad is not None for name, p in tower.named_parameters() if "token_head" not in name)
    assert tower.stem(torch.randn(2, 4, 8, 8, 8).contiguous(memory_format=torch.channels_last_3d)).is_contiguous(
        memory_format=torch.channels_last_3d
    )


@pytest.mark.parametrize(
    "arguments",
    [{"widths": (8, 16), "blocks": (1,)}, {"stem": (2, 2, 2)}, {"cells": (2,)}, {"widths": (), "blocks": ()}],
)
def test_conv_towers_refuse_what_does_not_fit(arguments):
    with pytest.raises(ConfigError):
        ConvTower(dimensions=2, **arguments)


@pytest.mark.parametrize("make", [TextTransformer, TextBag])
def test_text_towers_ignore_padding(make):
    tower = make(vocabulary=400, context=32, width=16).eval()
    tower.tokenizer.train(TEXTS)
    tokens, _ = tower.tokenizer.encode(TEXTS[:2])
    encoded = tower(tokens)
    assert encoded.pooled.shape == (2, 16)
    wider = torch.cat([tokens, torch.zeros(2, 3, dtype=torch.int64)], 1)
    assert torch.allclose(encoded.pooled, tower(wider).pooled, atol=1e-5)
    assert torch.equal(encoded.mask, tokens != 0)


def test_text_towers_read_word_order():
    for make in (TextTransformer, TextBag):
        tower = make(vocabulary=400, context=32, width=16).eval()
        tower.tokenizer.train(TEXTS)
        a, b = tower(tower.tokenizer.encode(["left no nodule", "nodule left no"])[0]).pooled
        assert (a - b).norm() > 1e-3, make


def test_masked_pooling_against_a_loop():
    values, mask = torch.randn(4, 6, 3), torch.rand(4, 6) > 0.4
    mask[3] = False
    for row in range(4):
        kept = values[row][mask[row]]
        mean = kept.mean(0) if len(kept) else torch.zeros(3)
        peak = kept.amax(0) if len(kept) else torch.zeros(3)
        assert torch.allclose(masked_mean(values, mask)[row], mean, atol=1e-6)
        assert torch.equal(masked_max(values, mask)[row], peak)


class Flat(ImageTower):
    """Passes pixels through, so that the encoder's own arithmetic can be checked."""

    width, channels, dimensions = 4, 1, 2

    def forward(self, images, tokens=False):
        flat = images.flatten(1)
        return Encoded(flat, flat[:, None] if tokens else None, (1, 1) if tokens else None)


class Same(TextTower):
    width = 4

    def forward(self, tokens):
        return Encoded(tokens.float())


def encoder(**arguments):
    return DualEncoder(image=Flat(), text=Same(), embed_dim=4, project=False, **arguments)


def test_items_are_normalised_means_of_their_normalised_samples():
    images, owner = torch.randn(5, 1, 2, 2), torch.tensor([1, 0, 1, 2, 1])
    embeddings, encoded = encoder().encode_items(images, owner, 3)
    flat = nn.functional.normalize(images.flatten(1), dim=1)
    for item in range(3):
        mean = flat[owner == item].mean(0)
        assert torch.allclose(embeddings[item], mean / mean.norm(), atol=1e-6)
        assert torch.allclose(encoded.pooled[item], images.flatten(1)[owner == item].mean(0), atol=1e-6)


def test_one_sample_an_item_in_any_order():
    vectors = torch.randn(3, 2)
    assert torch.equal(StudyPool()(vectors, torch.tensor([2, 0, 1]), 3), vectors[[1, 2, 0]])


def test_tokens_of_studies_with_several_samples_are_refused():
    with pytest.raises(ConfigError, match="unit: sample"):
        encoder().encode_items(torch.randn(3, 1, 2, 2), torch.tensor([0, 0, 1]), 2, tokens=True)


def test_scale_starts_where_asked_and_stays_within_limits():
    model = encoder(logit_scale=20.0, logit_scale_limits=(2.0, 50.0), logit_bias=-10)
    assert model.logit_scale.item() == pytest.approx(20)
    assert model.logit_bias.item() == -10
    for value, kept in ((9.0, 50.0), (-9.0, 2.0)):
        with torch.no_grad():
            model.log_scale.fill_(value)
        model.clamp_scale()
        assert model.logit_scale.item() == pytest.approx(kept, rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, 200.0])
def test_scale_outside_its_limits_is_refused(scale):
    with pytest.raises(ConfigError, match="logit_scale"):
        encoder(logit_scale=scale)


def test_a_pair_without_projection_must_fit():
    with pytest.raises(ConfigError, match="project: false"):
        DualEncoder(image=Flat(), text=Same(), embed_dim=8, project=False)


def test_unknown_hub_is_refused():
    with pytest.raises(ConfigError, match="open_clip"):
        DualEncoder(image="hub:resnet18", text=Same())


def test_images_of_another_size_than_the_model_s_are_named():
    images = torch.zeros(1, 3, 28, 28)
    for size in ((32, 24), 32):
        with (
            pytest.raises(
                ConfigError, match=r"'net' takes images of 32 x \d\d pixels, not 28 x 28; set the size of data"
            ),
            expected_size("net", size, images),
        ):
            assert images.shape[2:] == (32, 24), "some words of a library"


def test_other_failures_of_a_model_stay_what_they_are():
    for size in ((32, 24), None):
        with pytest.raises(ValueError, match="mine"), expected_size("net", size, torch.zeros(1, 3, 32, 24)):
            raise ValueError("mine")


def test_a_text_transformer_needs_a_width_of_whole_heads():
    with pytest.raises(ConfigError, match="a multiple of heads"):
        TextTransformer(width=16, heads=3)
    with pytest.raises(ConfigError, match="at least 1"):
        TextTransformer(width=16, heads=2, depth=0)
