"""What an objective is: a weighted term of the loss that declares what it needs."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Features


class Objective(nn.Module):
    """Base class of all objectives.

    Attributes:
        needs: parts of `Features` beyond `image` and `text` that must be computed: `pooled`, `tokens`, `facts`,
            `regions`, …; the module computes only the union over the configured objectives.
        couples_items: True where the loss of one item depends on the others of its batch, so that splitting a batch
            (gradient accumulation) would change the loss.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    couples_items: ClassVar[bool] = False

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Create parameters that depend on the towers' local features, once, before `setup`."""

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create parameters that depend on the model and the data, once before training or loading weights."""

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss of this term (unweighted)."""
        raise NotImplementedError
