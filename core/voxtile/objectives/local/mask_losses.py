"""Losses of masks: of outlines that are known voxel by voxel, and of boxes that only bound them.

Shape letters: R phrases, *G grid, N = product of *G.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None, *, smooth: float = 1.0) -> Tensor:
    """[R] 1 − soft Dice with squared denominators (V-Net, Milletari et al., 3DV 2016, equation 1).

    Args:
        logits: [R, *G].
        target: [R, *G] in 0 to 1.
        weight: voxels that each one stands for, where only some are given, broadcast to [R, *G].
        smooth: added to both sides of the fraction, so that two empty masks agree.
    """
    p, t = logits.sigmoid(), target
    w = torch.ones((), dtype=p.dtype, device=p.device) if weight is None else weight
    both, either = (w * p * t).flatten(1).sum(1), (w * (p.square() + t.square())).flatten(1).sum(1)
    return 1 - (2 * both + smooth) / (either + smooth)


def focal_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None, *, least: float = 100.0) -> Tensor:
    """[R] focal loss with γ = 2 (Lin et al., ICCV 2017, equation 4), summed over voxels; soft targets allowed.

    As there, the sum is divided by the number of positives: a mean over all voxels would say nothing about a lesion
    that fills a thousandth of the image.

    Args:
        logits: [R, *G].
        target: [R, *G] in 0 to 1.
        weight: as in `dice_loss`.
        least: divisor of phrases with fewer positive voxels, those without a target among them.
    """
    cross = F.softplus(logits) - logits * target
    loss = cross * (logits.sigmoid() - target).square()
    w = torch.ones((), dtype=loss.dtype, device=loss.device) if weight is None else weight
    return (w * loss).flatten(1).sum(1) / (w * target).flatten(1).sum(1).clamp(min=least)


def projection_loss(logits: Tensor, box: Tensor, *, smooth: float = 1.0) -> Tensor:
    """[R] Dice of the shadows that mask and box throw on each axis, mean over axes (BoxInst, Tian et al., CVPR 2021).

    A mask that fills its box's extent along every axis and nothing outside it has loss 0: what it does inside is free.

    Args:
        logits: [R, *G].
        box: [R, *G], 1 inside the box.
        smooth: as in `dice_loss`.
    """
    axes = range(1, logits.ndim)
    shadows = []
    for axis in axes:
        others = tuple(a for a in axes if a != axis)
        shadows.append(dice_loss(logits.amax(others), box.amax(others), smooth=smooth))
    return torch.stack(shadows).mean(0)
