"""The towers of COLIPRI (Wald et al. 2025, arXiv 2510.15042): a Primus of timm's EVA blocks, and a BERT.

Needs the extra `huggingface` for the text side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.models.hub.report_texts import bert, folder_tokenizer
from voxtile.models.hub.transformers import HuggingFaceTokenizer
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tokenizer import Beyond
from voxtile.models.tower import ImageTower, TextTower, expected_size, masked_mean
from voxtile.types import Encoded

NOT_READ = r"(image_encoder\.)?backbone\.(mask_token|up_projection\..*)"  # of segmentation and masking
_TEXT_SIDE = r"text_encoder\..*|softmax_temperature"
_PREFIX = "image_encoder."


class AttentionPool(nn.Module):
    """Tokens that their own mean attends to.

    Args:
        width: of tokens.
        heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[S, N, W] tokens, of which those count that `mask` [S, N] says, to [S, W]."""
        query = x.mean(1) if mask is None else masked_mean(x, mask)
        pooled, _ = self.attn(query[:, None], x, x, key_padding_mask=None if mask is None else ~mask)
        return torch.as_tensor(pooled[:, 0])


class ColipriImage(ImageTower):
    """COLIPRI's image side, with its projection to the space of texts.

    Args:
        pretrained: a local file in its layout, or None for random weights.
        size: of the images (x, y, z).
        patch: of a side.
        width: of the blocks.
        depth: their number.
        heads: of each block; features of a head are a multiple of 6.
        embed_dim: length of the vector.
        pool_heads: of the attention that makes it.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """

    dimensions = 3
    channels = 1

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        size: tuple[int, int, int] = (192, 192, 192),
        patch: int = 8,
        width: int = 864,
        depth: int = 16,
        heads: int = 12,
        embed_dim: int = 768,
        pool_heads: int = 12,
    ) -> None:
        super().__init__()
        self.size, self.width = size, embed_dim
        self.rotated = round(width // heads / 1.5)  # features of a head by two axes; the third adds half as many
        self.backbone = nn.Module()
        self.backbone.down_projection = nn.Module()
        self.backbone.down_projection.proj = nn.Conv3d(1, width, patch, patch)
        self.backbone.eva = _blocks(width, depth, heads)
        self.projector = nn.Conv3d(width, embed_dim, 1)
        self.pooler = AttentionPool(embed_dim, pool_heads)
        self.load_report: LoadReport | None = None
        if pretrained:
            state = {key.removeprefix(_PREFIX): value for key, value in read_weights(pretrained).items()}
            self.load_report = load_report(self, state, pretrained, ignored=f"{NOT_READ}|{_TEXT_SIDE}")

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, X, Y, Z] images; tokens are projected as its authors do for dense maps.

        Raises:
            ConfigError: the images are not of its size.
        """
        backbone: Any = self.backbone
        with expected_size("COLIPRI", self.size, images):
            x = backbone.down_projection.proj(images)
            grid = tuple(x.shape[2:])
            x = x.flatten(2).mT
            places = rotary_places(grid, self.rotated).to(x)
            for block in backbone.eva.blocks:
                x = block(x, rope=places)
            x = backbone.eva.norm(x)
        projected = self.projector(x.mT.unflatten(2, grid)).flatten(2).mT
        pooled = self.pooler(projected)
        return Encoded(pooled, self._dense(projected), grid) if tokens else Encoded(pooled)

    def _dense(self, x: Tensor) -> Tensor:
        """What the pooling would make of each token alone."""
        attention, width = self.pooler.attn, x.shape[-1]
        value = nn.functional.linear(x, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
        dense: Tensor = attention.out_proj(value)
        return dense


class ColipriText(TextTower):
    """COLIPRI's text side: CXR-BERT, whose tokens their mean attends to; there is no projection.

    Args:
        folder: with its tokenizer, or a name of the Hugging Face hub.
        beyond: `cut` texts longer than 512 tokens and count them, or `refuse` them.
        options: arguments of transformers' `BertConfig`, whose defaults are its own.
        pool_heads: of the attention that makes the vector.

    Raises:
        CheckpointError: there is no tokenizer.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: HuggingFaceTokenizer
    skips_tokens = True
    pair_scale = 1.0
    pair_bias = None

    def __init__(
        self, *, folder: str, beyond: Beyond = "cut", options: dict[str, Any] | None = None, pool_heads: int = 12
    ) -> None:
        super().__init__()
        self.backbone = bert(options)
        self.width = int(self.backbone.config.hidden_size)
        self.pooler = AttentionPool(self.width, pool_heads)
        self.tokenizer = folder_tokenizer(folder, "COLIPRI", self.backbone.config, beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; with `local` also single tokens, as BERT gives them."""
        mask = tokens != 0
        own = self.tokenizer.original(tokens)
        words = self.backbone(input_ids=own, attention_mask=mask.long()).last_hidden_state
        pooled = self.pooler(words, mask)
        return Encoded(pooled, words, None, mask) if local else Encoded(pooled)


def rotary_places(grid: Sequence[int], features: int) -> Tensor:
    """[N, 2 · D] sines, then cosines, of places on a grid of three axes (EVA-02, arXiv 2303.11331; Primus, 2503.01835).

    Args:
        grid: patches along each axis.
        features: of two axes; each axis has a quarter of them as frequencies, each of which turns a pair.
    """
    bands = 10_000.0 ** -(torch.arange(features // 4, dtype=torch.float32) / (features // 4))
    axes = [torch.arange(size, dtype=torch.float32) for size in grid]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
    turned = (places[:, :, None] * bands).flatten(1).repeat_interleave(2, 1)
    return torch.cat([turned.sin(), turned.cos()], 1)


def _blocks(width: int, depth: int, heads: int) -> nn.Module:
    """EVA-02's blocks, by timm."""
    from timm.models.eva import EvaBlock

    made = nn.Module()
    made.blocks = nn.ModuleList(
        EvaBlock(
            dim=width, num_heads=heads, qkv_bias=True, qkv_fused=False, mlp_ratio=4 * 2 / 3, swiglu_mlp=True,
            scale_mlp=True, scale_attn_inner=True, init_values=0.1, num_prefix_tokens=0,
        )
        for _ in range(depth)
    )  # fmt: skip
    made.norm = nn.LayerNorm(width)
    return made


def logit_scale(temperature: float) -> float:
    """What cosines are multiplied by: its file holds what they are divided by."""
    return 1.0 / temperature if temperature and math.isfinite(temperature) else 1.0
