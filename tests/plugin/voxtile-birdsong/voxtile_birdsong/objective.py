"""A term of the loss: recordings with the same calls lie together.

Shape letters: B items, D the shared width, F facts.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from voxtile.objectives import Objective
from voxtile.types import Features


class CallCentre(Objective):
    """The centre loss (Wen et al., ECCV 2016, equation 2) with centres of the batch.

    With x_i the embeddings and c_i the mean of those whose facts are the same as those of i,

        L = 1/2B Σ_i ‖x_i − c_i‖²

    Items of which some fact is unknown are left out.
    """

    couples_items: ClassVar[bool] = True
    reads_texts = False

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where nothing is known."""
        facts = features.batch.facts
        known = (facts >= 0).all(1)
        x, facts = features.image[known], facts[known]
        if not len(x) or not facts.shape[1]:
            return features.image.sum() * 0.0
        same = (facts[:, None] == facts[None]).all(2).to(x.dtype)
        centres = same @ x / same.sum(1, keepdim=True)
        return (x - centres).square().sum() / (2 * len(x))
