"""Label smoothing of the softmax contrast, in tiles (Szegedy et al., CVPR 2016, section 7).

Smoothing gives the share ε of each target to all valid pairs alike. In the notation of
`voxtile.objectives.contrastive.tiled` that adds to the loss a term that is linear in the logits,

    L_ε − L = ε · ½ · 1/B' Σ_i [ 1/|P(i)| Σ_{j∈P(i)} z_ij − 1/|V(i)| Σ_{k∈V(i)} z_ik ]  +  ε · ½ · the same over columns
            = ε · Σ_ij a_ij z_ij,

summed over rows (columns) with a positive. The weights a depend on the pairs alone and are never held as a matrix.

Shape letters: B items, T texts, D the shared width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from voxtile.models.tower import full_precision
from voxtile.objectives.contrastive.tiled import tiles
from voxtile.objectives.pairs import Pairs


def smoothing_term(image: Tensor, text: Tensor, logit_scale: Tensor, pairs: Pairs, tile: tuple[int, int]) -> Tensor:
    """Σ a_ij z_ij, which label smoothing adds ε times.

    Args:
        image: [B, D] embeddings.
        text: [T, D] embeddings.
        logit_scale: scalar s.
        pairs: positive and ignored pairs.
        tile: rows and columns of a tile; changes memory and speed only.
    """
    with torch.autocast(image.device.type, enabled=False):
        image, text = full_precision(image), full_precision(text)
        weights = _Weights.of(pairs, tile, image)
        mixed: Tensor = _Mixed.apply(text, weights)  # type: ignore[no-untyped-call]
        return logit_scale * (image * mixed).sum()


@dataclass(frozen=True)
class _Weights:
    """a_ij tile by tile: each row's and column's share of a positive and of a valid pair."""

    pairs: Pairs
    tile: tuple[int, int]
    rows: tuple[Tensor, Tensor]  # ([B], [B])
    columns: tuple[Tensor, Tensor]  # ([T], [T])

    @classmethod
    def of(cls, pairs: Pairs, tile: tuple[int, int], like: Tensor) -> _Weights:
        shape = (pairs.items, len(pairs.owner))
        counts = [[like.new_zeros(n, dtype=torch.float64) for _ in range(2)] for n in shape]
        for r, c in tiles(*shape, tile):
            for kind, mask in enumerate(pairs.masks(r, c)):
                counts[0][kind][r] += mask.sum(1)
                counts[1][kind][c] += mask.sum(0)
        rows, columns = (_shares(positive, valid, like) for positive, valid in counts)
        return cls(pairs, tile, rows, columns)

    def at(self, r: slice, c: slice) -> Tensor:
        """[r, c] of a."""
        positive, valid = self.pairs.masks(r, c)
        wanted = self.rows[0][r].unsqueeze(1) + self.columns[0][c]
        smooth = self.rows[1][r].unsqueeze(1) + self.columns[1][c]
        return positive * wanted - valid * smooth


def _shares(positive: Tensor, valid: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """½ / (rows with a positive) / |P| and / |V|; 0 in rows without a positive."""
    live = (positive > 0).double()
    factor = 0.5 * live / live.sum().clamp(min=1)
    return (factor / positive.clamp(min=1)).to(like.dtype), (factor / valid.clamp(min=1)).to(like.dtype)


class _Mixed(torch.autograd.Function):
    """A·Y, [B, D] from [T, D]; the gradient is Aᵀ·G."""

    @staticmethod
    def forward(ctx: Any, text: Tensor, weights: _Weights) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.weights = weights
        mixed = text.new_zeros(weights.pairs.items, text.shape[1])
        for r, c in tiles(len(mixed), len(text), weights.tile):
            mixed[r].addmm_(weights.at(r, c).to(text.dtype), text[c])
        return mixed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's context
        weights: _Weights = ctx.weights
        text_grad = grad.new_zeros(len(weights.pairs.owner), grad.shape[1])
        for r, c in tiles(len(grad), len(text_grad), weights.tile):
            text_grad[c].addmm_(weights.at(r, c).to(grad.dtype).T, grad[r])
        return text_grad, None
