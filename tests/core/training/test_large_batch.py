"""A batch in parts gives the gradient of the whole, dropout, scale and bias included."""

import pytest
import torch
from timm.layers.norm_act import freeze_batch_norm_2d

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextTransformer
from voxtile.models.tuning import Tuning
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.training.module import ContrastiveModule
from voxtile.training.step.large_batch import LargeBatch, split_items
from voxtile.training.step.seeds import micro_seed
from voxtile.types import Batch, Features

WORDS = ("nodule", "effusion", "fracture", "no", "left", "right")


def batch(items=12, images_each=1, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    owners = torch.arange(items).repeat_interleave(images_each)
    texts = [f"{WORDS[i % 6]} {WORDS[(i * 5 + 1) % 6]} {i}" for i in range(items + 5)]
    text_item = torch.cat([torch.arange(items), torch.arange(5)]).sort().values
    return Batch(
        images=torch.randn(len(owners), 1, 16, 16, generator=g, dtype=dtype),
        image_item=owners,
        texts=texts,
        text_item=text_item,
        study=torch.arange(items) // 2,
        subject=torch.arange(items) // 3,
        text_hash=torch.randint(0, 9, (items + 5,), generator=g),
        facts=torch.randint(-1, 2, (items, 2), generator=g, dtype=torch.int8),
        fact_names=("a", "b"),
        uids=[str(i) for i in range(items)],
        draws=torch.arange(items),
    )


def module(kind, dropout, micro=None, items=12):
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, widths=[8, 16], blocks=[1, 1], width=12, dropout=dropout),
        text=TextTransformer(vocabulary=300, context=8, width=16, depth=1, dropout=dropout),
        embed_dim=8,
        logit_bias=-1.0 if kind == "sigmoid" else None,
    )
    encoder.text.tokenizer.train([f"{a} {b} {n}" for n, (a, b) in enumerate(zip(WORDS, WORDS[::-1], strict=True))])
    objectives = {"contrastive": Contrastive(kind=kind, positives=["text"], ignore=["subject"]), "facts": FactHead()}
    sizes = None if micro is None else {"global": items, "micro": micro}
    made = ContrastiveModule(encoder=encoder, objectives=objectives, batch=sizes)
    made.setup_objectives(("a", "b"))
    made.preset_config = {}
    return made.double().train()


def gradients(made, loss):
    loss.backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def whole_with_parts_dropout(made, data, micro):
    """One graph over the whole batch, in which each part has the dropout that its number keys."""
    data = made.texts.tokenised(data)
    parts = []
    for number, part in enumerate(split_items(data, micro)):
        torch.manual_seed(micro_seed(made.seed, 0, number))
        image, image_encoded = made.encoder.encode_items(part.images, part.image_item, len(part))
        text, text_encoded = made.encoder.encode_texts(part.tokens)
        parts.append((image, text, image_encoded.pooled, text_encoded.pooled))
    image, text, pooled, text_pooled = (torch.cat(column) for column in zip(*parts, strict=True))
    bias, scale = made.encoder.logit_bias, made.encoder.logit_scale
    encoded = [type("E", (), {"pooled": p})() for p in (pooled, text_pooled)]
    features = Features(image, text, scale, bias, *encoded, data)
    return made.total(made.losses(features))


@pytest.mark.cases(8)
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("micro", "images_each"), [(4, 1), (1, 1), (12, 1), (3, 2)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_every_gradient_equals_that_of_the_whole(kind, micro, images_each, dropout):
    data = batch(images_each=images_each)
    cached = module(kind, dropout, micro)
    found = gradients(cached, cached.total(cached.losses(cached.features(data))))
    dense = module(kind, dropout)
    expected = gradients(dense, whole_with_parts_dropout(dense, data, micro))
    assert set(found) == set(expected)
    assert {"encoder.log_scale"} <= set(found)
    assert ("encoder.logit_bias" in found) == (kind == "sigmoid")
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_without_dropout_it_is_the_plain_step():
    data = batch()
    cached, plain = module("softmax", 0.0, 4), module("softmax", 0.0)
    found = gradients(cached, cached.total(cached.losses(cached.features(data))))
    expected = gradients(plain, plain.total(plain.losses(plain.features(data))))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_a_scaled_loss_scales_every_gradient():
    """As a gradient scaler does for half precision."""
    data = batch()
    made = module("sigmoid", 0.3, 4)
    once = gradients(made, made.total(made.losses(made.features(data))))
    made.zero_grad()
    scaled = gradients(made, 1024 * made.total(made.losses(made.features(data))))
    for name, gradient in once.items():
        torch.testing.assert_close(scaled[name], 1024 * gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_a_locked_tower_gets_no_gradient_and_is_not_encoded_for_one():
    made = module("softmax", 0.0, 4)
    made.encoder.image.requires_grad_(False)
    found = gradients(made, made.total(made.losses(made.features(batch()))))
    assert not any(name.startswith("encoder.image.") for name in found)
    assert any(name.startswith("encoder.text.") for name in found)


class FixedNorms(WaveletTower):
    """Batch normalisation at the statistics of an earlier training, its scale and shift still trained."""

    def train(self, mode=True):
        super().train(mode)
        for part in self.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self


def normalised(tower, micro=None, tuning=None):
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=tower(dimensions=2, channels=1, widths=[4, 8], blocks=[1, 1], width=8),
        text=TextTransformer(vocabulary=300, context=8, width=16, depth=1),
        embed_dim=8,
        image_tuning=tuning,
    )
    encoder.text.tokenizer.train(WORDS)
    for name, statistic in encoder.named_buffers():
        if "running" in name:
            statistic.uniform_(0.5, 2.0)
    sizes = None if micro is None else {"global": 12, "micro": micro}
    return ContrastiveModule(encoder=encoder, objectives={"contrastive": Contrastive()}, batch=sizes).double()


@pytest.mark.parametrize(("tower", "tuning"), [(WaveletTower, Tuning(mode="frozen")), (FixedNorms, None)])
def test_frozen_batch_normalisation_is_exact(tower, tuning):
    data, (cached, plain) = batch(), (normalised(tower, micro, tuning) for micro in (4, None))
    if tuning is None:
        cached.train(), plain.train()
    LargeBatch(12, 4).check(cached.encoder, {}, 12, 1)
    before = {name: value.clone() for name, value in cached.named_buffers()}
    found = gradients(cached, cached.total(cached.losses(cached.features(data))))
    expected = gradients(plain, plain.total(plain.losses(plain.features(data))))
    assert set(found) == set(expected)
    assert any(name.startswith("encoder.image.") for name in found) == (tuning is None)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)
    assert all(torch.equal(value, before[name]) for name, value in cached.named_buffers())


def test_batch_normalisation_of_the_batch_is_refused_by_name():
    sizes = LargeBatch(12, 4)
    live = normalised(WaveletTower).encoder
    with pytest.raises(ConfigError, match=r"BatchNorm2d 'image\.stages\.0\.0\.norm' normalises over the batch"):
        sizes.check(live, {}, 12, 1)
    partly = freeze_batch_norm_2d(live)  # timm's, which leaves those of one dimension
    with pytest.raises(ConfigError, match=r"BatchNorm1d 'image\.pooled_norm' normalises over the batch"):
        sizes.check(partly, {}, 12, 1)
    without = normalised(FixedNorms).train().encoder
    without.image.pooled_norm.running_mean = without.image.pooled_norm.running_var = None
    with pytest.raises(ConfigError, match=r"'image\.pooled_norm' normalises over the batch"):
        sizes.check(without, {}, 12, 1)


def test_evaluation_is_encoded_in_parts_too():
    made = module("softmax", 0.3, 3).eval()
    with torch.no_grad():
        features = made.features(batch())
    whole = module("softmax", 0.3).eval().features(batch())
    torch.testing.assert_close(features.image, whole.image)
    torch.testing.assert_close(features.text, whole.text)


def test_what_cannot_be_taken_apart_is_refused_by_name():
    sizes = LargeBatch.from_config({"global": 8, "micro": 4})
    plain = module("softmax", 0.0)
    with pytest.raises(ConfigError, match="not a multiple of micro"):
        LargeBatch.from_config({"global": 10, "micro": 4})
    with pytest.raises(ConfigError, match="exactly the keys global and micro"):
        LargeBatch.from_config({"global": 8})
    with pytest.raises(ConfigError, match=r"data\.batch_size is 4"):
        sizes.check(plain.encoder, {}, 4, 1)
    sizes.check(plain.encoder, {}, 8, 2)
    with pytest.raises(ConfigError, match="cannot be shared by 3 processes in micro-batches of 4"):
        sizes.check(plain.encoder, {}, 8, 3)
    with pytest.raises(ConfigError, match="'words' needs tokens"):
        sizes.check(plain.encoder, {"words": TokenWise()}, 8, 1)
