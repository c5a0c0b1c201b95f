"""Masks of patches in blocks, 2D and 3D, keyed by the draw (BEiT, Bao et al., ICLR 2022, algorithm 1; iBOT).

Shape letters: S images, N patches of a grid, d axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from voxtile.objectives.keyed import uniform

_LEAST = 4  # patches of a block, where so many are still to be hidden; the numbers are those of BEiT and DINOv2
_ASPECT = 1 / 0.3  # a block is at most so many times longer along one axis than along another
_TRIES = 24  # blocks that are drawn; those that would hide too much are dropped


def block_masks(
    keys: Tensor, grid: Sequence[int], stream: int, *, probability: float, ratio: tuple[float, float]
) -> Tensor:
    """Draw which patches of each image are hidden.

    An image is masked with a probability, and then a share of its patches that is even between two limits; blocks of
    random size, shape and place are laid over each other until no more fits into that number.

    Args:
        keys: [S] int64, see `voxtile.objectives.views.image_keys`.
        grid: of the patches.
        stream: which mask of an image; another one is another mask.
        probability: with which an image is masked.
        ratio: smallest and largest share of its patches.

    Returns:
        [S, N] bool, True where hidden.
    """
    axes, places = len(grid), math.prod(grid)
    drawn = uniform(keys, 2 + _TRIES * (1 + 2 * axes), stream)
    low, high = ratio
    wanted = ((low + (high - low) * drawn[:, 1]) * places).floor().clamp(min=1, max=places)
    wanted = torch.where(drawn[:, 0] < probability, wanted, 0)
    sizes = torch.tensor(grid, device=keys.device)
    hidden = torch.zeros(len(keys), places, dtype=torch.bool, device=keys.device)
    for numbers in torch.unflatten(drawn[:, 2:], 1, (_TRIES, -1)).unbind(1):
        room = wanted - hidden.sum(1)
        area, shape, at = torch.split(numbers, [1, axes, axes], 1)
        least = room.clamp(max=_LEAST)
        volume = least + (room - least) * area[:, 0]
        longer = (shape - shape.mean(1, keepdim=True)) * math.log(_ASPECT)
        sides = (volume[:, None] ** (1 / axes) * longer.exp()).round().clamp(min=1).minimum(sizes)
        start = (at * (sizes - sides + 1)).floor()
        block = _inside(start, start + sides, grid)
        new = (block & ~hidden).sum(1)
        hidden |= block & ((new > 0) & (new <= room))[:, None]
    return hidden


def _inside(start: Tensor, stop: Tensor, grid: Sequence[int]) -> Tensor:
    """[S, N] bool, True within the box from [S, d] to before [S, d]."""
    inside = torch.ones(len(start), 1, dtype=torch.bool, device=start.device)
    for axis, size in enumerate(grid):
        at = torch.arange(size, device=start.device)
        along = (at >= start[:, axis, None]) & (at < stop[:, axis, None])
        inside = (inside[:, :, None] & along[:, None]).flatten(1)
    return inside
