"""The towers of M3D-CLIP (Bai et al. 2024, arXiv 2404.00578): MONAI's ViT and a BERT, each with a projection.

Needs the extras `towers` and `huggingface`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from voxtile.errors import CheckpointError, required
from voxtile.models.hub.transformers import HuggingFaceTokenizer
from voxtile.models.tokenizer import Beyond
from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Encoded

_CONTEXT = 512
_SIZE, _PATCH = (32, 256, 256), (4, 16, 16)


class M3dImage(ImageTower):
    """M3D-CLIP's image side; its vector is that of the first token, projected.

    Args:
        width: of the ViT and of the vector.
        depth: its blocks.
        heads: of each block.

    Raises:
        MissingExtraError: MONAI is not installed.
    """

    dimensions = 3
    channels = 1

    def __init__(self, *, width: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        with required("monai", "towers"):
            from monai.networks.nets.vit import ViT
        self.width = width
        self.vision_encoder: Any = ViT(
            in_channels=1, img_size=_SIZE, patch_size=_PATCH, hidden_size=width, mlp_dim=4 * width, num_layers=depth,
            num_heads=heads, proj_type="perceptron", classification=True,
        )  # fmt: skip
        del self.vision_encoder.classification_head
        for block in self.vision_encoder.blocks:
            block.norm_cross_attn = nn.Identity()  # MONAI's blocks came to have it; without weights of theirs
        self.mm_vision_proj = nn.Linear(width, width)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, 32, 256, 256] images."""
        seen = self.mm_vision_proj(self.vision_encoder(images)[0])
        grid = tuple(size // patch for size, patch in zip(_SIZE, _PATCH, strict=True))
        return Encoded(seen[:, 0], seen[:, 1:], grid) if tokens else Encoded(seen[:, 0])


class M3dText(TextTower):
    """M3D-CLIP's text side; its vector is that of the first token, projected.

    Args:
        folder: of the model, with its tokenizer.
        beyond: `cut` texts longer than 512 tokens and count them, or `refuse` them.
        options: arguments of transformers' `BertConfig`, whose defaults are its own.

    Raises:
        CheckpointError: the folder has no tokenizer.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: HuggingFaceTokenizer
    pair_scale = 1.0
    pair_bias = None

    def __init__(self, *, folder: str, beyond: Beyond = "cut", options: dict[str, Any] | None = None) -> None:
        super().__init__()
        with required("transformers", "huggingface"):
            from transformers import BertConfig, BertModel
        if not any((Path(folder) / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
            raise CheckpointError(
                f"the folder '{folder}' has neither vocab.txt nor tokenizer.json of M3D-CLIP; download the whole folder"
            )
        config = BertConfig(**(options or {}))
        self.language_encoder: Any = BertModel(config)
        self.width = int(config.hidden_size)
        self.mm_language_proj = nn.Linear(self.width, self.width)
        self.tokenizer = HuggingFaceTokenizer(folder, min(_CONTEXT, config.max_position_embeddings), beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; with `local` also single tokens, projected as the text is."""
        mask = tokens != 0
        own = self.tokenizer.original(tokens)
        hidden = self.language_encoder(input_ids=own, attention_mask=mask.long()).last_hidden_state
        words = self.mm_language_proj(hidden)
        return Encoded(words[:, 0], words, None, mask) if local else Encoded(words[:, 0])
