"""Feature maps at several resolutions from the last map of a ViT, for grounding.

Shape letters: S images, C channels, W features of a token, *G image grid, *N patches along each axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS

_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class FeaturePyramid(nn.Module):
    """A simple feature pyramid (ViTDet, Li et al., ECCV 2022, figure 2) whose finest map also sees the image itself.

    Strides are 2, 4, 8, … along each axis until they reach the patch, the finest first. Patches of 4 × 16 × 16 voxels
    have levels of 2 × 2 × 2, 4 × 4 × 4, 4 × 8 × 8 and 4 × 16 × 16.

    Args:
        dimensions: 2 or 3.
        channels: C.
        width: W.
        patch: of the tokens.
        widths: features of each level, finest first.

    Raises:
        ConfigError: a patch that is no power of two, or another number of levels than it has.
    """

    def __init__(self, dimensions: int, channels: int, width: int, patch: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        count = max(patch).bit_length() - 1
        if any(p < 2 or p & (p - 1) for p in patch) or len(widths) != count:
            raise ConfigError(
                f"levels {list(widths)}: patches of {' × '.join(map(str, patch))} have {count} levels, a width each, "
                "and their sizes must be powers of two, at least 2"
            )
        conv = CONVOLUTIONS[dimensions]
        strides = [tuple(min(2 ** (level + 1), p) for p in patch) for level in range(count)]
        self.coarse = conv(width, widths[-1], 1)
        self.ups = nn.ModuleList()
        for level in range(count - 1):
            ratio = tuple(b // a for a, b in zip(strides[level], strides[level + 1], strict=True))
            self.ups.append(_TRANSPOSED[dimensions](widths[level + 1], widths[level], ratio, stride=ratio))
        self.norms = nn.ModuleList(nn.GroupNorm(1, w) for w in widths)
        self.fine = conv(channels, widths[0], 4, stride=2, padding=1)

    def forward(self, tokens: Tensor, images: Tensor) -> tuple[Tensor, ...]:
        """[S, W, *N] and [S, C, *G] to maps [S, W_i, *G_i], finest first."""
        x = self.coarse(tokens)
        levels: list[Tensor] = []
        for level in reversed(range(len(self.norms))):
            if levels:
                x = self.ups[level](levels[0])
            if level == 0:
                x = x + self.fine(images)
            levels.insert(0, F.gelu(self.norms[level](x)))
        return tuple(levels)
