"""Schedules, parameter groups and validation recall against closed forms and loops."""

import itertools
import math

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.training.optimisers import AdamW, Constant, CosineWarmup, OneCycle
from voxtile.training.step.held_out import recall_at_1
from voxtile.training.step.seeds import step_seed


def test_cosine_warmup_rises_in_a_line_and_ends_at_its_final():
    schedule = CosineWarmup(warmup_steps=10, final=0.1)
    factors = [schedule.factor(step, 111) for step in range(111)]
    assert factors[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.1 + 0.9 * 0.5)
    assert factors[-1] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_one_cycle_equals_torchs():
    total, schedule = 200, OneCycle(rise=0.25, initial=0.04, final=1e-4)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    # torch counts the peak at 0.25·total − 1 and the end at total − 1, so it is one step ahead on the way up.
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total, pct_start=0.25, div_factor=25, final_div_factor=0.04 / 1e-4, cycle_momentum=False
    )
    for step in range(total):
        assert schedule.factor(step, total) == pytest.approx(peer.get_last_lr()[0], abs=0.04), step
        optimizer.step()
        if step < total - 1:
            peer.step()
    assert schedule.factor(0, total) == pytest.approx(0.04)
    assert schedule.factor(50, total) == 1
    assert schedule.factor(199, total) == pytest.approx(1e-4)


def test_short_runs_and_constants():
    assert Constant().factor(5, 10) == 1
    for schedule in (OneCycle(), CosineWarmup(warmup_steps=100)):
        for total in (1, 2, 3):
            assert all(0 <= schedule.factor(step, total) <= 1 for step in range(total + 2))


@pytest.mark.parametrize(
    ("schedule", "settings", "said"),
    [
        (OneCycle, {"rise": 3}, "OneCycle.rise is a share of the run, from 0 to 1, not 3"),
        (OneCycle, {"rise": math.nan}, "not nan"),
        (OneCycle, {"initial": -0.1}, "OneCycle.initial is a factor of optimizer.lr, at least 0, not -0.1"),
        (OneCycle, {"final": math.inf}, "OneCycle.final"),
        (CosineWarmup, {"final": -1}, "CosineWarmup.final"),
        (CosineWarmup, {"warmup_steps": -5}, "warmup_steps must be at least 0, not -5"),
    ],
)
def test_a_schedule_that_would_climb_or_never_reach_its_peak_is_refused(schedule, settings, said):
    """A share of 3 never reached the peak, and a negative factor went up the loss, without a word."""
    with pytest.raises(ConfigError, match=said):
        schedule(**settings)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"text": nn.Linear(3, 3), "image": nn.Conv2d(1, 2, 3), "norm": nn.LayerNorm(3)})
        self.encoder.log_scale = nn.Parameter(torch.tensor(1.0))
        self.encoder.text.position = nn.Parameter(torch.zeros(4, 3))
        self.encoder.text.frozen = nn.Parameter(torch.zeros(4, 3), requires_grad=False)


def test_norms_biases_positions_and_the_scale_do_not_decay_and_factors_go_by_prefix():
    net = Net()
    optimizer = AdamW(lr=1e-3, weight_decay=0.1, factors={"text": 0.1}).build(net.named_parameters())
    settings = {
        id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    expected = {
        "encoder.text.weight": (1e-4, 0.1),
        "encoder.text.bias": (1e-4, 0.0),
        "encoder.text.position": (1e-4, 0.0),
        "encoder.image.weight": (1e-3, 0.1),
        "encoder.image.bias": (1e-3, 0.0),
        "encoder.norm.weight": (1e-3, 0.0),
        "encoder.norm.bias": (1e-3, 0.0),
        "encoder.log_scale": (1e-3, 0.0),
    }
    named = {name: settings.get(id(p)) for name, p in net.named_parameters()}
    assert named.pop("encoder.text.frozen") is None
    assert {k: pytest.approx(v) for k, v in expected.items()} == named


def test_step_seeds_differ_and_repeat():
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(200)}
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(3, 7) == step_seed(3, 7)


def test_recall_against_a_loop():
    g = torch.Generator().manual_seed(0)
    text_item = torch.randint(0, 12, (40,), generator=g)
    text_hash = torch.randint(0, 15, (40,), generator=g)
    image = nn.functional.normalize(torch.randn(14, 5, generator=g), dim=1)  # items 12 and 13 have no text
    text = nn.functional.normalize(image[text_item] + 0.8 * torch.randn(40, 5, generator=g), dim=1)
    owned = [{text_hash[j].item() for j in range(40) if text_item[j] == i} for i in range(14)]
    z = image @ text.T
    with_text = [i for i in range(14) if owned[i]]
    to_text = sum(text_hash[z[i].argmax()].item() in owned[i] for i in with_text) / len(with_text)
    to_image = sum(text_hash[j].item() in owned[z[:, j].argmax()] for j in range(40)) / 40
    assert recall_at_1(image, text, text_item, text_hash) == pytest.approx((to_text, to_image))
    assert 0.1 < to_text < 1
    assert 0.1 < to_image < 1


def test_recall_without_texts_is_zero():
    none = torch.zeros(0, dtype=torch.int64)
    assert recall_at_1(torch.ones(3, 2), torch.ones(0, 2), none, none) == (0.0, 0.0)


def test_schedules_are_finite_everywhere():
    for schedule in (OneCycle(rise=0.0), OneCycle(rise=1.0), CosineWarmup(warmup_steps=0)):
        assert all(math.isfinite(schedule.factor(step, 50)) for step in range(60))
