"""Scales by source: what a batch of one source and of several get, what is learned, and what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.item_scales import scaled
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.pairs import Pairs
from voxtile.training.checks import check_encoder
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch, Encoded, ItemScales

WIDTH, NAMES = 6, ("ct", "slides")


class Pixels(ImageTower):
    channels, dimensions, width = 1, 2, WIDTH

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(WIDTH, WIDTH)

    def forward(self, images, tokens=False):
        return Encoded(self.map(images.flatten(1)))


class Letters:
    ready = True

    def encode(self, texts):
        return torch.tensor([[float(int(text)) + k for k in range(WIDTH)] for text in texts]), 0

    def to_json(self):
        return None


class Numbers(TextTower):
    width = WIDTH

    def __init__(self):
        super().__init__()
        self.tokenizer = Letters()

    def forward(self, tokens):
        return Encoded(torch.sin(tokens.double() * 1.7))


def encoder(sources=NAMES, **options):
    torch.manual_seed(0)
    options = {"logit_scale": 10.0, "logit_bias": -2.0, "embed_dim": WIDTH, **options}
    return DualEncoder(image=Pixels(), text=Numbers(), source_scales=sources, **options)


def module(objective, sources=NAMES, **options):
    made = ContrastiveModule(encoder=encoder(sources, **options), objectives={"it": objective})
    made.setup_objectives(())
    return made.double()


def batch(source, names=NAMES, items=8):
    g = torch.Generator().manual_seed(3)
    return Batch(
        images=torch.randn(items, 1, 2, 3, generator=g, dtype=torch.float64),
        image_item=torch.arange(items),
        texts=[str(n) for n in range(items)],
        text_item=torch.arange(items),
        study=torch.arange(items),
        subject=torch.arange(items),
        text_hash=torch.arange(items),
        facts=torch.zeros(items, 0, dtype=torch.int8),
        fact_names=(),
        uids=[str(n) for n in range(items)],
        draws=torch.arange(items),
        source=None if source is None else torch.tensor(source),
        source_names=() if source is None else names,
    )


def unlike(made):
    with torch.no_grad():
        made.source_scales.log_scale.copy_(torch.tensor([math.log(5.0), math.log(45.0)]))
        made.source_scales.bias.copy_(torch.tensor([-1.0, -9.0]))
    made.clamp_scale()
    return made


def test_a_batch_gets_the_scale_of_its_source_by_name_or_of_each_item():
    made = unlike(encoder())
    scale, bias, each = made.scales_of(batch([1] * 8, ("other", "slides", "ct")[1:][::-1]))  # slides comes second
    assert (scale.item(), bias.item(), each) == (pytest.approx(45.0), -9.0, None)
    scale, bias, each = made.scales_of(batch([0, 0, 1, 1, 0, 1, 0, 1], NAMES[::-1]))
    assert scale.isnan()
    assert bias.isnan()
    assert each.scale.tolist() == pytest.approx([45.0, 45.0, 5.0, 5.0, 45.0, 5.0, 45.0, 5.0])
    assert each.bias.tolist() == [-9, -9, -1, -1, -9, -1, -9, -1]
    with pytest.raises(ConfigError, match="no scale for the source 'tiles'"):
        made.scales_of(batch([0] * 8, ("tiles", "ct")))


def test_the_models_own_scale_is_the_mean_of_all_and_each_stays_within_the_limits():
    made = unlike(encoder())
    assert made.logit_scale.item() == pytest.approx(15.0)  # √(5·45): what evaluation and export take
    assert made.logit_bias.item() == -5.0
    assert made.scales_of(batch(None)) == (made.logit_scale, made.logit_bias, None)
    with torch.no_grad():
        made.source_scales.log_scale += torch.tensor([-9.0, 9.0])
    made.clamp_scale()
    assert made.source_scales.log_scale.exp().tolist() == pytest.approx([1.0, 100.0])
    assert made.logit_scale.item() == pytest.approx(10.0)


def test_without_them_nothing_is_new():
    plain, scaled_by_source = encoder(()), encoder()
    new = set(scaled_by_source.state_dict()) - set(plain.state_dict())
    assert new == {"source_scales.log_scale", "source_scales.bias"}
    assert plain.log_scale.requires_grad
    assert not scaled_by_source.log_scale.requires_grad
    assert all(torch.equal(value, scaled_by_source.state_dict()[name]) for name, value in plain.state_dict().items())
    assert plain.scales_of(batch([0] * 8)) == (plain.logit_scale, plain.logit_bias, None)
    assert encoder(logit_bias=None).source_scales.bias is None


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_a_batch_of_one_source_is_that_of_a_model_with_its_scale_to_the_bit(kind):
    by_source, plain = module(Contrastive(kind=kind)), module(Contrastive(kind=kind), ())
    unlike(by_source.encoder)
    with torch.no_grad():
        plain.encoder.log_scale.copy_(by_source.encoder.source_scales.log_scale[1])
        plain.encoder.logit_bias.copy_(by_source.encoder.source_scales.bias[1])
    losses = [made.total(made.losses(made.features(batch([1] * 8)))) for made in (by_source, plain)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    assert torch.equal(by_source.encoder.image.map.weight.grad, plain.encoder.image.map.weight.grad)
    grads = by_source.encoder.source_scales.log_scale.grad
    assert grads[0] == 0
    assert torch.equal(grads[1], plain.encoder.log_scale.grad)
    if kind == "sigmoid":
        assert torch.equal(by_source.encoder.source_scales.bias.grad[1], plain.encoder.logit_bias.grad)


def test_terms_that_know_one_scale_are_refused_by_name_where_sources_mix():
    made = ContrastiveModule(encoder=encoder(), objectives={"fine": Contrastive(), "odd": OneScale()}).double()
    made.setup_objectives(())
    with pytest.raises(ConfigError, match=r"objective 'odd' gives no number .* data.mixture.group to data.batch_size"):
        made.losses(made.features(batch([0, 1] * 4)))
    assert made.losses(made.features(batch([1] * 8)))["odd"].isfinite()


class OneScale(Contrastive):
    """A loss of somebody who knows nothing of sources."""

    def forward(self, features):
        return softmax_loss(
            features.image, features.text, features.logit_scale, Pairs.from_batch(features.batch, (), ())
        )


def test_the_names_must_be_those_of_the_mixture():
    made = encoder()
    check_encoder(made, type("Data", (), {"source_names": NAMES[::-1]}))
    check_encoder(encoder(()), type("Data", (), {"source_names": NAMES}))
    for names in ((), ("ct",), ("ct", "slides", "tiles")):
        with pytest.raises(
            ConfigError, match=r"source_scales names ct, slides, but data.mixture has .*; name the same"
        ):
            check_encoder(made, type("Data", (), {"source_names": names}))
    with pytest.raises(ConfigError, match="names a source twice: ct, ct"):
        encoder(("ct", "ct"))


def test_each_source_learns_its_own_temperature():
    """Of texts that fit their images well and of texts that fit badly, in turn: each as if it were alone."""
    g = torch.Generator().manual_seed(0)
    image = F.normalize(torch.randn(2, 32, 16, generator=g, dtype=torch.float64), dim=2)
    noise = torch.randn(2, 32, 16, generator=g, dtype=torch.float64) * torch.tensor([0.05, 1.0])[:, None, None]
    text = F.normalize(image + noise, dim=2)
    pairs = Pairs(torch.arange(32), 32)
    made = encoder(logit_scale_limits=(0.5, 500.0)).double()
    optimizer = torch.optim.SGD([made.source_scales.log_scale], 1.0)
    alone = [log.detach().clone().requires_grad_() for log in made.source_scales.log_scale]
    single = torch.optim.SGD(alone, 1.0)
    for step in range(40):
        kind = step % 2
        for scale, each in ((made.scales_of(batch([kind] * 8))[0], optimizer), (alone[kind].exp(), single)):
            each.zero_grad()
            softmax_loss(image[kind], text[kind], scale, pairs).backward()
            each.step()
        made.clamp_scale()
    learned = made.source_scales.log_scale.exp().tolist()
    assert learned == pytest.approx([log.exp().item() for log in alone], rel=1e-10)
    assert learned[0] > 1.5 * learned[1]
    assert made.logit_scale.item() == pytest.approx(math.sqrt(learned[0] * learned[1]))


@pytest.mark.parametrize("spread", [1.0, 0.01])
def test_float32_is_no_worse_than_the_dense_loss(spread):
    """At random and aligned: at most 1e-6, or twice the error of the dense float32 loss."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(96, 64, generator=g, dtype=torch.float64)
    y = x * (spread < 1) + spread * torch.randn(96, 64, generator=g, dtype=torch.float64)
    source, owner = torch.arange(96) % 3, torch.arange(96)
    leaves = {"x": F.normalize(x), "y": F.normalize(y), "log": torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)}

    def gradients(dense, dtype):
        own = {name: value.to(dtype).requires_grad_() for name, value in leaves.items()}
        scale = own["log"].exp()[source]
        if dense:
            z = (scale[:, None] * scale).sqrt() * (own["x"] @ own["y"].T)
            loss = (F.cross_entropy(z, owner) + F.cross_entropy(z.T, owner)) / 2
        else:
            parts = scaled(own["x"], own["y"], owner, ItemScales(scale), None, biased=False)
            loss = softmax_loss(*parts, torch.ones(()), Pairs(owner, 96), (31, 47))
        return torch.autograd.grad(loss, list(own.values()))

    exact = gradients(True, torch.float64)
    for right, dense, ours in zip(exact, gradients(True, torch.float32), gradients(False, torch.float32), strict=True):
        wrong = [float((found.double() - right).norm() / right.norm()) for found in (dense, ours)]
        assert wrong[1] <= max(1e-6, 2 * wrong[0]), wrong
