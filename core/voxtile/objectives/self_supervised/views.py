"""Further views of what a batch holds: crops of its images, and its texts with words left out; keyed by the draw.

Shape letters: S images, C channels, d axes, *G the grid (Y, X) or (Z, Y, X), T texts, L tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.objectives.keyed_random import uniform
from voxtile.types import Batch

AXES = ("x", "y", "z")  # in the order of a sampling grid, the last axis of a tensor first
_PLACE = 1 << 40  # between the keys of an item's images: there are never so many draws


@dataclass(frozen=True, kw_only=True)
class ImageViews:
    """Random crops of images that are preprocessed already, 2D or 3D.

    Attributes:
        crop: smallest and largest share of the image's area or volume (random resized crop).
        stretch: each axis of the crop is longer or shorter by up to this factor.
        flips: axes that are mirrored in half of the views: `x`, `y`, `z`.
        gain: half-width of a factor around 1 on the values of each channel.
        shift: half-width of what is added to each channel, in normalised units.
        noise: standard deviation of Gaussian noise, in normalised units.
        size: grid of the views; that of the images where left out, which any tower takes.

    Raises:
        ConfigError: an axis that is not, or numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import ImageViews
        >>> views, images, keys = ImageViews(crop=(0.4, 1.0)), torch.randn(2, 1, 8, 16, 16), torch.arange(2)
        >>> views(images, keys, stream=0).shape
        torch.Size([2, 1, 8, 16, 16])
        >>> bool((views(images, keys, stream=0) == views(images, keys, stream=0)).all())  # keyed: the same view again
        True
    """

    crop: tuple[float, float] = (0.3, 1.0)
    stretch: float = 1.15
    flips: tuple[str, ...] = ()
    gain: float = 0.2
    shift: float = 0.2
    noise: float = 0.05
    size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        low, high = self.crop
        if not 0 < low <= high <= 1 or self.stretch < 1:
            raise ConfigError(
                f"views: a crop of {low} to {high} of the image, stretched by {self.stretch}, is not possible; shares "
                "lie above 0 and at most at 1, and stretch is at least 1"
            )
        if not set(self.flips) <= set(AXES):
            raise ConfigError(f"views: flips {', '.join(self.flips)} must be some of the axes {', '.join(AXES)}")
        if any(n < 1 for n in self.size):
            raise ConfigError(f"views: size {list(self.size)} needs numbers of at least 1, one an axis")
        if min(self.gain, self.shift, self.noise) < 0:
            raise ConfigError(
                f"views: gain {self.gain}, shift {self.shift} and noise {self.noise} must not be negative"
            )

    def __call__(self, images: Tensor, keys: Tensor, stream: int) -> Tensor:
        """Return a view of each image.

        Args:
            images: [S, C, *G].
            keys: [S] int64, see `image_keys`.
            stream: which view of an image; another one is another view.

        Returns:
            [S, C, *G] of the same type, on the grid of the images or on `size`.

        Raises:
            ConfigError: the images have no axis that is to be mirrored, or other axes than `size`.
        """
        axes, channels = images.ndim - 2, images.shape[1]
        size = self.size or images.shape[2:]
        if len(size) != axes:
            raise ConfigError(f"views: size {list(size)} needs {axes} numbers, one an axis of the images")
        for name in self.flips:
            if AXES.index(name) >= axes:
                raise ConfigError(f"views: images have no axis {name} to be mirrored; remove it from flips")
        drawn = uniform(keys, 1 + 3 * axes + 2 * channels, 2 * stream)
        share, ratio, at, flip, gain, shift = torch.split(drawn, [1, axes, axes, axes, channels, channels], 1)
        low, high = self.crop
        side = (low + (high - low) * share) ** (1 / axes) * self.stretch ** (2 * ratio - 1)
        side = side.clamp(max=1.0)
        centre = (2 * at - 1) * (1 - side)
        mirrored = torch.tensor([name in self.flips for name in AXES[:axes]], device=keys.device)
        sides = torch.where(mirrored & (flip < 0.5), -side, side)
        theta = torch.cat([torch.diag_embed(sides), centre.unsqueeze(2)], 2).to(images.dtype)
        grid = F.affine_grid(theta, [*images.shape[:2], *size], align_corners=False)
        made = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        wide = (..., *(None,) * axes)
        made = made * (1 + self.gain * (2 * gain - 1)).to(made.dtype)[wide]
        made = made + (self.shift * (2 * shift - 1)).to(made.dtype)[wide]
        return _noisy(made, keys, 2 * stream + 1, self.noise) if self.noise else made


@dataclass(frozen=True, kw_only=True)
class TextViews:
    """Texts with tokens left out and moved (the noise model of Lample et al., ICLR 2018, section 2.3).

    The first and the last token stay: what a tokenizer puts around a text is there.

    Attributes:
        drop: probability that a token is left out.
        shuffle: no token moves by more places.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import TextViews
        >>> tokens = torch.tensor([[1, 11, 12, 13, 2]])  # between the marks of start and end, which stay
        >>> view = TextViews(drop=0.0, shuffle=2)(tokens, torch.arange(1), stream=0)
        >>> view[0, [0, -1]], view.sort().values  # moved, but none is left out
        (tensor([1, 2]), tensor([[ 1,  2, 11, 12, 13]]))
    """

    drop: float = 0.1
    shuffle: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1 or self.shuffle < 0:
            raise ConfigError(
                f"views of texts: drop {self.drop} must be a probability below 1, and shuffle {self.shuffle} not "
                "negative"
            )

    def __call__(self, tokens: Tensor, keys: Tensor, stream: int) -> Tensor:
        """Return a view of each text.

        Args:
            tokens: [T, L] int64, 0 being padding.
            keys: [T] int64.
            stream: as for images.

        Returns:
            [T, L] int64.
        """
        length = tokens.shape[1]
        real, place = tokens != 0, torch.arange(length, device=tokens.device)
        last = real.sum(1, keepdim=True) - 1
        drawn = uniform(keys, 2 * length, 2 * stream)
        outer = (place == 0) | (place == last)
        kept = real & (outer | (drawn[:, :length] >= self.drop))
        moved = place + torch.where(outer, 0.5, (self.shuffle + 1) * drawn[:, length:])
        moved = torch.where(place == 0, -1.0, torch.where(place == last, 2.0 * length, moved))
        order = moved.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True)
        return tokens.gather(1, order) * kept.gather(1, order)


def image_keys(batch: Batch) -> Tensor:
    """[S] int64: a key for each image, from its item's draw and its place in the item."""
    item = batch.image_item
    first = torch.searchsorted(item, torch.arange(len(batch), device=item.device))
    place = torch.arange(len(item), device=item.device) - first[item]
    return batch.draws[item] + place * _PLACE


@contextmanager
def statistics_kept(tower: nn.Module) -> Iterator[None]:
    """Let batch normalisation note nothing of what is encoded here: evaluation sees whole images, not views of them."""
    norms = [part for part in tower.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted


def summed_by_item(values: Tensor, batch: Batch) -> Tensor:
    """[S, K] of images to [B, K]."""
    return values.new_zeros(len(batch), values.shape[1]).index_add(0, batch.image_item, values)


def _noisy(images: Tensor, keys: Tensor, stream: int, strength: float) -> Tensor:
    """Images with noise added, one at a time, since its numbers are drawn in float64."""
    made = []
    for image, key in zip(images, torch.split(keys, 1), strict=True):
        drawn = uniform(key, image.numel(), stream) * (1 - 2.0**-30) + 2.0**-31  # neither 0 nor 1
        noise = math.sqrt(2) * torch.erfinv(2 * drawn - 1)
        made.append(image + strength * noise.view_as(image).to(image.dtype))
    return torch.stack(made)
