"""The towers of CONCH (Lu et al. 2024, Nature Medicine), of the parts of timm and open_clip that they are made of.

The text side needs the extra `huggingface` and the tokenizer of its repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError, required
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tokenizer import Beyond, refuse_longer, refuse_undecoded
from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Encoded

TOKENIZER = "conch_byte_level_bpe_uncased.json"
"""Of github.com/mahmoodlab/CONCH, conch/open_clip_custom/tokenizers."""
_CONTEXT = 127  # of words; one more place is that of the token that gathers them
# The rest of CoCa. `bare_key` takes `visual.` off the keys of this tower alone.
_NOT_READ = r"(visual\.)?(attn_pool_caption|ln_caption)\..*|text\..*|text_decoder\..*|logit_scale"


class ConchTower(ImageTower):
    """CONCH's image side: a ViT-B/16 of 448 pixels whose tokens one learned query attends to.

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


class ConchTokenizer:
    """CONCH's byte pairs, from the file of its repository; nothing to train or store. Padding is 0, as it is there.

    Args:
        folder: that has the file.
        beyond: `cut` texts longer than 127 tokens, or `refuse` them.

    Raises:
        CheckpointError: the file is not there.
        MissingExtraError: transformers is not installed.
    """

    ready = True
    context = _CONTEXT

    def __init__(self, folder: str, beyond: Beyond = "cut") -> None:
        file = Path(folder) / TOKENIZER
        if not file.is_file():
            raise CheckpointError(
                f"the folder '{folder}' has no {TOKENIZER}, the tokenizer of CONCH; copy it from "
                "conch/open_clip_custom/tokenizers of its repository beside the weights"
            )
        with required("transformers", "huggingface"):
            from transformers import PreTrainedTokenizerFast
        marks = {"bos_token": "<start_of_text>", "eos_token": "<end_of_text>", "pad_token": "<pad>"}
        self._tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(file), **marks)
        self.beyond = beyond

    @property
    def size(self) -> int:
        """Number of token indices."""
        return len(self._tokenizer)

    def train(self, texts: Sequence[str]) -> None:
        """Nothing to do."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, 127] int64 tokens padded with 0, and how many texts were longer.

        Raises:
            ConfigError: one was, and `beyond` is `refuse`.
        """
        refuse_undecoded(texts)
        longer = [len(ids) > _CONTEXT for ids in self._tokenizer(list(texts), verbose=False)["input_ids"]]
        if self.beyond == "refuse":
            refuse_longer(texts, longer, _CONTEXT)
        made = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=_CONTEXT, return_tensors="pt"
        )
        return torch.where(made["attention_mask"] != 0, made["input_ids"], 0), sum(longer)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens without start, end and padding."""
        return str(self._tokenizer.decode([t for t in tokens if t], skip_special_tokens=True)).strip()

    def to_json(self) -> str | None:
        """None: the folder says it all."""
        return None

    def from_json(self, state: str | None) -> None:
        """Nothing to take."""


class ConchText(TextTower):
    """CONCH's text side: open_clip's text tower of CoCa, whose last token gathers the others.

    Args:
        folder: with its tokenizer.
        beyond: `cut` texts longer than 127 tokens and count them, or `refuse` them.
        vocabulary: number of tokens.
        width: of the blocks.
        depth: their number.
        heads: of each block.
        embed_dim: length of the vector.

    Raises:
        CheckpointError: there is no tokenizer.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: ConchTokenizer
    skips_tokens = True
    pair_scale = 1.0
    pair_bias = None

    def __init__(
        self,
        *,
        folder: str,
        beyond: Beyond = "cut",
        vocabulary: int = 32007,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        embed_dim: int = 512,
    ) -> None:
        super().__init__()
        from open_clip.transformer import TextTransformer

        self.transformer = TextTransformer(
            context_length=_CONTEXT, vocab_size=vocabulary, width=width, heads=heads, layers=depth,
            output_dim=embed_dim, embed_cls=True, output_tokens=True,
        )  # fmt: skip
        self.width = embed_dim
        self.tokenizer = ConchTokenizer(folder, beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; the token that gathers them always has the last place.

        Raises:
            ConfigError: single tokens are asked for.
        """
        if local:
            raise ConfigError("CONCH's single tokens are not projected and not given; use another text tower")
        padded = nn.functional.pad(tokens, (0, _CONTEXT - tokens.shape[1]))
        return Encoded(self.transformer(padded)[0])
