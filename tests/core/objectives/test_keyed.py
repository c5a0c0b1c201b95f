"""Keyed random numbers: SplitMix64's own, even, and apart for other keys and streams."""

import torch

from voxtile.objectives.keyed_random import _mixed, uniform

WORD = (1 << 64) - 1


def mixed(z):
    """The published finaliser, in whole numbers without sign."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def test_bits_are_those_of_splitmix64():
    for value in (0, 1, 12345, 2**62, 2**63 - 1):
        assert int(_mixed(torch.tensor([value]))) & WORD == mixed(value)


def test_numbers_are_even_and_independent():
    drawn = torch.cat([uniform(torch.arange(20_000), 4, stream) for stream in (0, 1)], 1)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert (drawn.mean(0) - 0.5).abs().max() < 5 * (1 / 12 / 20_000) ** 0.5
    assert (drawn.T.corrcoef() - torch.eye(8)).abs().max() < 5 / 20_000**0.5
    assert drawn.unique().numel() == drawn.numel()


def test_a_key_gives_the_same_wherever_it_stands():
    keys = torch.tensor([5, 9, 2**62])
    assert torch.equal(uniform(keys, 3, 7)[[2]], uniform(keys[[2]], 3, 7))
    assert torch.equal(uniform(keys, 3, 7)[:, :2], uniform(keys, 2, 7))
