"""A small language model from scratch, whose words are those of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from voxtile.assist.language import Language
from voxtile.errors import CheckpointError, ConfigError, required
from voxtile.models.tokenizer import refuse_undecoded

_SPECIAL = ("<pad>", "<start>", "<end>")


@dataclass(frozen=True, kw_only=True)
class ScratchLanguage:
    """Sizes of a language model that knows nothing before its training: a transformer as LLaMA's (Touvron et al. 2023).

    Attributes:
        vocabulary: tokens, the 256 bytes and 3 special ones included.
        width: of embeddings.
        depth: layers.
        heads: of the attention.
        context: tokens of a sequence at most, those of images included.

    Raises:
        ConfigError: sizes that do not fit.
    """

    vocabulary: int = 1024
    width: int = 192
    depth: int = 4
    heads: int = 4
    context: int = 1024

    def __post_init__(self) -> None:
        if self.vocabulary < 256 + len(_SPECIAL) or min(self.depth, self.heads) < 1 or self.context < 16:
            raise ConfigError(
                f"scratch needs a vocabulary of at least {256 + len(_SPECIAL)}, a layer, a head and a context of 16, "
                f"not {self.vocabulary}, {self.depth}, {self.heads} and {self.context}"
            )
        if self.width < 2 * self.heads or self.width % (2 * self.heads):
            raise ConfigError(f"scratch: a width of {self.width} is no even multiple of {self.heads} heads")

    def make(self) -> Language:
        """The model, drawn from torch's generator; its words are trained later.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        with required("transformers", "assist"):
            from transformers import LlamaConfig, LlamaForCausalLM
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=4 * self.width,
            num_hidden_layers=self.depth,
            num_attention_heads=self.heads,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        return Language(LlamaForCausalLM(config), None, "of its own", None, self.context)

    def train_words(self, texts: Sequence[str], markers: Sequence[str] = ()) -> TrainedWords:
        """Learn the vocabulary; equal sets of texts give equal ones.

        Args:
            texts: that are read and written.
            markers: a token each, which is no text.
        """
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            min_frequency=2,
            special_tokens=[*_SPECIAL, *markers],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sorted(set(texts)), trainer)
        return TrainedWords(tokenizer)

    def read_words(self, state: str) -> TrainedWords:
        """Words from a checkpoint.

        Raises:
            CheckpointError: it holds none, or more than the model has embeddings.
        """
        try:
            tokenizer = tokenizers.Tokenizer.from_str(state)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"the checkpoint's words cannot be read ({error}); train it again") from None
        if tokenizer.get_vocab_size() > self.vocabulary or tokenizer.token_to_id(_SPECIAL[2]) != 2:
            raise CheckpointError(
                f"the checkpoint's words are not those of a language model of {self.vocabulary} tokens; use the config "
                "that it was trained with"
            )
        return TrainedWords(tokenizer)


class TrainedWords:
    """Byte-level BPE (Sennrich et al. 2016), in which every text can be written.

    Args:
        tokenizer: trained.
    """

    start: int | None = 1
    end: int = 2

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        refuse_undecoded([text])
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def to_json(self) -> str:
        """For a checkpoint."""
        return str(self._tokenizer.to_str())
