"""Patches in the shared space: MaskCLIP (Zhou, Loy and Dai, ECCV 2022, section 3.2).

The last attention layer is left out: each patch keeps its own value, which stays where the patch is, and goes on
through the rest of the tower. In a tower that pools by attention that layer is the pooling.
"""

from __future__ import annotations

from torch import Tensor

from voxtile.inference.similarity.attention import PatchTransformer


def patch_embeddings(tower: PatchTransformer, images: Tensor) -> Tensor:
    """[S, C, *G] images to [S, N, D], not normalised, patches in the order of the grid.

    As in the authors' code, the residual and the feed-forward of the last block stay.
    """
    before, after = tower.inputs(images, 1)
    if tower.pool is None:
        tokens = tower.blocks[-1].by_values(before)
    else:
        tokens = tower.pool.after(tower.pool.attention.value_path(tower.last(after)))
    return tower.project(tokens[:, tower.prefix :])
