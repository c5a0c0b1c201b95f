"""A batch of images that nothing is said of: terms of pairs are 0 there, and so are their gradients, but never NaN."""

import pytest
import torch

from voxtile.objectives import BagOfDescriptions, Contrastive, Margin, NoiseAdaptive
from voxtile.objectives.functional import contrastive
from voxtile.types import Features

NONE = torch.zeros(0, dtype=torch.int64)


def finite_zero(loss, *inputs):
    gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
    return loss.item() == 0 and not any(g is not None and g.any() for g in gradients)


@pytest.mark.parametrize(
    "objective",
    [
        Contrastive(),
        Contrastive(label_smoothing=0.1),
        Contrastive(kind="sigmoid"),
        Contrastive(kind="sigmoid", positives=["text", "study"], ignore=["subject"]),
        BagOfDescriptions(),
        BagOfDescriptions(pool="mean"),
        Margin(),
        NoiseAdaptive(),
        NoiseAdaptive(positives=["study"]),
    ],
    ids=lambda objective: f"{type(objective).__name__}-{getattr(objective, 'kind', '')}",
)
def test_a_term_is_0(objective):
    image = torch.randn(3, 8, requires_grad=True)
    features = Features.of_pairs(image, torch.zeros(0, 8), bias=-10.0, text_item=NONE)
    for scalar in (features.logit_scale, features.logit_bias):
        scalar.requires_grad_()
    assert finite_zero(objective(features), image, features.logit_scale, features.logit_bias)


@pytest.mark.parametrize("bias", [None, -10.0])
def test_the_loss_on_plain_tensors_is_0(bias):
    image = torch.randn(3, 8, requires_grad=True)
    assert finite_zero(contrastive(image, torch.zeros(0, 8), 10.0, bias, owner=NONE), image)
