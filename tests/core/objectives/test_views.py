"""Views of images and texts, and the objectives that learn from them: what they do that their equations do not say."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tests.core.objectives.learning import learning

from voxtile.errors import ConfigError
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.vit import ViTTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.objectives.self_supervised.masked_image import MaskedImage
from voxtile.objectives.self_supervised.self_distillation import SelfDistillation
from voxtile.objectives.self_supervised.unimodal import UnimodalSelfSupervision
from voxtile.objectives.self_supervised.views import ImageViews, TextViews, image_keys
from voxtile.training.step.large_batch import split_items
from voxtile.types import Encoded

PLAIN = {"gain": 0, "shift": 0, "noise": 0}
VIT = {"width": 16, "depth": 1, "heads": 2}
TOWERS = {
    "vit 2D": lambda: ViTTower(dimensions=2, size=16, patch=4, **VIT),
    "vit 3D": lambda: ViTTower(dimensions=3, size=8, patch=4, **VIT),
    "conv 2D": lambda: ConvTower(dimensions=2, widths=[8, 16], blocks=[1, 1], width=12),
    "wavelet 3D": lambda: WaveletTower(dimensions=3, widths=[8], blocks=[1], width=12),
}


def module(objective, tower="conv 2D"):
    return learning(objective, TOWERS[tower])


class Blind(torch.nn.Module):
    """A tower without tokens."""

    def forward(self, images, tokens):
        return Encoded(torch.zeros(len(images), 12))


def batch_for(made_batch, tower, items=4):
    batch = made_batch(items)
    size = {"vit 2D": (16, 16), "vit 3D": (8, 8, 8), "conv 2D": (16, 16), "wavelet 3D": (8, 8, 8)}[tower]
    batch.images = torch.randn(items, 1, *size, generator=torch.Generator().manual_seed(1))
    return batch


@pytest.mark.parametrize("size", [(6, 8), (4, 6, 8)])
def test_the_whole_image_is_its_own_view_and_may_be_mirrored(size):
    images, keys = torch.randn(40, 2, *size), torch.arange(40)
    torch.testing.assert_close(ImageViews(crop=(1, 1), stretch=1, **PLAIN)(images, keys, 0), images)
    mirrored = ImageViews(crop=(1, 1), stretch=1, flips=("y",), **PLAIN)(images, keys, 0)
    either = [torch.allclose(view, image, atol=1e-5) for view, image in zip(mirrored, images, strict=True)]
    turned = [torch.allclose(view.flip(-2), image, atol=1e-5) for view, image in zip(mirrored, images, strict=True)]
    assert all(a != b for a, b in zip(either, turned, strict=True))
    assert 8 < sum(either) < 32


@pytest.mark.parametrize("size", [(32, 32), (16, 16, 16)])
def test_a_crop_is_a_part_of_the_image_of_the_share_that_is_asked(size):
    """In an image of its own coordinates, a view shows what was cropped."""
    axes = len(size)
    place = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij"))
    images = place.expand(64, *place.shape)
    views = ImageViews(crop=(0.2, 0.5), stretch=1.2, **PLAIN)(images, torch.arange(64), 3)
    flat = views.flatten(2)
    sides = (flat.amax(2) - flat.amin(2)) / 2 * size[0] / (size[0] - 1) * (1 - 1 / size[0])
    assert flat.amin() >= -1.0001
    assert flat.amax() <= 1.0001
    low, high = 0.2 ** (1 / axes) / 1.2, 0.5 ** (1 / axes) * 1.2
    assert (sides > low - 0.07).all()
    assert (sides < high + 0.07).all()
    assert sides.max() - sides.min() > 0.2
    assert flat.mean(2).std(0).min() > 0.1  # not all from the middle


def test_values_change_by_channel_within_limits():
    views = ImageViews(crop=(1, 1), stretch=1, gain=0.5, shift=0.3, noise=0)
    made = views(torch.ones(200, 2, 4, 4), torch.arange(200), 0)
    assert made.flatten(2).std(2).max() < 1e-5
    assert made.min() > 0.2
    assert made.max() < 1.8
    assert not torch.allclose(made[:, 0], made[:, 1])
    noise = ImageViews(crop=(1, 1), stretch=1, gain=0, shift=0, noise=0.5)(
        torch.zeros(4, 1, 32, 32), torch.arange(4), 0
    )
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert (noise.abs() < 0.5).float().mean() == pytest.approx(math.erf(2**-0.5), abs=0.03)


def test_a_view_belongs_to_its_draw_and_stream(made_batch):
    batch = made_batch(6)
    whole = ImageViews()(batch.images, image_keys(batch), 1)
    parts = [ImageViews()(part.images, image_keys(part), 1) for part in split_items(batch, 4)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert not torch.allclose(ImageViews()(batch.images, image_keys(batch), 2), whole)
    batch.image_item = torch.tensor([0, 0, 1, 2, 2, 2])
    assert len(set(image_keys(batch).tolist())) == 6


def test_words_are_left_out_and_moved_but_never_the_ends():
    length = 20
    tokens = torch.arange(1, length + 1).expand(500, length).clone()
    tokens[1::2, 12:] = 0
    made = TextViews(drop=0.25, shuffle=2)(tokens, torch.arange(500), 0)
    real = (made > 0).sum(1)
    assert (made[:, 0] == 1).all()
    assert (made.gather(1, real[:, None] - 1).squeeze(1) == tokens.amax(1)).all()
    assert all(len(set(row[row > 0].tolist())) == int((row > 0).sum()) for row in made)
    assert real[::2].float().mean() == pytest.approx(2 + 18 * 0.75, rel=0.03)
    shuffled = TextViews(drop=0, shuffle=2)(tokens, torch.arange(500), 0)
    moves = (shuffled[::2] - torch.arange(1, length + 1)).abs()
    assert moves.max() == 2
    assert (shuffled.sort(1).values == tokens.sort(1).values).all()
    assert torch.equal(TextViews(drop=0, shuffle=0)(tokens, torch.arange(500), 0), tokens)


@pytest.mark.parametrize("tower", TOWERS)
def test_every_tower_learns_from_views_and_masks(tower, made_batch):
    for objective in (
        UnimodalSelfSupervision(texts=1.0, head=(8, 4)),
        MaskedImage(patch=4),
        SelfDistillation(prototypes=8, hidden=8, bottleneck=4),
    ):
        made, batch = module(objective, tower), batch_for(made_batch, tower)
        made.features(batch)
        before = {name: b.clone() for name, b in made.encoder.named_buffers() if "running" in name}
        features = made.features(batch)
        loss = made.total(made.losses(features))
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad is not None for p in objective.parameters() if p.requires_grad), type(objective)
        assert any(p.grad.abs().sum() > 0 for p in made.encoder.image.parameters() if p.grad is not None)
        # Statistics follow whole images alone: as much as one pass over these changes them.
        for name, old in before.items():
            alone = copy.deepcopy(made.encoder)
            alone.get_buffer(name).copy_(old)
            alone.encode_samples(batch.images)
            torch.testing.assert_close(made.encoder.get_buffer(name), alone.get_buffer(name))


def in_patches(images):
    return images.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(images), 16, 16)


def test_the_right_answer_costs_nothing_and_visible_values_do_not_count(made_batch):
    """A tower that sees the truth, and a head that copies it, have no error where it is hidden."""
    objective = MaskedImage(patch=4, ratio=0.25)
    made, batch = module(objective), batch_for(made_batch, "conv 2D")
    truth = batch.images
    known = in_patches(truth)

    class Knows(torch.nn.Module):
        def forward(self, images, tokens):
            assert ((images != truth).flatten(1).sum(1) == 4 * 16).all()
            return Encoded(torch.zeros(4, 1), known + wrong * in_patches((images == truth).float()), (4, 4))

    objective._tower, objective.head = (Knows(),), torch.nn.Identity()
    objective.head.out_features = 16
    wrong = 5.0
    assert objective.rows(made.features(batch))[:, 0].abs().max() == 0
    known = known + 0.5
    rows = objective.rows(made.features(batch))
    torch.testing.assert_close(rows[:, 0] / rows[:, 1], torch.full((4,), 0.5))


def test_teacher_and_centre_follow_after_the_update(made_batch):
    objective = SelfDistillation(prototypes=8, hidden=8, bottleneck=4, small=0, momentum=0.9, centre_momentum=0.5)
    made, batch = module(objective), made_batch(4)
    old = copy.deepcopy(objective.teacher)
    made.features(batch)
    keys = image_keys(batch)
    logits = [old["head"](old["image"](objective.views(batch.images, keys, 120 + n)).pooled) for n in range(2)]
    with torch.no_grad():
        for parameter in made.encoder.image.parameters():
            parameter += 1.0
    objective.after_step(made.encoder, 10, 20)  # half-way: λ = 1 − 0.1 · ½
    for before, after in zip(old["image"].parameters(), objective.teacher["image"].parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.05, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(objective.balance.centre, 0.5 * torch.cat(logits).mean(0))
    kept = objective.balance.centre.clone()
    made.eval()
    made.features(batch)
    objective.after_step(made.encoder, 20, 20)
    assert torch.equal(objective.balance.centre, kept)
    assert {"balance.centre", "head.prototypes"} <= set(objective.state_dict())
    assert not any(p.requires_grad for p in objective.teacher.parameters())


def test_equal_texts_are_no_negatives(made_batch):
    """With one text for all, each view has only its other one to find."""
    made, batch = module(UnimodalSelfSupervision(images=0, texts=1, head=())), made_batch(5)
    batch.texts, batch.text_hash = ["text 1 text 0"] * 5, torch.zeros(5, dtype=torch.int64)
    assert made.losses(made.features(batch))["it"].item() == pytest.approx(0, abs=1e-6)


def test_a_tower_that_images_alone_have_taught_goes_on_from_its_checkpoint(tmp_path):
    taught = module(SelfDistillation(prototypes=8, hidden=8, bottleneck=4), "vit 2D")
    torch.save({"voxtile_format": 1, "state_dict": taught.state_dict()}, tmp_path / "last.ckpt")
    torch.manual_seed(1)
    same = ViTTower(dimensions=2, size=16, patch=4, **VIT, pretrained=str(tmp_path / "last.ckpt"))
    for name, value in taught.encoder.image.state_dict().items():
        assert torch.equal(same.state_dict()[name], value), name
    larger = ViTTower(dimensions=2, size=32, patch=4, **VIT, pretrained=str(tmp_path / "last.ckpt"))
    assert list(larger.load_report.resized) == ["position.table"]


def test_items_without_a_text_have_no_part_in_the_term_of_texts(made_batch):
    objective = UnimodalSelfSupervision(images=0, texts=1, head=(8, 4))
    made = module(objective)
    batch = made_batch(4, torch.tensor([0, 0, 3]))
    rows = made.features(batch).rows[objective]
    assert rows[:, -1].tolist() == [1, 0, 0, 1]
    first, second = rows[[0, 3], :4], rows[[0, 3], 4:8]
    z = F.normalize(torch.cat([first, second]), dim=1)
    logits = (10 * z @ z.T).fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(logits, torch.tensor([2, 3, 0, 1])).item()
    assert made.losses(made.features(batch))["it"].item() == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_is_refused_in_a_sentence(made_batch):
    for make in (
        lambda: ImageViews(crop=(0.0, 1.0)),
        lambda: ImageViews(flips=("left",)),
        lambda: ImageViews(noise=-1.0),
        lambda: TextViews(drop=1.0),
        lambda: UnimodalSelfSupervision(images=0.0),
        lambda: UnimodalSelfSupervision(head=(8,)),
        lambda: UnimodalSelfSupervision(temperature=0.0),
        lambda: MaskedImage(ratio=1.0),
        lambda: SelfDistillation(prototypes=0),
        lambda: SelfDistillation(teacher_temperature=0.0),
        lambda: SelfDistillation(momentum=1.0),
    ):
        with pytest.raises(ConfigError):
            make()
    batch = made_batch(2)
    with pytest.raises(ConfigError, match="no axis z"):
        ImageViews(flips=("z",))(batch.images, batch.draws, 0)
    with pytest.raises(ConfigError, match="do not divide images of"):
        module(MaskedImage(patch=5)).features(batch)
    with pytest.raises(ConfigError, match="needs one number, or 2"):
        module(MaskedImage(patch=(4, 4, 4)))
    blind = module(MaskedImage(patch=4))
    blind.objectives["it"]._tower = (Blind(),)
    with pytest.raises(ConfigError, match="gives tokens on a grid"):
        blind.features(batch)
    for objective in (MaskedImage(), SelfDistillation(), UnimodalSelfSupervision()):
        with pytest.raises(ConfigError, match="was not set up"):
            objective.rows(module(UnimodalSelfSupervision(head=())).features(batch))
