"""Masked images: what was hidden of an image is drawn from what is left (SimMIM, Xie et al., CVPR 2022).

Shape letters: S images, C channels, W the tower's width, *G the image's grid, *M the grid of patches, *P a patch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import LINEAR
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.self_supervised.views import image_keys, statistics_kept, summed_by_item
from voxtile.types import Encoded, Features

_STREAM = 110
_POOL: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class MaskedImage(ItemObjective):
    """Hides random patches of the image and asks the tower's tokens, through one linear layer, for their values.

    With x the preprocessed image, x̂ the prediction and H the hidden values (SimMIM, equation 1):

        L = 1/|H| Σ_{v∈H} |x̂_v − x_v|

    What is hidden holds the image's mean of each channel. As the mask lies on the image and not on tokens, the term
    works with any tower that gives tokens, be it a transformer or a convolutional one, in 2D and 3D. For masks on
    tokens see `voxtile.objectives.self_supervised.masked_self_distillation`. It needs no texts.

    Args:
        patch: size of a hidden patch, one number or one an axis; the tower's own patch, or the stride of its tokens.
        ratio: share of the patches that are hidden.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, ViTTower
        >>> from voxtile.objectives import MaskedImage
        >>> from voxtile.types import Features
        >>> objective = MaskedImage(patch=4, ratio=0.5)
        >>> objective.setup_towers(ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextBag())
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), images=torch.randn(2, 1, 16, 16))
        >>> objective.rows(features)[:, 1].tolist()  # values that were hidden: half of 16 by 16
        [128.0, 128.0]
    """

    reads_texts = False

    def __init__(self, *, patch: int | Sequence[int] = 16, ratio: float = 0.6) -> None:
        super().__init__()
        self.patch = (patch,) if isinstance(patch, int) else tuple(patch)
        self.ratio = ratio
        if min(self.patch) < 1 or not 0 < ratio < 1:
            raise ConfigError(
                f"MaskedImage hides a share between 0 and 1 of patches of at least one voxel, not {ratio} of "
                f"{list(self.patch)}"
            )
        self.head: nn.Linear | None = None
        self._tower: tuple[ImageTower, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make the layer that predicts.

        Raises:
            ConfigError: the patch has another number of axes than the images.
        """
        if len(self.patch) == 1:
            self.patch *= image.dimensions
        if len(self.patch) != image.dimensions:
            raise ConfigError(f"MaskedImage: patch {list(self.patch)} needs one number, or {image.dimensions}")
        self._tower = (image,)
        self.head = nn.Linear(image.width, image.channels * math.prod(self.patch))

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: the summed error of what was hidden of an item's images, and how many values that were.

        Raises:
            ConfigError: the tower gives no tokens, the patch does not divide the image, or the objective was not set
                up.
        """
        images, batch = features.batch.images, features.batch
        if self.head is None:
            raise ConfigError("MaskedImage was not set up; load a checkpoint or train the model first")
        grid = self._patches(images)
        hidden = self.hidden(image_keys(batch), grid)
        where = self._in_voxels(hidden.view(-1, 1, *grid))
        filled = images.mean(tuple(range(2, images.ndim)), keepdim=True)
        (tower,) = self._tower
        with statistics_kept(tower):
            encoded = tower(torch.where(where, filled, images), tokens=True)
        error = (self._predicted(encoded, grid) - images).abs() * where
        values = torch.stack([error.flatten(1).sum(1), where.expand_as(error).flatten(1).sum(1).to(error.dtype)], 1)
        return summed_by_item(values, batch)

    def hidden(self, keys: Tensor, grid: Sequence[int]) -> Tensor:
        """[S, M] bool, True for the patches that are hidden: the same number of each image, at least one."""
        places = math.prod(grid)
        count = min(max(1, round(self.ratio * places)), places)
        order = uniform(keys, places, _STREAM).argsort(dim=1)
        hidden = torch.zeros(len(keys), places, dtype=torch.bool, device=keys.device)
        return hidden.scatter(1, order[:, :count], True)

    def _patches(self, images: Tensor) -> tuple[int, ...]:
        size = images.shape[2:]
        if any(n % p for n, p in zip(size, self.patch, strict=True)):
            raise ConfigError(
                f"MaskedImage: patches of {list(self.patch)} do not divide images of {list(size)}; change the patch, "
                "or the preset's size"
            )
        return tuple(n // p for n, p in zip(size, self.patch, strict=True))

    def _in_voxels(self, hidden: Tensor) -> Tensor:
        """[S, 1, *M] to [S, 1, *G]."""
        for axis, size in enumerate(self.patch):
            hidden = hidden.repeat_interleave(size, 2 + axis)
        return hidden

    def _predicted(self, encoded: Encoded, grid: tuple[int, ...]) -> Tensor:
        """[S, C, *G] from tokens, which are brought to the grid of patches where theirs is another."""
        assert self.head is not None
        if encoded.tokens is None or encoded.grid is None:
            raise ConfigError(
                "MaskedImage needs an image tower that gives tokens on a grid, such as ViTTower, ConvTower or TimmTower"
            )
        tokens = encoded.tokens
        if encoded.grid != grid:
            maps = torch.unflatten(tokens.transpose(1, 2), 2, encoded.grid)
            coarser = any(a < b for a, b in zip(encoded.grid, grid, strict=True))
            maps = F.interpolate(maps, grid, mode=LINEAR[len(grid)]) if coarser else _POOL[len(grid)](maps, grid)
            tokens = maps.flatten(2).transpose(1, 2)
        axes = len(grid)
        channels = self.head.out_features // math.prod(self.patch)
        cells = torch.unflatten(full_precision(self.head(tokens)), 2, (channels, *self.patch))
        cells = torch.unflatten(cells, 1, grid)
        # [S, *M, C, *P] → [S, C, M1, P1, M2, P2, …]
        pairs = [axis for a in range(axes) for axis in (1 + a, 2 + axes + a)]
        laid_out = cells.permute(0, 1 + axes, *pairs)
        size = (m * p for m, p in zip(grid, self.patch, strict=True))
        made: Tensor = laid_out.reshape(len(tokens), channels, *size)
        return made
