"""Random numbers that are a function of an item's draw: the same in any process, micro-batch or resumed run.

Shape letters: N keys, K numbers of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15 - (1 << 64)  # the constants of SplitMix64, as signed numbers
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


def uniform(keys: Tensor, numbers: int, stream: int = 0) -> Tensor:
    """Return numbers in [0, 1), independent over keys, streams and places (SplitMix64, Steele et al., OOPSLA 2014).

    Args:
        keys: [N] int64, such as `Batch.draws`.
        numbers: K, how many of each key.
        stream: what they are for; other streams give other numbers.

    Returns:
        [N, K] float64.
    """
    places = torch.arange(1, numbers + 1, device=keys.device)
    start = _mixed(_mixed(keys + _STEP) ^ _mixed(torch.full_like(keys, stream) - _STEP))
    return _shifted(_mixed(start.unsqueeze(1) + places * _STEP), 11).to(torch.float64) * 2.0**-53


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64's finaliser; products wrap around."""
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift to the right, zeros coming in from the left."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
