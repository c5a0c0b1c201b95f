"""Which patches an image's similarity to a phrase comes through: LeGrad (Bousselham et al., ICCV 2025).

For the tokens Z_l after each of the last layers l, pooled and projected as an image of their own, with attention A_l
of h heads among n tokens,

    s_l = cosine of the pooled Z_l and the phrase,     E_l = 1/(h n) Σ_heads Σ_queries max(0, ∂s_l / ∂A_l),

and the map is Σ_l E_l over the patches. As in the authors' code, Z_l is pooled by its mean over all tokens. Where the
tower pools by attention, A_l is the attention of the pooling over Z_l.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.inference.similarity.attention import PatchTransformer

LAYERS = 2
"""The authors' code looks at the last two layers unless told otherwise."""


def legrad_maps(tower: PatchTransformer, images: Tensor, phrases: Tensor, *, layers: int = LAYERS) -> Tensor:
    """Maps of phrases.

    Args:
        tower: the vision transformer.
        images: [S, C, *G].
        phrases: [P, D] normalised.
        layers: how many of the last ones count.

    Returns:
        [S, P, *g], at least 0.
    """
    with torch.no_grad():
        noted = tower.inputs(images, min(layers, len(tower.blocks)))
    total = images.new_zeros(len(images), len(phrases), *tower.grid)
    with torch.enable_grad():
        for number, block in enumerate(tower.blocks[-(len(noted) - 1) :]):
            if tower.pool is None:
                weights, tokens = block.by_weights(noted[number])
                pooled = tokens.mean(1)
            else:
                seen = tower.last(noted[number + 1])
                query = tower.pool.query.expand(len(seen), -1, -1)
                weights = tower.pool.attention.weights(query, seen).detach().requires_grad_()
                pooled = tower.pool.after(tower.pool.attention.mixed(weights, seen))[:, 0]
            scores = F.normalize(tower.project(pooled), dim=1) @ phrases.T
            for place in range(len(phrases)):
                [slope] = torch.autograd.grad(scores[:, place].sum(), weights, retain_graph=place + 1 < len(phrases))
                seen_through = slope.clamp(min=0).mean((1, 2))[:, tower.prefix :]
                total[:, place] += seen_through.view(len(images), *tower.grid)
    return total
