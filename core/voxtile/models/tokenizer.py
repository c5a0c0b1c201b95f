"""A byte-level BPE tokenizer that is trained on the run's own captions, so that nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from voxtile.errors import CheckpointError, ConfigError, panics_caught

_SPECIAL = ("<pad>", "<start>", "<end>")
_NO_VOCABULARY = (
    "the tokenizer has no vocabulary yet; train the model or load a checkpoint first, e.g. with --ckpt_path last"
)
CHARACTERS_A_TOKEN = 32  # a text is cut at context · 32 characters before tokenising: no token is longer in practice


Beyond = Literal["cut", "refuse"]
"""What becomes of a text longer than the context: it is cut there and counted, or refused."""


def refuse_undecoded(texts: Sequence[str]) -> None:
    """Refuse texts that no tokenizer takes: arguments of a command in another encoding, halves of characters in JSON.

    Raises:
        ConfigError: the first that is one.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = " ".join(text[:60].encode(errors="backslashreplace").decode().split())
            raise ConfigError(f"the text '{shown}' holds what is no character of Unicode; write it in UTF-8") from None


def refuse_longer(texts: Sequence[str], longer: Sequence[bool], context: int) -> None:
    """Refuse texts that are longer than a context.

    Args:
        texts: T of them.
        longer: which are.
        context: tokens that the tower reads.

    Raises:
        ConfigError: the first that is.
    """
    for text, is_longer in zip(texts, longer, strict=True):
        if is_longer:
            raise ConfigError(
                f"the text '{' '.join(text.split())[:60]}…' of {len(text)} characters is longer than the context of "
                f"{context} tokens; raise the text tower's context, shorten the text, or set beyond: cut"
            )


class SubwordTokenizer:
    """Byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2): every text can be encoded, whatever it was trained on.

    Args:
        vocabulary: number of tokens at most, the 256 bytes and 3 special ones included.
        context: longest token sequence, start and end included.
        beyond: `cut` longer texts, or `refuse` them.

    Raises:
        ConfigError: the vocabulary has no room for all bytes, or the context none for a text.

    Examples:
        >>> from voxtile.models import SubwordTokenizer
        >>> tokenizer = SubwordTokenizer(context=8)
        >>> tokenizer.train(["a nodule of the lung", "no nodule", "a nodule"])
        >>> tokens, cut = tokenizer.encode(["No nodule", "a nodule " * 10])
        >>> tokens.shape, cut  # the second was cut at the context
        (torch.Size([2, 8]), 1)
        >>> tokenizer.decode(tokens[0].tolist())
        'no nodule'
    """

    def __init__(self, *, vocabulary: int = 2048, context: int = 64, beyond: Beyond = "cut") -> None:
        if vocabulary < 256 + len(_SPECIAL) or context < 3:
            raise ConfigError(
                f"a tokenizer needs a vocabulary of at least {256 + len(_SPECIAL)} and a context of at least 3, "
                f"not {vocabulary} and {context}"
            )
        self.vocabulary = vocabulary
        self.context, self.beyond = context, beyond
        self._tokenizer: tokenizers.Tokenizer | None = None

    @property
    def ready(self) -> bool:
        """False until trained or loaded."""
        return self._tokenizer is not None

    def train(self, texts: Sequence[str]) -> None:
        """Learn the vocabulary. Equal sets of texts give equal vocabularies."""
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            min_frequency=2,
            special_tokens=list(_SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sorted(texts), trainer)
        self._take(tokenizer)

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, L] int64 tokens padded with 0, and how many texts were cut at the context.

        Raises:
            ConfigError: the tokenizer was neither trained nor loaded, or a text is too long and `beyond` is `refuse`.
        """
        if self._tokenizer is None:
            raise ConfigError(_NO_VOCABULARY)
        refuse_undecoded(texts)
        limit = self.context * CHARACTERS_A_TOKEN
        encodings = self._tokenizer.encode_batch([text[:limit] for text in texts])
        longer = [bool(e.overflowing) or len(t) > limit for e, t in zip(encodings, texts, strict=True)]
        if self.beyond == "refuse":
            refuse_longer(texts, longer, self.context)
        length = max((len(e.ids) for e in encodings), default=1)
        tokens = torch.zeros(len(texts), length, dtype=torch.int64)
        for row, encoding in zip(tokens, encodings, strict=True):
            row[: len(encoding.ids)] = torch.tensor(encoding.ids)
        return tokens, sum(longer)

    @property
    def size(self) -> int:
        """Number of token indices."""
        return self.vocabulary

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, in lower case as it was read; unknown indices are left out.

        Raises:
            ConfigError: the tokenizer was neither trained nor loaded.
        """
        if self._tokenizer is None:
            raise ConfigError(_NO_VOCABULARY)
        known = [piece for token in tokens if (piece := self._tokenizer.id_to_token(token)) not in (None, *_SPECIAL)]
        return str(decoders.ByteLevel().decode(known)).strip()

    def to_json(self) -> str | None:
        """The tokenizer as JSON, None before training."""
        return None if self._tokenizer is None else str(self._tokenizer.to_str())

    def from_json(self, state: str | None) -> None:
        """Take a tokenizer from JSON.

        Raises:
            CheckpointError: not a tokenizer, or one with more tokens than the tower has embeddings.
        """
        if state is None:
            raise CheckpointError("the checkpoint holds no tokenizer, but its text tower needs one; train it again")
        try:
            with panics_caught():
                tokenizer = tokenizers.Tokenizer.from_str(state)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(
                f"the checkpoint's tokenizer cannot be read ({error}); train the model again"
            ) from None
        if tokenizer.get_vocab_size() > self.vocabulary:
            raise CheckpointError(
                f"the checkpoint's tokenizer has {tokenizer.get_vocab_size()} tokens, but the text tower only "
                f"{self.vocabulary}; use the config that the checkpoint was trained with"
            )
        if any(tokenizer.token_to_id(name) is None for name in _SPECIAL):
            raise CheckpointError(
                f"the checkpoint's tokenizer lacks one of {', '.join(_SPECIAL)}; train the model again"
            )
        self._take(tokenizer)

    def _take(self, tokenizer: tokenizers.Tokenizer) -> None:
        _, start, end = (tokenizer.token_to_id(name) for name in _SPECIAL)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
        )
        tokenizer.enable_truncation(self.context)
        self._tokenizer = tokenizer
