"""Muon beside AdamW: the same steps as PyTorch's own two, one schedule over both, and a state that resumes."""

import copy

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.training.optimisers import AdamW, by_muon

LR, DECAY, STEPS = 1e-2, 0.1, 4


def network():
    torch.manual_seed(0)
    made = nn.ModuleDict({"token_embed": nn.Embedding(7, 6), "hidden": nn.Linear(6, 5), "head": nn.Linear(5, 3)})
    return made.double()


def train(made, optimizer, steps, schedule=None):
    tokens = torch.randint(7, (4, 8), generator=torch.Generator().manual_seed(1))
    for step in steps:
        loss = made["head"](made["hidden"](made["token_embed"](tokens[step])).tanh()).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return {name: value.detach().clone() for name, value in made.named_parameters()}


def ours(made):
    return AdamW(lr=LR, weight_decay=DECAY, muon=True).build(made.named_parameters())


def test_the_steps_are_those_of_both_optimisers():
    made, peer = network(), network()
    found = train(made, ours(made), range(STEPS))
    muon = torch.optim.Muon([peer["hidden"].weight], lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    matrices = [peer["token_embed"].weight, peer["head"].weight]
    vectors = [peer["hidden"].bias, peer["head"].bias]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)

    class Both:
        def zero_grad(self):
            peer.zero_grad()

        def step(self):
            muon.step()
            adamw.step()

    expected = train(peer, Both(), range(STEPS))
    assert all(torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12) for name in expected)
    plain = network()
    without = train(plain, AdamW(lr=LR, weight_decay=DECAY).build(plain.named_parameters()), range(STEPS))
    assert not torch.allclose(found["hidden.weight"], without["hidden.weight"], atol=1e-4)


def test_a_schedule_reaches_both_and_a_run_resumes():
    def half(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 if step < 2 else 0.5)

    whole = network()
    optimizer = ours(whole)
    expected = train(whole, optimizer, range(STEPS), half(optimizer))
    assert {group["lr"] for group in optimizer.param_groups} == {LR / 2}

    made = network()
    first = ours(made)
    schedule = half(first)
    train(made, first, range(2), schedule)
    state, rates = copy.deepcopy(first.state_dict()), copy.deepcopy(schedule.state_dict())
    again = ours(made)
    schedule = half(again)
    again.load_state_dict(state)
    schedule.load_state_dict(rates)
    found = train(made, again, range(2, STEPS), schedule)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_goes_to_muon_and_what_cannot():
    matrix = torch.zeros(4, 4)
    assert by_muon("encoder.image.blocks.0.attn.qkv.weight", matrix)
    for name in (
        "encoder.text.token_embedding.weight",
        "encoder.image_projection.weight",
        "objectives.facts.head.weight",
    ):
        assert not by_muon(name, matrix)
    assert not by_muon("encoder.image.patch_embed.proj.weight", torch.zeros(4, 3, 2, 2))
    with pytest.raises(ConfigError, match="no tower that learns has matrices"):
        AdamW(muon=True).build([("head", nn.Parameter(torch.zeros(2, 2)))])
