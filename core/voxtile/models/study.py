"""From the samples of an item to the item: the place where attention over scans, slices or patches will go."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StudyPool(nn.Module):
    """Pools the vectors of an item's samples: here their mean."""

    def forward(self, vectors: Tensor, item: Tensor, items: int) -> Tensor:
        """Pool over the samples of each item.

        Args:
            vectors: [S, D].
            item: [S] int64, the item of each sample; every item has at least one.
            items: number of items B.

        Returns:
            [B, D].
        """
        if len(item) == items:  # one sample an item, in some order
            order = torch.empty_like(item)
            order[item] = torch.arange(items, device=item.device)
            return vectors[order]
        total = vectors.new_zeros(items, vectors.shape[1]).index_add(0, item, vectors)
        return total / torch.bincount(item, minlength=items).to(vectors.dtype).unsqueeze(1)
