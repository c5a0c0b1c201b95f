"""How much of an image lies at each level of intensity, as features of a tower.

Shape letters: S images, C channels, *G the grid, N bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RANGE = (-1.0, 1.0)


def amounts(images: Tensor, bins: int, value_range: tuple[float, float] = _RANGE) -> Tensor:
    """Square roots of each channel's histogram; values beyond the range fall into the end bins.

    The square root makes rare levels count, and the Euclidean distance of two images that of Hellinger (Arandjelović
    and Zisserman 2012, CVPR, section 2.1, for other histograms). No gradient flows to the images.

    Args:
        images: [S, C, *G].
        bins: N, equally wide.
        value_range: of the images.

    Returns:
        [S, C·N] float32; the squares of each channel sum to 1.
    """
    low, high = value_range
    flat = images.detach().float().flatten(2)
    places = ((flat - low) * (bins / (high - low))).clamp(0, bins - 1).long()
    if torch.compiler.is_compiling():  # no format of export has a bincount
        counts = torch.stack([(places == n).float().sum(2) for n in range(bins)], 2)
    else:
        samples, channels = places.shape[:2]
        places = places + torch.arange(samples * channels, device=images.device).view(samples, channels, 1) * bins
        counts = torch.bincount(places.flatten(), minlength=samples * channels * bins).view(samples, channels, bins)
    return (counts / flat.shape[2]).sqrt().flatten(1)
