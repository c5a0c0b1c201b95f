"""Frozen image towers whose vectors are read and not computed: training of what comes after them alone."""

from __future__ import annotations

from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded


class StoredImageTower(ImageTower):
    """Takes the vectors that `voxtile.data.stored.StoredVectors` gives, as they are or through a projector.

    With a text tower that is trained this is LiT (Zhai et al., CVPR 2022); with a frozen one and a projector, the
    recipe of From Unimodal to Multimodal (Maniparambil et al., CVPR 2025).

    Args:
        length: of a vector.
        projector: hidden features of a residual perceptron after the vectors; 0 for none.
        dropout: in the projector.

    Raises:
        ConfigError: numbers out of range.
    """

    dimensions = 2

    def __init__(self, *, length: int, projector: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        if length < 1 or projector < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                "a stored tower needs a length of at least 1, a projector of at least 0 and a dropout below 1, not "
                f"{length}, {projector} and {dropout:g}"
            )
        self.width = self.channels = length
        self.projector: nn.Module | None = None
        if projector:
            last = nn.Linear(projector, length)
            nn.init.zeros_(last.weight)  # at first the vectors as they are
            nn.init.zeros_(last.bias)
            self.projector = nn.Sequential(
                nn.LayerNorm(length), nn.Linear(length, projector), nn.GELU(), nn.Dropout(dropout), last
            )

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, length, 1, 1] vectors.

        Raises:
            ConfigError: local features are asked for.
        """
        if tokens:
            raise ConfigError("stored vectors have no local features; train with the tower itself, or without tokens")
        vectors = images.flatten(1)
        return Encoded(vectors if self.projector is None else vectors + self.projector(vectors))
