"""Text towers of published models that are a BERT or a Longformer with a projection: CT-CLIP, HLIP and Merlin.

Their configuration is known here, and their tokenizer is in a folder or on the hub. Needs the extra `huggingface`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError
from voxtile.formats.optional import require
from voxtile.models.hub.transformers import HuggingFaceTokenizer
from voxtile.models.tokenizer import Beyond
from voxtile.models.tower import TextTower
from voxtile.types import Encoded

_CONTEXT = 512
_LONG_CONTEXT = 1024
_FILES = ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json")
_WORDS = re.compile(r"\w+|[^\w\s]+")  # NLTK's wordpunct_tokenize


class BertText(TextTower):
    """A BERT whose first token is projected: the text side of CT-CLIP and of HLIP, both from CXR-BERT.

    Args:
        folder: with its tokenizer, or a name of the Hugging Face hub.
        title: how the model is called, for messages.
        beyond: `cut` texts longer than 512 tokens and count them, or `refuse` them.
        options: arguments of transformers' `BertConfig`, whose defaults are its own.
        embed_dim: length of the vector.

    Raises:
        CheckpointError: there is no tokenizer.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: HuggingFaceTokenizer
    skips_tokens = True
    pair_scale = 1.0
    pair_bias = None

    def __init__(
        self,
        *,
        folder: str,
        title: str = "the model",
        beyond: Beyond = "cut",
        options: dict[str, Any] | None = None,
        embed_dim: int = 512,
    ) -> None:
        super().__init__()
        self.transformer = bert(options)
        self.projection = nn.Linear(self.transformer.config.hidden_size, embed_dim, bias=False)
        self.width = embed_dim
        self.tokenizer = folder_tokenizer(folder, title, self.transformer.config, beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; with `local` also single tokens, projected as the text is."""
        mask = tokens != 0
        own = self.tokenizer.original(tokens)
        hidden = self.transformer(input_ids=own, attention_mask=mask.long()).last_hidden_state
        words = self.projection(hidden)
        return Encoded(words[:, 0], words, None, mask) if local else Encoded(words[:, 0])


class MerlinText(TextTower):
    """Merlin's text side: a Longformer whose first token is projected; texts are lower case, words and marks apart.

    Args:
        folder: with the tokenizer of Clinical-Longformer, or its name on the Hugging Face hub.
        beyond: `cut` texts longer than 1,024 tokens and count them, or `refuse` them.
        options: arguments of transformers' `LongformerConfig` that differ from Clinical-Longformer's.
        embed_dim: length of the vector.

    Raises:
        CheckpointError: there is no tokenizer.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: HuggingFaceTokenizer
    skips_tokens = True
    pair_scale = 1.0
    pair_bias = None

    def __init__(
        self, *, folder: str, beyond: Beyond = "cut", options: dict[str, Any] | None = None, embed_dim: int = 512
    ) -> None:
        super().__init__()
        library = require("transformers", "huggingface")
        own = {
            "vocab_size": 50265, "max_position_embeddings": 4098, "type_vocab_size": 1, "attention_window": 512,
            "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "sep_token_id": 2,
        }  # fmt: skip
        config = library.LongformerConfig(**{**own, **(options or {})})
        self.transformer: Any = library.LongformerModel(config, add_pooling_layer=False)
        self.projection = nn.Linear(config.hidden_size, embed_dim)
        self.width = embed_dim
        _require_tokenizer(folder, "Merlin")
        self.tokenizer = _WordsApart(folder, min(_LONG_CONTEXT, config.max_position_embeddings - 2), beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; with `local` also single tokens, projected as the text is."""
        mask = tokens != 0
        own = self.tokenizer.original(tokens)
        hidden = self.transformer(input_ids=own, attention_mask=mask.long()).last_hidden_state
        words = self.projection(hidden)
        return Encoded(words[:, 0], words, None, mask) if local else Encoded(words[:, 0])


class _WordsApart(HuggingFaceTokenizer):
    """A tokenizer that is given texts as Merlin was trained on."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, L] int64 tokens padded with 0, and how many texts were longer than the context."""
        return super().encode([" ".join(_WORDS.findall(text.lower())) for text in texts])


def bert(options: dict[str, Any] | None) -> Any:  # noqa: ANN401 - transformers has no types
    """A BERT with random weights, without the layer that others pool by.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    library = require("transformers", "huggingface")
    return library.BertModel(library.BertConfig(**(options or {})), add_pooling_layer=False)


def folder_tokenizer(folder: str, title: str, config: Any, beyond: Beyond) -> HuggingFaceTokenizer:  # noqa: ANN401
    """The tokenizer of a BERT, from a folder or the hub.

    Raises:
        CheckpointError: there is none.
    """
    _require_tokenizer(folder, title)
    return HuggingFaceTokenizer(folder, min(_CONTEXT, config.max_position_embeddings), beyond)


def tokenizer_place(folder: Path, hub: str) -> str:
    """The folder, where it has a tokenizer, or the name of the hub."""
    return str(folder) if any((folder / name).is_file() for name in _FILES) else hub


def resized_words(tower: nn.Module, rows: int | None) -> None:
    """Give a BERT's table of words as many rows as a file has: tokens were added to it."""
    table = tower.get_submodule("embeddings.word_embeddings")
    if rows and isinstance(table, nn.Embedding) and rows != table.num_embeddings:
        made = nn.Embedding(rows, table.embedding_dim, table.padding_idx)
        tower.get_submodule("embeddings").word_embeddings = made
        with torch.no_grad():
            made.weight.zero_()


def _require_tokenizer(folder: str, title: str) -> None:
    if Path(folder).is_dir() and not any((Path(folder) / name).is_file() for name in _FILES):
        raise CheckpointError(
            f"the folder '{folder}' has no tokenizer of {title} ({', '.join(_FILES[:2])}); download it beside the "
            "weights"
        )
