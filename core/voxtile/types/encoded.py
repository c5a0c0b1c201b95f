"""What towers give: of images, of texts, and of the members of items that have several."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Encoded:
    """What a tower returns.

    Attributes:
        pooled: [B, D_tower] one vector an item, before projection.
        tokens: [B, N, D_tower] local features, or None.
        grid: spatial shape of `tokens` ((Y, X) or (Z, Y, X), product = N) for images, or None.
        mask: [B, N] bool, True where a token is real, or None when all are.
        levels: [B, W_i, *G_i] feature maps of an image at several resolutions, finest first, or None.
        members: of items of several images what the tower gave of each, where that was asked for, without `tokens`.
        profiles: [B, P, F] what a connector reads of `levels`, where these are not kept, see `Objective.condensed`.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    grid: tuple[int, ...] | None = None
    mask: Tensor | None = None
    levels: tuple[Tensor, ...] | None = None
    members: Members | None = None
    profiles: Tensor | None = None

    def at(self, places: Tensor | slice) -> Encoded:
        """Some of the items, in this order: [R] int64, or a range of them as views."""
        return Encoded(
            self.pooled[places],
            None if self.tokens is None else self.tokens[places],
            self.grid,
            None if self.mask is None else self.mask[places],
            None if self.levels is None else tuple(level[places] for level in self.levels),
            None if self.members is None else self.members.of(places, len(self.pooled)),
            None if self.profiles is None else self.profiles[places],
        )


@dataclass
class Members:
    """What a tower gives of the images of items that have several.

    Attributes:
        encoded: of S images.
        item: [S] int64, item of each, in any order.
    """

    encoded: Encoded
    item: Tensor

    def of(self, places: Tensor | slice, items: int) -> Members:
        """The images of some of the items, which are counted anew.

        Args:
            places: [R] int64, bool [B] or a range, of items; none of them twice.
            items: B.
        """
        chosen = torch.arange(items, device=self.item.device)[places]
        number = torch.full((items,), -1, device=self.item.device)
        number[chosen] = torch.arange(len(chosen), device=self.item.device)
        kept = torch.nonzero(number[self.item] >= 0)[:, 0]
        return Members(self.encoded.at(kept), number[self.item[kept]])
