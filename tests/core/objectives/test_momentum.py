"""Momentum copies against a loop over their definition."""

import torch

from voxtile.models.text import TextBag
from voxtile.models.wavelet import WaveletTower
from voxtile.objectives.momentum import MomentumCopy


def networks():
    torch.manual_seed(0)
    image = WaveletTower(dimensions=2, widths=(4,), blocks=(1,), width=8)  # with BatchNorm
    return {"image": image, "text": TextBag(vocabulary=300, context=8, width=8), "map": torch.nn.Linear(8, 4)}


def test_weights_are_averaged_and_statistics_taken_over():
    followed = networks()
    kept = MomentumCopy(followed)
    weights = {name: value.clone() for name, value in kept.state_dict().items()}
    assert {name.split(".")[1] for name in weights} == {"image", "text", "map"}
    for step in range(3):
        followed["image"](torch.randn(4, 1, 8, 8))  # moves BatchNorm's statistics
        for part in followed.values():
            for parameter in part.parameters():
                parameter.data += torch.randn_like(parameter)
        kept.follow(followed, 0.9)
        for name, value in kept.state_dict().items():
            _, part, rest = name.split(".", 2)
            new = followed[part].state_dict()[rest]
            learned = rest in dict(followed[part].named_parameters())
            weights[name] = 0.9 * weights[name] + 0.1 * new if learned else new.clone()
            torch.testing.assert_close(value, weights[name], msg=f"{name} at step {step}")
    assert any("running_mean" in name for name in weights)


def test_copies_are_apart_frozen_and_never_in_training_mode():
    followed = networks()
    kept = MomentumCopy(followed).train()
    before = kept["map"].weight.clone()
    followed["map"].weight.data += 1
    assert torch.equal(kept["map"].weight, before)
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    assert not kept["image"].training
    assert all(parameter.requires_grad for part in ("text", "map") for parameter in followed[part].parameters())
    followed["text"].tokenizer.train(["a nodule"])  # made at the start of a run, after the copies
    assert kept["text"].tokenizer.ready
