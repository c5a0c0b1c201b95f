"""Logits of items that have scales and biases of their own, as plain inner products.

Shape letters: B items, T texts, D the shared width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxtile.distributed import Share, whole_gradient
from voxtile.models.tower import full_precision
from voxtile.types import ItemScales


def scaled(
    image: Tensor, text: Tensor, text_item: Tensor, each: ItemScales, share: Share | None, *, biased: bool
) -> tuple[Tensor, Tensor]:
    """Embeddings X, Y with ⟨X_i, Y_j⟩ = √(s_i s_j)·⟨x_i, y_j⟩ + (b_i + b_j)/2, text j having its item's s and b.

    A loss of X·Yᵀ with scale 1 and bias 0 then needs to know nothing of sources, and stays as exact as it is: tiled,
    cached and distributed. The bias takes two features more, (½b_i, 1) beside (1, ½b_j).

    Args:
        image: [B, D].
        text: [T, D].
        text_item: [T] int64, item of each.
        each: scales and biases of the items.
        share: the rows that this process computes, where the loss gives the gradient of its own images alone.
        biased: whether the bias counts.
    """
    with torch.autocast(image.device.type, enabled=False):
        image, text = full_precision(image), full_precision(text)
        root, roots = whole_gradient(share, each.scale).sqrt(), each.scale.sqrt()[text_item]
        image, text = image * root.unsqueeze(1).to(image.dtype), text * roots.unsqueeze(1).to(text.dtype)
        if not biased or each.bias is None:
            return image, text
        half, halves = 0.5 * whole_gradient(share, each.bias).to(image), 0.5 * each.bias[text_item].to(text)
        image = torch.cat([image, half.unsqueeze(1), torch.ones_like(half).unsqueeze(1)], 1)
        return image, torch.cat([text, torch.ones_like(halves).unsqueeze(1), halves.unsqueeze(1)], 1)
