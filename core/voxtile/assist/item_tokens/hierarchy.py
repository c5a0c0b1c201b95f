"""Hierarchical tokens: of a study of several series, or a slide of patches, a bounded number for the language model.

Shape letters: S images, B items, N tokens of an image, E of them that are kept, Q tokens of an item, M the most images
of an item, D width of the tower, H within.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtile.models.tower import full_precision
from voxtile.objectives.generative.captioning import AttentionalPool
from voxtile.objectives.generative.cross_attention import require_tokens
from voxtile.types import Encoded


class HierarchyTokens(nn.Module):
    """Tokens of an item from those of its images: patch → region → slide, as slice → series → study.

    Queries look at the tokens of each image by itself, and what they find, with what the tower makes of the image as a
    whole, is looked at by queries of the item (two levels of the resampler of Flamingo, Alayrac et al., NeurIPS 2022;
    HIPT, Chen et al., CVPR 2022, for slides). The order of images means nothing, and their number does not change that
    of the tokens.

    Args:
        queries: Q.
        each: E.
        heads: of the attention.
        hidden: H.
        width: D.
    """

    def __init__(self, queries: int, each: int, heads: int, hidden: int, width: int) -> None:
        super().__init__()
        self.of_image = AttentionalPool(each, hidden, heads, width)
        self.whole = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.norm = nn.LayerNorm(hidden)
        self.of_item = AttentionalPool(queries, hidden, heads, hidden)

    def forward(self, encoded: Encoded) -> Tensor:
        """[B, Q, H] of B items.

        Raises:
            ConfigError: the tower gives no tokens.
        """
        images, item = encoded, torch.arange(len(encoded.pooled), device=encoded.pooled.device)
        if encoded.members is not None:
            images, item = encoded.members.encoded, encoded.members.item
        tokens, padding = require_tokens(images, "Answering", "image")
        kept = self.of_image(full_precision(tokens), padding) + self.whole(full_precision(images.pooled)).unsqueeze(1)
        laid, absent = laid_out(self.norm(kept), item, len(encoded.pooled))
        found: Tensor = self.of_item(laid, absent)
        return found


def laid_out(values: Tensor, item: Tensor, items: int) -> tuple[Tensor, Tensor]:
    """[S, E, H] of images in any order to [B, M·E, H] of items, and [B, M·E] bool, True where there is nothing.

    Args:
        values: of the images.
        item: [S] int64, item of each; every item has at least one.
        items: B.
    """
    counts = torch.bincount(item, minlength=items)
    order = torch.argsort(item, stable=True)
    seat = torch.empty_like(item)
    seat[order] = torch.arange(len(item), device=item.device) - (counts.cumsum(0) - counts)[item[order]]
    most, each = int(counts.max()), values.shape[1]
    laid = values.new_zeros(items, most, *values.shape[1:]).index_put((item, seat), values)
    absent = torch.arange(most, device=item.device) >= counts.unsqueeze(1)
    return laid.flatten(1, 2), absent.repeat_interleave(each, 1)
