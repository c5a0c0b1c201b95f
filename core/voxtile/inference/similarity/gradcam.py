"""Grad-CAM (Selvaraju et al., ICCV 2017): which places of a feature map an image's similarity to a phrase comes from.

With the features A_k of a map and the similarity s,

    α_k = Σ_x ∂s / ∂A_k(x),     map(x) = max(0, Σ_k α_k A_k(x)).

The paper takes the mean over x for α_k, which differs by the number of places alone; with the sum, the map of a tower
that pools by the mean and projects linearly is the class activation map (Zhou et al., CVPR 2016, equation 2) in units
of s, and maps of several levels can be added.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.models.convolution import LINEAR


def gradcam_maps(levels: Sequence[Tensor], scores: Tensor, grid: Sequence[int]) -> Tensor:
    """Maps of phrases, summed over levels.

    Args:
        levels: [S, W_i, *g_i] feature maps from which the scores were computed, with their graph.
        scores: [S, P] similarities.
        grid: *G, of the answer.

    Returns:
        [S, P, *G], at least 0.
    """
    maps = []
    for place in range(scores.shape[1]):
        slopes = torch.autograd.grad(scores[:, place].sum(), list(levels), retain_graph=True, allow_unused=True)
        found = [_map(level, slope, grid) for level, slope in zip(levels, slopes, strict=True) if slope is not None]
        maps.append(torch.stack(found).sum(0))
    return torch.stack(maps, 1)


def _map(level: Tensor, slope: Tensor, grid: Sequence[int]) -> Tensor:
    """[S, *G] of one level."""
    axes = tuple(range(2, level.ndim))
    seen = (slope.sum(axes, keepdim=True) * level.detach()).sum(1, keepdim=True).clamp(min=0)
    return resized(seen, grid)[:, 0]


def resized(maps: Tensor, grid: Sequence[int]) -> Tensor:
    """[S, P, *g] to [S, P, *G], linear between the centres of cells."""
    if tuple(maps.shape[2:]) == tuple(grid):
        return maps.float()
    return F.interpolate(maps.float(), size=tuple(grid), mode=LINEAR[len(grid)], align_corners=False)
