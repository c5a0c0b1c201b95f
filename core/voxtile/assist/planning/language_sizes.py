"""How large language models are, for plans: from a config alone, without weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile.errors import ConfigError

if TYPE_CHECKING:
    from voxtile.assist.scratch import ScratchLanguage


@dataclass(frozen=True)
class LanguageSizes:
    """A transformer of blocks of grouped-query attention and a gated perceptron, as LLaMA's.

    Attributes:
        width: of embeddings.
        depth: blocks.
        heads: of queries.
        kv_heads: of keys and values.
        head: width of a head.
        mlp: width within the perceptron.
        vocabulary: tokens.
        tied: the head is the table of embeddings.
    """

    width: int
    depth: int
    heads: int
    kv_heads: int
    head: int
    mlp: int
    vocabulary: int
    tied: bool

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of each linear layer of a block."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        attention = ((self.width, queries), (self.width, keys), (self.width, keys), (queries, self.width))
        return (*attention, (self.width, self.mlp), (self.width, self.mlp), (self.mlp, self.width))

    @property
    def in_blocks(self) -> int:
        """Weights of the linear layers of all blocks."""
        return self.depth * sum(first * last for first, last in self.linear)

    @property
    def parameters(self) -> int:
        """All of them, with two norms a block, one at the end, and no biases."""
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.in_blocks + embeddings + (2 * self.depth + 1) * self.width

    def low_rank(self, rank: int) -> int:
        """Weights of additions of this rank to all linear layers of the blocks (Hu et al., ICLR 2022)."""
        return self.depth * rank * sum(first + last for first, last in self.linear)


# As the models' own config.json say.
PUBLISHED = {
    "gemma-270m": LanguageSizes(640, 18, 4, 1, 256, 2048, 262144, True),
    "llama-3.2-1b": LanguageSizes(2048, 16, 32, 8, 64, 8192, 128256, True),
    "llama-3.2-3b": LanguageSizes(3072, 28, 24, 8, 128, 8192, 128256, True),
    "llama-3.1-8b": LanguageSizes(4096, 32, 32, 8, 128, 14336, 128256, False),
}
"""Sizes by name, of models whose files need not be there for a plan."""


def sizes_of(language: str | None, scratch: ScratchLanguage | None) -> LanguageSizes:
    """The sizes of the language model of an `Answering`.

    Args:
        language: a name of `PUBLISHED`, or a folder as transformers saves it, of which config.json is read.
        scratch: sizes of one from scratch, where none is named.

    Raises:
        ConfigError: the sizes are not known.
    """
    if scratch is not None:
        width, heads = scratch.width, scratch.heads
        return LanguageSizes(width, scratch.depth, heads, heads, width // heads, 4 * width, scratch.vocabulary, True)
    name = str(language)
    if name in PUBLISHED:
        return PUBLISHED[name]
    file = Path(name).expanduser() / "config.json"
    if not file.is_file():
        raise ConfigError(
            f"a plan does not know how large the language model '{name}' is; give a folder with its config.json, or "
            f"one of {', '.join(PUBLISHED)}"
        )
    try:
        return _from_config(json.loads(file.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"'{file}' does not say how large the language model is ({error!r})") from error


def _from_config(config: Mapping[str, Any]) -> LanguageSizes:
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    return LanguageSizes(
        width=width,
        depth=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head=int(config.get("head_dim") or width // heads),
        mlp=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
    )
