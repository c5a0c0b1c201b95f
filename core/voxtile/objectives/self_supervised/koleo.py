"""KoLeo: images keep their distance from their nearest neighbours (Sablayrolles et al., ICLR 2019; DINOv2).

Shape letters: B items, W the tower's width, D the shared width.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.types import Features

_SLAB = 1024  # rows of the similarities that are held at a time
_LEAST = 1e-8  # distance that counts: repeated images are at 0, and get no gradient


class KoLeo(Objective):
    """Spreads the vectors of a batch over the sphere by the distance of each from its nearest neighbour.

    With x_i the normalised vectors (Spreading vectors for similarity search, Sablayrolles et al., ICLR 2019,
    equation 2; DINOv2, Oquab et al., TMLR 2024, section 4, with a weight of 0.1):

        L = −1/B Σ_i log d_i,   d_i = min_{j≠i} ‖x_i − x_j‖

    It is the Kozachenko-Leonenko estimate of the entropy but for constants. Neighbours are looked for in the whole
    batch, over all micro-batches and processes, where DINOv2's code stays within one GPU. The vectors are those that
    the module has made of the batch already, so that the term costs no further pass; it needs no texts.

    Args:
        of: `pooled`, what the image tower gives, or `embedding`, the same after the projection.

    Raises:
        ConfigError: neither of the two.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import KoLeo
        >>> from voxtile.types import Features
        >>> opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> features = Features.of_pairs(opposite, opposite)
        >>> round(KoLeo(of="embedding")(features).item(), 4)  # -log 2: as far apart as can be
        -0.6931
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pooled"})
    couples_items: ClassVar[bool] = True
    reads_texts = False

    def __init__(self, *, of: Literal["pooled", "embedding"] = "pooled") -> None:
        super().__init__()
        if of not in ("pooled", "embedding"):
            raise ConfigError(f"KoLeo spreads pooled or embedding, not '{of}'")
        self.of = of

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 of a single item, which has no neighbour."""
        vectors = features.image_encoded.pooled if self.of == "pooled" else features.image
        with torch.autocast(vectors.device.type, enabled=False):
            x = F.normalize(full_precision(vectors), dim=1)
            if len(x) < 2:
                return x.sum() * 0.0
            distance: Tensor = torch.linalg.vector_norm(x - x[_nearest(x.detach())], dim=1)
            return -distance.clamp(min=_LEAST).log().mean()


def _nearest(x: Tensor) -> Tensor:
    """[B] which other of the normalised [B, W] is the nearest."""
    found = []
    for start in range(0, len(x), _SLAB):
        alike = x[start : start + _SLAB] @ x.T
        own = torch.arange(len(alike), device=x.device)
        alike[own, own + start] = -torch.inf
        found.append(alike.argmax(1))
    return torch.cat(found)
