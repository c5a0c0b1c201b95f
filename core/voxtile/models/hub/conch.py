"""The image tower of CONCH (Lu et al. 2024, Nature Medicine), of the parts of timm and open_clip that it is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

# The rest of CoCa. `bare_key` takes `visual.` off the keys of this tower alone.
_NOT_READ = r"(visual\.)?(attn_pool_caption|ln_caption)\..*|text\..*|text_decoder\..*|logit_scale"


class ConchTower(ImageTower):
    """CONCH's image side: a ViT-B/16 of 448 pixels whose tokens one learned query attends to.

    The text side needs the tokenizer of its repository and is not read.

    Args:
        pretrained: a local file in its layout (`pytorch_model.bin` of MahmoodLab/conch), or None for random weights.
        projected: with the projection to the space of texts, or without, as its card advises for images alone.
        size: pixels a side.
        width: of the ViT.
        depth: its blocks.
        heads: of each block.
        embed_dim: length of the vector.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """

    dimensions = 2
    channels = 3

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        projected: bool = False,
        size: int = 448,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        embed_dim: int = 512,
    ) -> None:
        super().__init__()
        from open_clip.transformer import AttentionalPooler
        from timm.models.vision_transformer import VisionTransformer

        self.projected, self.width = projected, embed_dim
        self.trunk = VisionTransformer(
            embed_dim=width, depth=depth, num_heads=heads, img_size=size, patch_size=16, num_classes=0,
            dynamic_img_size=True,
        )  # fmt: skip
        self.attn_pool_contrast = AttentionalPooler(embed_dim, width, n_head=8, n_queries=1)
        self.ln_contrast = nn.LayerNorm(embed_dim)
        self.proj_contrast = nn.Parameter(width**-0.5 * torch.randn(embed_dim, embed_dim))
        self.load_report: LoadReport | None = None
        if pretrained:
            self.load_report = load_report(self, read_weights(pretrained), pretrained, ignored=_NOT_READ)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 3, Y, X] images.

        Raises:
            ConfigError: local features are asked for.
        """
        if tokens:
            raise ConfigError(
                "CONCH's tokens are wider than its vector and not given; use TimmTower for objectives that need them"
            )
        seen = self.trunk.forward_features(images)
        pooled: Tensor = self.ln_contrast(self.attn_pool_contrast(seen)[:, 0])
        return Encoded(pooled @ self.proj_contrast if self.projected else pooled)
