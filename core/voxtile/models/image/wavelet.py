"""A convolutional image tower that starts from wavelets: learns small structures in few steps, 2D and 3D.

Shape letters: S images, C channels, W features, *G the grid (Y, X) or (Z, Y, X), N = product of the last stage's grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS, LAYOUTS, position
from voxtile.models.tower import ImageTower, full_precision
from voxtile.types import Encoded

_NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def haar_filters(dimensions: int) -> Tensor:
    """The orthonormal Haar basis of a patch of two voxels an axis: [2^d, 2, …, 2], the mean first.

    Neighbouring voxels are so alike that the mean carries nearly all variance; the basis separates it from edges and
    corners, and a norm after it gives them equal weight, as whitening does (Mallat 1989, section III; the whitened
    first layer of Coates and Ng 2012).
    """
    step = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    basis = torch.ones(1, *(1,) * dimensions)
    for axis in range(dimensions):
        shape = [2] + [1] * dimensions
        shape[1 + axis] = 2
        basis = (basis.unsqueeze(1) * step.view(shape).unsqueeze(0)).flatten(0, 1)
    return basis


class _Block(nn.Module):
    """Pre-activation residual block whose branch starts at zero."""

    def __init__(self, dimensions: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = _NORM[dimensions](width)
        self.conv1 = CONVOLUTIONS[dimensions](width, width, 3, padding=1)
        self.conv2 = CONVOLUTIONS[dimensions](width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[S, W, *G] to the same."""
        return x + torch.as_tensor(self.conv2(self.dropout(F.relu(self.conv1(F.relu(self.norm(x)))))))


class StagedTower(ImageTower):
    """A stem, residual stages with the place added to each, mean and maximum pooling at every stage.

    Batch normalisation standardises what the stages and the pooling give: differences between patients or places are
    small beside what all have in common, and without it the first epochs are lost. Subclasses give the stem.

    Args:
        dimensions: 2 or 3.
        channels: image channels.
        stem: features of the stem.
        widths: features of each stage; every stage halves the grid, the stem before them once more.
        blocks: residual blocks of each stage.
        strides: of each stage, where not all are 2: with 1 the first stage looks at the stem's own grid, which lesions
            of two or three of its voxels need.
        cells: also give the means of the image over this many cells an axis, standardised: large structures are then
            known from the first step, and the stages learn what means cannot tell. Empty for none.
        bins: also give how much of each channel lies at each of so many levels between −1 and 1, standardised (see
            `voxtile.models.image.wavelet`); 0 for none. What a histogram tells is then known from the first step, too.
        width: length of the pooled vector, one hidden layer after the pooling: what the auxiliary terms ask for then
            outweighs what merely differs between patients.
        dropout: in the blocks and on the pooled vector.
        pool_stem: also pool the stem's features, which then must be rectified.

    Raises:
        ConfigError: lengths that do not match.

    Examples:
        >>> import torch
        >>> from voxtile.models import StagedTower
        >>> class Strided(StagedTower):
        ...     def __init__(self):
        ...         sizes = {"widths": (8,), "blocks": (1,), "cells": (), "width": 32, "dropout": 0.0}
        ...         super().__init__(dimensions=2, channels=1, stem=4, **sizes)
        ...         self.stem = torch.nn.Conv2d(1, 4, 2, stride=2)
        ...     def stem_features(self, images):
        ...         return self.stem(images)
        >>> Strided()(torch.randn(2, 1, 16, 16)).pooled.shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        *,
        dimensions: int,
        channels: int,
        stem: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        cells: Sequence[int],
        width: int,
        dropout: float,
        pool_stem: bool = False,
        bins: int = 0,
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths:
            raise ConfigError(f"widths {list(widths)} and blocks {list(blocks)} of a tower must be equally long")
        steps = [2] * len(widths) if strides is None else list(strides)
        if len(steps) != len(widths) or min(steps) < 1:
            raise ConfigError(f"strides {steps} of a tower with widths {list(widths)} must be as many, each at least 1")
        if cells and len(cells) != dimensions:
            raise ConfigError(f"cells {list(cells)} of a {dimensions}D tower need {dimensions} numbers")
        self.dimensions, self.channels, self.cells = dimensions, channels, tuple(cells)
        self.width = width
        conv, norm = CONVOLUTIONS[dimensions], _NORM[dimensions]
        inputs = [stem, *widths[:-1]]
        self.downs = nn.ModuleList(
            conv(a, b, 3, stride=step, padding=1) for a, b, step in zip(inputs, widths, steps, strict=True)
        )
        self.places = nn.ModuleList(conv(2 * dimensions, w, 1, bias=False) for w in widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(dimensions, w, dropout) for _ in range(n)))
            for w, n in zip(widths, blocks, strict=True)
        )
        self.norms = nn.ModuleList(norm(w) for w in widths)
        self.pool_stem, self.bins = pool_stem, bins
        pooled = (
            2 * sum(widths) + 2 * stem * pool_stem + (channels * math.prod(cells) if cells else 0) + channels * bins
        )
        self.pooled_norm = nn.BatchNorm1d(pooled)
        self.hidden = nn.Sequential(nn.Linear(pooled, width, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.token_head = nn.Linear(widths[-1], self.width)
        self.level_widths = (stem, *widths)

    def stem_features(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, stem, *G / 2]."""
        raise NotImplementedError

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, *G] images.

        Returns:
            `pooled` [S, width]; with `tokens` also [S, N, width] on the last stage's grid, and the stem and the stages
            as `levels`.
        """
        x = self.stem_features(images)
        levels = [x]
        means = (
            _POOL[self.dimensions](images, self.cells).flatten(1)
            if self.cells
            else images.new_empty(images.shape[0], 0)
        )
        pooled = _mean_and_max(x) if self.pool_stem else []
        if self.bins:
            pooled.append(amounts(images, self.bins))
        level = x
        for i, (down, place, stage, norm) in enumerate(
            zip(self.downs, self.places, self.stages, self.norms, strict=True)
        ):
            x = down(F.relu(x) if i else x)
            x = stage(x + place(position(x)))
            level = F.relu(norm(x))
            pooled += _mean_and_max(level)
            levels.append(level)
        out = self.hidden(self.dropout(self.pooled_norm(full_precision(torch.cat([*pooled, means], 1)))))
        if not tokens:
            return Encoded(out)
        return Encoded(out, self.token_head(_spots(level)), tuple(level.shape[2:]), None, tuple(levels))


class WaveletTower(StagedTower):
    """A fixed Haar stem, then residual stages; see `StagedTower` for the other arguments.

    Args:
        dimensions: 2 or 3.
        channels: image channels; the stem has 2^dimensions features for each.
        rectify: pass the coefficients through GELU, which all but hides what lies below their mean; for masks, where
            lung and the air beside it must be told apart, they are better left linear.
        details: weight of the details beside the mean. In a noisy scan seven of eight coefficients are mostly noise,
            and at full weight they hide the mean.
        mix: mix the coefficients of all channels at each place into so many rectified features, which are also pooled
            over the whole image; 0 for none. What only several channels together tell (bright in one and dark in
            another) is then learned at the stem's resolution, and how much of the image is such, without a stage. The
            coefficients stay linear.

    Examples:
        >>> import torch
        >>> from voxtile.models import WaveletTower
        >>> tower = WaveletTower(dimensions=3, widths=(8, 16), blocks=(1, 1), width=32)
        >>> encoded = tower(torch.randn(2, 1, 16, 32, 32), tokens=True)
        >>> encoded.pooled.shape
        torch.Size([2, 32])
        >>> [list(level.shape[1:]) for level in encoded.levels]  # the stem and the stages, for grounding
        [[8, 8, 16, 16], [8, 4, 8, 8], [16, 2, 4, 4]]
    """

    def __init__(
        self,
        *,
        dimensions: Literal[2, 3] = 3,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 1, 1),
        cells: Sequence[int] = (),
        width: int = 256,
        dropout: float = 0.0,
        rectify: bool = True,
        details: float = 1.0,
        mix: int = 0,
        bins: int = 0,
        strides: Sequence[int] | None = None,
    ) -> None:
        filters = haar_filters(dimensions)
        stem = channels * len(filters)
        super().__init__(
            dimensions=int(dimensions),
            channels=channels,
            stem=mix or stem,
            widths=widths,
            blocks=blocks,
            cells=cells,
            width=width,
            dropout=dropout,
            pool_stem=mix > 0,
            bins=bins,
            strides=strides,
        )
        self.rectify = rectify and not mix
        self.stem = CONVOLUTIONS[self.dimensions](channels, stem, 2, stride=2, bias=False, groups=channels)
        self.stem.weight.requires_grad_(False).copy_(filters.repeat(channels, *(1,) * self.dimensions).unsqueeze(1))
        self.stem_norm = _NORM[self.dimensions](stem, affine=False)
        weights = torch.full((stem,), float(details))
        weights[:: len(filters)] = 1  # the means
        self.details: Tensor | None
        self.register_buffer("details", weights.view(-1, *(1,) * self.dimensions) if details != 1 else None, False)
        self.mix: nn.Module | None = None
        if mix:
            mixer = CONVOLUTIONS[self.dimensions](stem, mix, 1, bias=False)
            self.mix = nn.Sequential(mixer, _NORM[self.dimensions](mix), nn.ReLU())

    def stem_features(self, images: Tensor) -> Tensor:
        """[S, C, *grid] to standardised Haar coefficients; none is learned at the finest grid: it would cost most."""
        with torch.no_grad():
            laid_out = images.contiguous(memory_format=LAYOUTS[self.dimensions])
            coefficients = self.stem_norm(self.stem(laid_out))
            if self.details is not None:
                coefficients = coefficients * self.details
            if self.rectify:
                coefficients = F.gelu(coefficients)
        return coefficients if self.mix is None else torch.as_tensor(self.mix(coefficients))


def _spots(features: Tensor) -> Tensor:
    """[S, W, *G] to [S, N, W]; a view, since channels come last in memory."""
    return features.movedim(1, -1).flatten(1, -2)


def _mean_and_max(features: Tensor) -> list[Tensor]:
    """[S, W] each, over all places."""
    spots = _spots(features)
    return [spots.mean(1), spots.max(1).values]


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
