"""Frozen image towers whose vectors are read and not computed: training of what comes after them alone."""

from __future__ import annotations

from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded


class StoredImageTower(ImageTower):
    """Takes the vectors that `voxtile.data.StoredVectors` gives, as they are.

    With a text tower that is trained this is LiT (Zhai et al., CVPR 2022); with a frozen one and `projector: mlp` of
    the dual encoder, the recipe of From Unimodal to Multimodal (Maniparambil et al., CVPR 2025).

    Args:
        length: of a vector.

    Raises:
        ConfigError: a length below 1.

    Examples:
        >>> import torch
        >>> from voxtile.models import StoredImageTower
        >>> StoredImageTower(length=512)(torch.randn(2, 512, 1, 1)).pooled.shape
        torch.Size([2, 512])
    """

    dimensions = 2

    def __init__(self, *, length: int) -> None:
        super().__init__()
        if length < 1:
            raise ConfigError(f"a stored tower needs a length of at least 1, not {length}")
        self.width = self.channels = length

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, length, 1, 1] vectors.

        Raises:
            ConfigError: local features are asked for.
        """
        if tokens:
            raise ConfigError("stored vectors have no local features; train with the tower itself, or without tokens")
        return Encoded(images.flatten(1))
