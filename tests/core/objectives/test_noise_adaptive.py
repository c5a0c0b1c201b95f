"""Noise-adaptive contrast: planted wrong pairs are found; its gradient is in the exactness table."""

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.noise_adaptive import NoiseAdaptive, fit_mixture
from voxtile.types import Encoded, Features

B, D = 48, 16


def features(batch, seed=0, wrong=8, step=0):
    """Pairs that agree, but for the first few, whose texts belong to nothing."""
    g = torch.Generator().manual_seed(seed)
    image = F.normalize(torch.randn(B, D, generator=g), dim=1)
    text = F.normalize(image + 0.2 * torch.randn(B, D, generator=g), dim=1)
    text[:wrong] = F.normalize(torch.randn(wrong, D, generator=g), dim=1)
    return Features(image, text, torch.tensor(15.0), None, Encoded(image), Encoded(text), batch, step)


def test_a_planted_mixture_is_found():
    g = torch.Generator().manual_seed(0)
    clean, noise = 0.5 + 0.1 * torch.randn(3000, generator=g), 2.0 + 0.4 * torch.randn(1000, generator=g)
    found = fit_mixture(torch.cat([noise, clean]))
    truth = torch.tensor([[0.75, 0.25], [0.5, 2.0], [0.1, 0.4]])
    assert (found - truth).abs().max() < 0.03
    assert torch.allclose(fit_mixture(torch.full((50,), 2.0))[1], torch.full((2,), 2.0).double(), atol=1e-6)


def test_wrong_pairs_are_found_and_pulled_less(made_batch):
    batch, objective = made_batch(B), NoiseAdaptive(warmup=3, refit=2, memory=128)
    plain = Contrastive()
    for step in range(6):
        given = features(batch, step, step=step)
        loss = objective(given)
        assert (step >= 3) == (abs(float(loss - plain(given))) > 1e-3), "plain until the warm-up is over"
        objective.after_step(None, step + 1, 10)
    assert int(objective.count) == 6 * B
    last = objective.losses[torch.arange(5 * B, 6 * B) % 128]
    noise = objective.noise(last)
    assert noise[:8].min() > 0.9
    assert noise[8:].median() < 0.05


def test_validation_remembers_nothing_and_the_state_is_in_the_checkpoint(made_batch):
    batch, objective = made_batch(B), NoiseAdaptive(warmup=0, refit=1)
    objective(features(batch))
    objective.after_step(None, 1, 2)
    again = NoiseAdaptive(warmup=0, refit=1)
    again.load_state_dict(objective.state_dict())
    objective.eval()
    loss = objective(features(batch, 1))
    assert torch.equal(objective.losses, again.losses)
    assert torch.equal(loss, again(features(batch, 1)))
    assert not torch.equal(objective.losses, again.losses)


def test_what_it_cannot_do_is_refused_by_name():
    with pytest.raises(ConfigError, match="smoothing"):
        NoiseAdaptive(smoothing=1.0)
    for wrong in ({"memory": 8}, {"warmup": -1}, {"refit": 0}):
        with pytest.raises(ConfigError, match="memory of at least 32"):
            NoiseAdaptive(**wrong)
