"""Gated contrast: who doubts whom, and what is remembered; its gradient is in the exactness table."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.gated import GatedContrastive
from voxtile.types import Encoded, Features

B, D = 6, 16


@pytest.fixture
def given(made_batch):
    """Each item has a raw and a synthetic caption; the raw one of the first says something else."""
    g = torch.Generator().manual_seed(0)
    image = F.normalize(torch.randn(B, D, generator=g), dim=1)
    text = F.normalize(image.repeat_interleave(2, 0) + 0.1 * torch.randn(2 * B, D, generator=g), dim=1)
    text[0] = -text[1]
    batch = made_batch(B, torch.arange(B).repeat_interleave(2))
    batch.text_kinds = ["raw", "rewrite"] * B
    return Features(image, text, torch.tensor(10.0), None, Encoded(image), Encoded(text), batch)


def weights(objective, given):
    kinds = objective._kinds(given.batch, given.text.device)
    return objective._weights(given, kinds)


def test_a_sample_whose_captions_disagree_counts_less(given):
    objective = GatedContrastive()
    found = weights(objective, given)
    agree = (given.text[::2] * given.text[1::2]).sum(1)
    expected = 2 * (agree[0] - agree.mean())
    fits = (given.image[0] * given.text[0]).sum()
    raw = (given.image * given.text[::2]).sum(1).mean()
    assert found[0] == pytest.approx(float((expected + 2 * (fits - raw)).exp()), rel=1e-5)
    assert found[0] < 0.01
    assert torch.equal(found[2:], torch.ones(2 * B - 2))


def test_the_history_follows_training_alone_and_is_kept(given):
    objective = GatedContrastive(momentum=0.75)
    objective(given)
    first = objective.history.clone()
    later = replace(given, text=given.text.flip(0))
    objective.eval()(later)
    assert torch.equal(objective.history, first)
    again = GatedContrastive(momentum=0.75)
    again.load_state_dict(objective.state_dict())
    again(later)
    agree = (later.text[::2] * later.text[1::2]).sum(1).mean()
    assert again.history[0] == pytest.approx(float(0.75 * first[0] + 0.25 * agree), rel=1e-5)


def test_what_it_cannot_do_is_refused_by_name(given):
    with pytest.raises(ConfigError, match="kind of each caption"):
        GatedContrastive()(replace(given, batch=replace(given.batch, text_kinds=None)))
    only = replace(given, batch=replace(given.batch, text_kinds=["rewrite"] * 2 * B))
    with pytest.raises(ConfigError, match="first batch has only rewrite; set"):
        GatedContrastive()(only)
    started = GatedContrastive()
    started(given)
    assert started(only) > 0
    with pytest.raises(ConfigError, match="no kind of raw"):
        GatedContrastive(raw=[])
    with pytest.raises(ConfigError, match="momentum"):
        GatedContrastive(momentum=1.0)


def test_who_is_doubted_depends_on_what_is_remembered(given):
    """The same batch after a history of high and of low agreement: doubt compares with the past (ALIP, eq. 3)."""
    trusting, doubting = GatedContrastive(momentum=0.99), GatedContrastive(momentum=0.99)
    for objective, remembered in ((trusting, -0.999), (doubting, 0.999)):
        objective.history.copy_(torch.tensor([remembered, 0.5, 0.5]))
        objective.started.fill_(True)
    assert torch.equal(weights(trusting.eval(), given)[2:], torch.ones(2 * B - 2))
    found = weights(doubting.eval(), given)
    agree = (given.text[::2] * given.text[1::2]).sum(1)
    fits = (given.image.repeat_interleave(2, 0) * given.text).sum(1)
    expected = (2 * (agree.repeat_interleave(2) - 0.999)).exp() * (2 * (fits - 0.5)).exp()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_history_of_three_batches_is_their_moving_mean(given):
    objective, kept = GatedContrastive(momentum=0.75), None
    for turn in range(3):
        now = replace(given, image=F.normalize(given.image.roll(turn, 1), dim=1))
        objective(now)
        fits = (now.image[given.batch.text_item] * now.text).sum(1)
        means = torch.stack([fits[::2].mean(), fits[1::2].mean()])
        kept = means if kept is None else 0.75 * kept + 0.25 * means
        torch.testing.assert_close(objective.history[1:], kept, rtol=1e-5, atol=1e-6)


def test_texts_of_raw_and_of_synthetic_kind_are_compared_with_their_own_past(given):
    objective = GatedContrastive()
    objective.history.copy_(torch.tensor([0.999, 0.8, -0.4]))
    objective.started.fill_(True)
    found = weights(objective.eval(), given)
    fits = (given.image.repeat_interleave(2, 0) * given.text).sum(1)
    sample = (2 * ((given.text[::2] * given.text[1::2]).sum(1) - 0.999)).exp().repeat_interleave(2)
    past = torch.tensor([0.8, -0.4]).repeat(B)
    torch.testing.assert_close(found, sample * (2 * (fits - past)).exp(), rtol=1e-4, atol=1e-6)
