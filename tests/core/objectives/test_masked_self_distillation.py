"""Hidden patches, balanced teachers, small views and KoLeo: what they do that their equations do not say."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tests.core.objectives.learning import learning

from voxtile.errors import ConfigError
from voxtile.models.hub.timm import TimmTower
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.vit import ViTTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.tower import HiddenPatches
from voxtile.objectives.self_supervised import prototypes
from voxtile.objectives.self_supervised.koleo import KoLeo
from voxtile.objectives.self_supervised.masked_self_distillation import MaskedSelfDistillation, block_masks
from voxtile.objectives.self_supervised.prototypes import Balance, PrototypeHead, cross_entropy
from voxtile.objectives.self_supervised.self_distillation import SelfDistillation
from voxtile.objectives.self_supervised.views import ImageViews, image_keys
from voxtile.types import Encoded

VIT = {"width": 16, "depth": 1, "heads": 2}
TOWERS = {
    "vit 2D": lambda: ViTTower(dimensions=2, size=16, patch=4, pooling="cls", registers=1, **VIT),
    "vit 3D": lambda: ViTTower(dimensions=3, size=8, patch=4, **VIT),
    "conv 2D": lambda: ConvTower(dimensions=2, widths=[8, 16], blocks=[1, 1], width=12),
    "conv 3D": lambda: ConvTower(dimensions=3, widths=[8, 8], blocks=[1, 1], width=12),
    "wavelet 3D": lambda: WaveletTower(dimensions=3, widths=[8], blocks=[1], width=12),
    "timm": lambda: TimmTower(name="vit_tiny_patch16_224", channels=1, size=16, options={"patch_size": 4, "depth": 1}),
}
SMALL = {"prototypes": 8, "hidden": 8, "bottleneck": 4}
ALWAYS = {"probability": 1.0, "ratio": (0.3, 0.6)}


def module(objective, tower="conv 2D"):
    return learning(objective, TOWERS[tower])


def batch_for(made_batch, tower, items=4):
    batch = made_batch(items)
    size = (8, 8, 8) if "3D" in tower else (16, 16)
    batch.images = torch.randn(items, 1, *size, generator=torch.Generator().manual_seed(1))
    return batch


@pytest.mark.parametrize("grid", [(14, 14), (6, 8, 8), (1, 7)])
def test_masks_are_blocks_of_the_share_that_is_asked(grid):
    keys = torch.arange(400)
    masks = block_masks(keys, grid, 3, probability=0.5, ratio=(0.1, 0.5))
    places = masks.shape[1]
    shares = masks.float().mean(1)
    assert (shares <= 0.5).all()
    assert (shares > 0).float().mean() == pytest.approx(0.5, abs=0.08)
    even = torch.linspace(0.1, 0.5, 1001).mul(places).floor().clamp(min=1).mean() / places
    assert shares[shares > 0].mean() == pytest.approx(even.item(), rel=0.06)
    assert shares.max() >= (0.48 if places > 100 else 3 / 7)
    if places > 100:
        assert masks.any(0).all()
        maps = torch.unflatten(masks, 1, grid)[shares > 0].float()
        for axis, size in enumerate(grid, start=1):
            both = (maps.narrow(axis, 0, size - 1) * maps.narrow(axis, 1, size - 1)).mean()
            assert both > 1.4 * shares[shares > 0].square().mean(), "no more together than single patches would be"
    assert torch.equal(masks[7:9], block_masks(keys[7:9], grid, 3, probability=0.5, ratio=(0.1, 0.5)))
    assert not torch.equal(masks, block_masks(keys, grid, 4, probability=0.5, ratio=(0.1, 0.5)))


def test_a_single_block_is_a_box():
    """As long as a third of the patches is asked of so small a grid, one block of 4 fills it."""
    masks = block_masks(torch.arange(200), (4, 4), 0, probability=1, ratio=(0.25, 0.3))
    assert (masks.sum(1) <= 4).all()
    whole = masks[masks.sum(1) == 4].view(-1, 4, 4)
    boxes = [bool((m.any(1).sum() * m.any(0).sum()) == 4 and m.any(1).nonzero().diff(dim=0).le(1).all()) for m in whole]
    assert sum(boxes) > 0.5 * len(boxes)


def test_sinkhorn_uses_prototypes_alike_and_is_optimal_transport():
    """With one vector a prototype and a sharp temperature it is an assignment, where the softmax names one for all."""
    torch.manual_seed(0)
    head = PrototypeHead(4, 4, 6, 5).double()
    vectors = F.normalize(torch.randn(1, 6).double() + 0.2 * torch.randn(40, 6).double(), dim=1)
    balance = Balance("sinkhorn", 5, 0.5, 0.9).double()
    plain = balance(head.logits(vectors)).mean(0)
    balance.fit(vectors, head)
    target = balance(head.logits(vectors))
    assert target.sum(1).sub(1).abs().max() < 1e-12
    assert target.mean(0).sub(0.2).abs().max() < 0.02 < plain.sub(0.2).abs().max()
    assert target.argmax(1).unique().numel() > 1
    balance.fit(vectors[:0], head)
    assert not balance.centre.any()


def test_held_out_batches_leave_the_balance_as_it_is(made_batch):
    made, batch = module(SelfDistillation(balance="sinkhorn", **SMALL)), made_batch(4)
    balance = made.objectives["it"].balance
    assert not balance.centre.any()
    made.features(batch)
    fitted = balance.centre.clone()
    assert fitted.any()
    made.eval().features(made_batch(4, seed=1))
    assert torch.equal(balance.centre, fitted)
    assert made.objectives["it"].couples_items
    assert not SelfDistillation(**SMALL).couples_items


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("options", [{}, {"balance": "sinkhorn", "separate_head": True}])
def test_every_tower_with_tokens_learns_from_hidden_patches(tower, options, made_batch):
    objective = MaskedSelfDistillation(**SMALL, **ALWAYS, **options)
    made, batch = module(objective, tower), batch_for(made_batch, tower)
    loss = made.losses(made.features(batch))["it"]
    loss.backward()
    assert loss.isfinite()
    assert (objective.mask_token is not None) == tower.startswith("vit")
    assert all(p.grad is not None and p.grad.any() for p in objective.parameters() if p.requires_grad)
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.encoder.image.parameters())


def test_without_a_mask_all_parts_still_take_part(made_batch):
    """In a batch of which nothing is hidden the loss is that of images, and no parameter waits for a gradient."""
    objective = MaskedSelfDistillation(**SMALL, probability=1e-12, separate_head=True)
    made, batch = module(objective, "vit 2D"), batch_for(made_batch, "vit 2D")
    plain = module(SelfDistillation(**SMALL), "vit 2D")
    plain.objectives["it"].load_state_dict(objective.state_dict(), strict=False)
    loss = made.losses(made.features(batch))["it"]
    torch.testing.assert_close(loss, plain.losses(plain.features(batch))["it"])
    loss.backward()
    assert all(p.grad is not None for p in objective.parameters() if p.requires_grad)
    objective.after_step(made.encoder, 1, 2)
    assert objective.balance.centre.any()
    assert not objective.patch_balance.centre.any()


@pytest.mark.parametrize("tower", ["vit 2D", "vit 3D", "conv 2D", "conv 3D"])
def test_the_student_sees_nothing_of_what_is_hidden(tower, made_batch):
    """Values of hidden patches may change as they like, but for a convolutional tower's mean of the view."""
    objective = MaskedSelfDistillation(**SMALL, **ALWAYS)
    made, batch = module(objective, tower), batch_for(made_batch, tower)
    view, keys = batch.images, image_keys(batch)
    taught = objective._taught(view)
    hidden = objective._hidden(taught, keys, 0)
    cells = F.interpolate(torch.unflatten(hidden, 1, (1, *taught.grid)).float(), view.shape[2:]) > 0.5
    noise = torch.randn(view.shape)
    noise = torch.where(cells, noise, 0.0)
    noise = noise - cells * noise.sum(tuple(range(2, view.ndim)), keepdim=True) / cells.flatten(2).sum(2).view(
        -1, 1, *[1] * (view.ndim - 2)
    )
    made.eval()
    seen, other = (objective._masked(v, hidden, taught) for v in (view, view + noise))
    torch.testing.assert_close(seen.tokens, other.tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen.pooled, other.pooled, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(objective._tower[0](view).pooled, seen.pooled, atol=1e-4)
    assert not torch.allclose(objective._taught(view + noise).tokens, taught.tokens, atol=1e-3)


def test_a_mask_token_stands_where_patches_are_hidden_with_their_places():
    tower = TOWERS["vit 2D"]().eval()
    where = torch.zeros(2, 16, dtype=torch.bool)
    where[:, 3:9] = True
    token = torch.randn(16)
    images = torch.randn(2, 1, 16, 16)
    made = tower(images, tokens=True, hidden=HiddenPatches(where, token)).tokens
    patches = tower.patch_embed(images, (4, 4)).flatten(1, 2)
    patches[:, 3:9] = token
    with torch.no_grad():
        tower.patch_embed.forward = lambda images, patch: patches.view(2, 4, 4, 16)
        torch.testing.assert_close(tower(images, tokens=True).tokens, made)


def test_teacher_and_centres_follow(made_batch):
    objective = MaskedSelfDistillation(**SMALL, **ALWAYS, small=0, momentum=0.9, centre_momentum=0.9)
    made, batch = module(objective, "vit 2D"), batch_for(made_batch, "vit 2D")
    old = copy.deepcopy(objective.teacher)
    made.features(batch)
    keys = image_keys(batch)
    logits = []
    for number in range(2):
        encoded = old["image"](objective.views(batch.images, keys, 120 + number), tokens=True)
        hidden = block_masks(keys, (4, 4), 130 + number, **ALWAYS)
        logits.append(old["head"](encoded.tokens[hidden]))
    with torch.no_grad():
        for parameter in made.encoder.image.parameters():
            parameter += 1.0
    objective.after_step(made.encoder, 20, 20)
    torch.testing.assert_close(objective.patch_balance.centre, 0.1 * torch.cat(logits).mean(0))
    for before, after in zip(old["image"].parameters(), objective.teacher["image"].parameters(), strict=True):
        torch.testing.assert_close(after, before)  # λ is 1 at the end
    kept = {"patch_balance.centre", "balance.centre", "mask_token"}
    assert kept <= set(objective.state_dict())


@pytest.mark.parametrize("slab", [3, 100])
def test_balanced_targets_are_sinkhorn_and_knopps_whatever_is_held_at_once(monkeypatch, slab):
    """Columns and rows of exp(t/τ) normalised in turn, three times (SwAV, section 3.1), on the whole matrix."""
    monkeypatch.setattr(prototypes, "_SLAB", slab)
    torch.manual_seed(0)
    head, vectors = PrototypeHead(6, 8, 5, 7), F.normalize(torch.randn(10, 5), dim=1)
    balance = Balance("sinkhorn", 7, 0.2, 0.9)
    balance.fit(vectors, head)
    with torch.no_grad():
        logits = head.logits(vectors)
        q = (logits / 0.2).exp()
        for _ in range(3):
            q = q / q.sum(0)
            q = q / q.sum(1, keepdim=True)
        torch.testing.assert_close(balance(logits), q, rtol=1e-4, atol=1e-6)


def test_each_side_has_its_own_temperature():
    """DINO, equations 1 and 4: shares of the student at its temperature, of the teacher centred and sharper."""
    torch.manual_seed(0)
    student, teacher = (PrototypeHead(6, 8, 5, 7) for _ in range(2))
    balance = Balance("centre", 7, 0.04, 0.9)
    balance.centre.normal_(std=0.2)
    seen, known = (F.normalize(torch.randn(9, 5), dim=1) for _ in range(2))
    found = cross_entropy(seen, student, known, teacher, balance, 0.1)
    with torch.no_grad():
        target = ((known @ F.normalize(teacher.prototypes, dim=1).T - balance.centre) / 0.04).softmax(1)
        logits = seen @ F.normalize(student.prototypes, dim=1).T
        torch.testing.assert_close(found, F.cross_entropy(logits / 0.1, target, reduction="none"))


def test_small_views_are_small_and_cheap(made_batch):
    objective = SelfDistillation(small_views=ImageViews(crop=(0.05, 0.4), size=(8, 8)), **SMALL)
    made, batch = module(objective, "vit 2D"), batch_for(made_batch, "vit 2D")
    sizes = []
    made.encoder.image.register_forward_pre_hook(lambda tower, args: sizes.append(tuple(args[0].shape[2:])))
    with torch.autocast("cpu", torch.bfloat16):
        made.losses(made.features(batch))["it"].backward()
    assert sizes == [(16, 16)] * 3 + [(8, 8)] * 2  # the batch itself, two large views and two small ones
    place = torch.linspace(-1, 1, 64).expand(64, 64)[None, None]
    views = ImageViews(crop=(0.25, 0.25), stretch=1, gain=0, shift=0, noise=0, size=(16, 16))
    made = views(place.expand(50, 1, 64, 64), torch.arange(50), 0)
    extent = made.amax((1, 2, 3)) - made.amin((1, 2, 3))
    torch.testing.assert_close(extent, torch.full((50,), 0.5 * 2 * 64 / 63 * 15 / 16), rtol=2e-3, atol=0)


def test_koleo_moves_the_nearest_apart_and_knows_repeated_images():
    def loss(x):
        return KoLeo()(SimpleNamespace(image_encoded=Encoded(x), image=None))

    x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.1]], requires_grad=True)
    value = loss(x)
    angles = torch.atan2(*x.detach().flip(1).unbind(1))
    chords = [2 * abs(float(torch.sin((angles[i] - angles[j]) / 2))) for i, j in ((0, 1), (1, 0), (2, 1))]
    assert value.item() == pytest.approx(-sum(torch.tensor(c).log().item() for c in chords) / 3, rel=1e-5)
    value.backward()
    assert loss(x - 0.01 * x.grad) < value
    torch.testing.assert_close(loss(3 * x), value)
    twice = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], requires_grad=True)
    loss(twice).backward()
    assert twice.grad.isfinite().all()
    assert loss(twice[:1]) == 0


def test_what_cannot_be_is_refused_in_a_sentence(made_batch):
    for make in (
        lambda: MaskedSelfDistillation(probability=0.0),
        lambda: MaskedSelfDistillation(ratio=(0.5, 0.2)),
        lambda: MaskedSelfDistillation(patch_weight=0.0),
        lambda: SelfDistillation(balance="none"),
        lambda: SelfDistillation(temperature=0.0),
        lambda: SelfDistillation(centre_momentum=1.0),
        lambda: KoLeo(of="tokens"),
        lambda: ImageViews(size=(0, 8)),
    ):
        with pytest.raises(ConfigError):
            make()
    batch = batch_for(made_batch, "vit 2D")
    with pytest.raises(ConfigError, match="needs 2 numbers"):
        ImageViews(size=(8, 8, 8))(batch.images, batch.draws, 0)
    small = ImageViews(size=(6, 6))
    for tower in ("vit 2D", "timm"):
        with pytest.raises(ConfigError, match=r"takes no views of \[6, 6\]; leave"):
            module(SelfDistillation(small_views=small, **SMALL), tower)
    module(SelfDistillation(small_views=small, **SMALL), "conv 2D")
    blind = module(MaskedSelfDistillation(**SMALL))
    blind.objectives["it"].teacher.parts["image"].forward = lambda images, tokens: Encoded(torch.zeros(4, 12))
    with pytest.raises(ConfigError, match="needs an image tower that gives tokens on a grid"):
        blind.features(batch)
    flexible = module(MaskedSelfDistillation(**SMALL, **ALWAYS), "vit 2D")
    flexible.encoder.image.patches = ((8, 8),)
    with pytest.raises(ConfigError, match="has one patch size"):
        flexible.features(batch)
