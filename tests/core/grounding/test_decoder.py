"""The decoder answers every phrase by itself, in 2D and 3D, and its losses equal their definitions."""

import numpy as np
import pytest
import torch
import torchvision
from sklearn.metrics import f1_score
from torch.nn import functional

from voxtile.errors import ConfigError
from voxtile.models.grounding_decoder import GroundingDecoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.objectives.local.grounding import Grounding
from voxtile.objectives.local.mask_losses import dice_loss, focal_loss, projection_loss
from voxtile.types import Encoded, Regions


def tower(dimensions):
    return WaveletTower(dimensions=dimensions, channels=2, widths=[8, 16], blocks=[1, 1], width=12).eval()


def phrases(count, length=3, width=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(count, length, dtype=torch.bool)
    mask[:, -1] = False
    pooled, tokens = (
        torch.randn(count, width, generator=generator),
        torch.randn(count, length, width, generator=generator),
    )
    return Encoded(pooled, tokens, None, mask)


def decoder(image, **options):
    torch.manual_seed(1)
    sizes = {"text_width": 10, "width": 16, "fine_width": 8, "product": 6}
    made = GroundingDecoder(dimensions=image.dimensions, level_widths=image.level_widths, **sizes, **options)
    return made.eval()


@pytest.mark.parametrize("grid", [(16, 24), (10, 13), (8, 12, 16), (7, 10, 9)])
@pytest.mark.parametrize(("coordinates", "words"), [(False, True), (True, True), (False, False)])
def test_a_phrase_has_the_same_answer_whatever_it_is_asked_with(grid, coordinates, words):
    image = tower(len(grid))
    ground = decoder(image, coordinates=coordinates, words=words)
    images = torch.randn(3, 2, *grid, generator=torch.Generator().manual_seed(2))
    asked, item = phrases(5), torch.tensor([2, 0, 2, 1, 0])
    levels = image(images, tokens=True).levels
    together = ground(levels, asked, item, grid)
    assert together.mask.shape == (5, *grid)
    assert together.presence.shape == (5,)
    for row in range(5):
        alone = image(images[item[row]][None], tokens=True).levels
        one = ground(alone, asked.at(torch.tensor([row])), torch.tensor([0]), grid)
        torch.testing.assert_close(one.mask[0], together.mask[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.presence[0], together.presence[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", [False, True])
def test_every_word_of_a_phrase_counts(words):
    """Whether the words look at the image themselves or the sentence reads them after it has; padding never does."""
    image = tower(2)
    levels = image(torch.randn(1, 2, 16, 24), tokens=True).levels
    ground = decoder(image, words=words)
    asked = phrases(1)
    first = ground(levels, asked, torch.tensor([0]), (16, 24))
    for place, counts in ((1, True), (2, False)):
        tokens = asked.tokens.clone()
        tokens[:, place] += 1.0
        other = ground(levels, Encoded(asked.pooled, tokens, None, asked.mask), torch.tensor([0]), (16, 24))
        assert torch.allclose(first.mask, other.mask) != counts
        assert torch.allclose(first.presence, other.presence) != counts


def test_the_highest_logit_is_found_without_laying_masks_out():
    image = tower(2)
    ground = decoder(image)
    item = torch.tensor([0, 1, 1])
    found = ground.answers(image(torch.randn(2, 2, 16, 24), tokens=True).levels, phrases(3), item)
    for number in range(2):
        rows = torch.nonzero(item == number).squeeze(1)
        highest = found.logits(found.cells[number], rows).flatten(1).amax(1)
        torch.testing.assert_close(found.peaks(found.cells[number], rows), highest)
    assert found.peaks(found.cells[0], rows[:0]).shape == (0,)


def test_presence_counts_the_peak_of_the_mask_and_teaches_the_mask_nothing():
    """Presence is its own head's answer plus a learned part of the peak, which is read and not trained by it."""
    image = tower(2)
    ground = decoder(image)
    levels = image(torch.randn(2, 2, 16, 24), tokens=True).levels
    asked, item, grid = phrases(3), torch.tensor([0, 1, 1]), (16, 24)
    with torch.no_grad():
        ground.peak.fill_(0.7)
    answer = ground(levels, asked, item, grid)
    peak = answer.mask.detach().flatten(1).amax(1) - ground.bias.detach()
    with torch.no_grad():
        ground.peak.zero_()
        own = ground(levels, asked, item, grid).presence
        ground.peak.fill_(0.7)
    torch.testing.assert_close(answer.presence.detach(), own + 0.7 * peak, rtol=1e-4, atol=1e-5)
    answer.presence.sum().backward()
    untaught = [*ground.mask_head.parameters(), *ground.parts.parameters(), *ground.refine.parameters(), ground.bias]
    assert all(p.grad is None or not p.grad.any() for p in untaught)
    assert ground.peak.grad == pytest.approx(float(peak.sum()), rel=1e-4)


def test_the_bias_lifts_every_voxel_alike_and_presence_not_at_all():
    """Voxels of targets are rare, which a bias says at first; how sure a mask is anywhere is told from it."""
    image = tower(2)
    ground = decoder(image)
    levels = image(torch.randn(1, 2, 16, 24), tokens=True).levels
    with torch.no_grad():
        ground.peak.fill_(0.5)
        before = ground(levels, phrases(2), torch.tensor([0, 0]), (16, 24))
        ground.bias += 1.5
        after = ground(levels, phrases(2), torch.tensor([0, 0]), (16, 24))
    torch.testing.assert_close(after.mask, before.mask + 1.5, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after.presence, before.presence, rtol=1e-4, atol=1e-5)
    assert decoder(image)(levels, phrases(2), torch.tensor([0, 0]), (16, 24)).mask.mean() < -1.5


@pytest.mark.parametrize("grid", [(16, 24), (8, 12, 16)])
def test_a_mask_falls_off_around_its_centre(grid):
    """Of two decoders that differ in steepness alone, the masks differ by a parabola about the centre."""
    image = tower(len(grid))
    levels = image(torch.randn(1, 2, *grid), tokens=True).levels
    ground = decoder(image, coordinates=True)
    centre = torch.tensor([0.4, -0.6, 0.1])[: len(grid)]
    masks = []
    for bias in (-2.0, 1.0):
        with torch.no_grad():
            for part, value in ((ground.near.centre, centre), (ground.near.steepness, torch.tensor([bias]))):
                part.weight.zero_()
                part.bias.copy_(value)
            masks.append(ground(levels, phrases(1), torch.tensor([0]), grid).mask[0])
    steep = 10 * (np.log1p(np.exp(1.0)) - np.log1p(np.exp(-2.0)))
    cells = [np.repeat(np.linspace(-1, 1, n // 2), 2) for n in grid]
    square = sum((c - float(x)) ** 2 for c, x in zip(np.meshgrid(*cells, indexing="ij"), centre, strict=True))
    np.testing.assert_allclose((masks[0] - masks[1]).numpy(), steep * square, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("grid", [(16, 24), (10, 13), (8, 12, 16)])
def test_masks_are_laid_out_as_they_are_taken_apart(grid):
    image = tower(len(grid))
    ground = decoder(image)
    levels = image(torch.randn(2, 2, *grid), tokens=True).levels
    asked, item = phrases(3), torch.tensor([1, 0, 1])
    masks, cells = ground(levels, asked, item, grid).mask, levels[0].shape[2:]
    found = ground.answers(levels, asked, item)
    rows = torch.arange(3)
    flat = torch.cat([found.logits(found.cells[i], row[None]) for i, row in zip(item, rows, strict=True)])
    flat = flat.unflatten(1, cells).unflatten(-1, (2,) * len(grid))
    inside = ground.in_cells(torch.ones(3, *grid), cells) > 0
    torch.testing.assert_close(ground.in_cells(masks, cells)[inside], flat[inside])


def test_sampled_points_stand_for_the_whole():
    """With every voxel outside drawn many times, the loss is that over all voxels."""
    image = tower(2)
    objective = Grounding(width=16, fine_width=8, product=6, points=200_000, presence=0.0, focal=1.0)
    text = torch.nn.Module()
    text.width = 10
    torch.manual_seed(0)
    objective.setup_towers(image, text)
    masks = torch.zeros(2, 16, 16)
    masks[0, 3:9, 4:11] = 1
    regions = Regions(
        ["a", "b"], torch.tensor([0, 0]), masks, torch.zeros(2, dtype=torch.bool), torch.ones(2), phrases(2)
    )
    encoded = image(torch.randn(1, 2, 16, 16), tokens=True)
    batch = type("B", (), {"regions": regions, "draws": torch.arange(1)})()
    features = type("F", (), {"batch": batch, "image_encoded": encoded, "image": encoded.pooled})()

    def loss():
        features.rows = {objective: objective.rows(features)}
        return objective(features).item()

    with torch.no_grad():
        found = objective.decoder(encoded.levels, regions.encoded, regions.item, (16, 16))
        whole = focal_loss(found.mask, masks) + torch.tensor([1.0, 0.0]) * dice_loss(found.mask, masks)
        assert loss() == pytest.approx(whole.mean().item(), rel=0.02)
        objective.silence = 0.25
        focal, dice = focal_loss(found.mask, masks), dice_loss(found.mask, masks)
        quieter = (focal[0] + dice[0] + 0.25 * focal[1]) / 2
        assert loss() == pytest.approx(quieter.item(), rel=0.02)


def test_padding_of_a_phrase_changes_nothing_and_its_words_do():
    image = tower(2)
    ground, grid = decoder(image), (16, 16)
    levels = image(torch.randn(1, 2, *grid), tokens=True).levels
    asked, item = phrases(1), torch.tensor([0])
    noisy = Encoded(asked.pooled, asked.tokens.clone(), None, asked.mask)
    noisy.tokens[:, -1] += 5
    torch.testing.assert_close(ground(levels, noisy, item, grid).mask, ground(levels, asked, item, grid).mask)
    other = ground(levels, phrases(1, seed=9), item, grid).mask
    assert (other - ground(levels, asked, item, grid).mask).abs().max() > 1e-3


def test_it_learns_to_show_what_is_named():
    """Two squares of different texture in each image; the phrase says which one is meant, or neither."""
    torch.manual_seed(0)
    image = WaveletTower(dimensions=2, channels=1, widths=[16, 32], blocks=[1, 1], width=16)
    objective = Grounding(width=16, fine_width=16, product=8, focal=1)
    text = torch.nn.Module()
    text.width = 4
    objective.setup_towers(image, text)
    names = Encoded(torch.eye(4)[:3].clone())
    optimizer = torch.optim.Adam([*image.parameters(), *objective.parameters()], 5e-3)
    rng = np.random.default_rng(0)

    def batch():
        images, masks = rng.normal(0, 0.1, (8, 1, 32, 32)), np.zeros((8, 3, 32, 32))
        for n in range(8):
            for kind, value in ((0, 2.0), (1, -2.0)):
                y, x = rng.integers(0, 24, 2) // 2 * 2
                images[n, 0, y : y + 8, x : x + 8] = value
                masks[n, :, y : y + 8, x : x + 8] = 0
                masks[n, kind, y : y + 8, x : x + 8] = 1
        return torch.from_numpy(images).float(), torch.from_numpy(masks).float().flatten(0, 1)

    item, asked = torch.arange(8).repeat_interleave(3), names.at(torch.arange(3).repeat(8))
    for _ in range(100):
        images, masks = batch()
        found = objective.decoder(image(images, tokens=True).levels, asked, item, (32, 32))
        there = functional.binary_cross_entropy_with_logits(found.presence, (masks.flatten(1).amax(1) > 0).float())
        present = masks.flatten(1).amax(1) > 0
        loss = focal_loss(found.mask, masks).mean() + dice_loss(found.mask[present], masks[present]).mean() + there
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image.eval()
    images, masks = batch()
    with torch.no_grad():
        found = objective.decoder(image(images, tokens=True).levels, asked, item, (32, 32))
    present = masks.flatten(1).amax(1) > 0
    assert f1_score(masks[present].flatten() > 0, found.mask[present].flatten() > 0) > 0.8
    assert found.presence[~present].max() < found.presence[present].min()


def test_an_image_tower_without_feature_maps_is_refused():
    text = torch.nn.Module()
    text.width = 4
    with pytest.raises(ConfigError, match="feature maps at several resolutions"):
        Grounding().setup_towers(ConvTower(dimensions=2), text)


def test_losses_equal_their_definitions():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 5, 6, 7, generator=generator, dtype=torch.float64)
    target = (torch.rand(4, 5, 6, 7, generator=generator) > 0.7).double()
    reference = torchvision.ops.sigmoid_focal_loss(logits, target, alpha=-1, gamma=2, reduction="none")
    expected = reference.flatten(1).sum(1) / target.flatten(1).sum(1)
    torch.testing.assert_close(focal_loss(logits, target, least=1.0), expected)
    torch.testing.assert_close(focal_loss(logits, target, least=1e4), reference.flatten(1).sum(1) / 1e4)
    hard = target * 80 - 40
    torch.testing.assert_close(dice_loss(hard, target, smooth=0.0), torch.zeros(4, dtype=torch.float64))
    guess = (torch.rand(4, 5, 6, 7, generator=generator) > 0.5).double()
    expected = [1 - f1_score(t.flatten(), g.flatten()) for t, g in zip(target, guess, strict=True)]
    torch.testing.assert_close(
        dice_loss(guess * 80 - 40, target, smooth=0.0), torch.tensor(expected, dtype=torch.float64)
    )


@pytest.mark.parametrize("shape", [(3, 8, 9), (2, 4, 5, 6)])
def test_soft_overlap_and_shadows_by_their_equations(shape):
    """V-Net's equation 1 with squares below, and the same of the largest logit along every other axis."""
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=shape), (rng.random(shape) > 0.7).astype(float)

    def by_definition(z, t):
        p, axes = 1 / (1 + np.exp(-z)), tuple(range(1, z.ndim))
        return 1 - (2 * (p * t).sum(axes) + 1) / ((p**2).sum(axes) + (t**2).sum(axes) + 1)

    made = dice_loss(torch.from_numpy(logits), torch.from_numpy(target))
    np.testing.assert_allclose(made.numpy(), by_definition(logits, target), rtol=1e-9)
    space = range(1, len(shape))
    shadows = [
        by_definition(logits.max(others), target.max(others))
        for others in (tuple(a for a in space if a != axis) for axis in space)
    ]
    made = projection_loss(torch.from_numpy(logits), torch.from_numpy(target))
    np.testing.assert_allclose(made.numpy(), np.mean(shadows, axis=0), rtol=1e-9)


def test_a_box_leaves_the_inside_free_and_binds_the_extent():
    box = torch.zeros(1, 12, 12)
    box[:, 2:9, 3:11] = 1
    yy, xx = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    ellipse = (((yy - 5) / 3.4) ** 2 + ((xx - 6.5) / 3.9) ** 2 < 1).float()[None]
    assert projection_loss(box * 80 - 40, box, smooth=0.0) < 1e-6
    assert projection_loss(ellipse * 80 - 40, box, smooth=0.0) < 1e-6
    assert projection_loss(box.roll(3, 2) * 80 - 40, box, smooth=0.0) > 0.1
