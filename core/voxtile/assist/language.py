"""Causal language models of transformers, as the assistant reads and writes with them.

Shape letters: R rows, L tokens of a row, W width of the language model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from voxtile.assist.planning.language_sizes import PUBLISHED
from voxtile.console import logging_level
from voxtile.errors import ConfigError, MissingExtraError, required
from voxtile.models.tokenizer import refuse_undecoded
from voxtile.models.tower import full_precision
from voxtile.packaged_models import GEMMA, PackagedModel

_PACKAGED = {GEMMA.name: GEMMA}
_BLOCK = 1 << 20  # bytes hashed at a time
_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")  # of Cohere, Granite, Falcon-H1: of their heads
_WEIGHTS = ("*.safetensors", "config.json", "tokenizer*", "*.model", "vocab*", "merges.txt")  # what its hash is of


class Words(Protocol):
    """The tokenizer of a language model."""

    @property
    def start(self) -> int | None:
        """The token that begins every sequence; None where the model has none."""

    @property
    def end(self) -> int:
        """The token that ends an answer."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without start and end."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""


@dataclass
class Language:
    """A causal language model.

    Attributes:
        model: of transformers.
        words: its tokenizer; of a model from scratch None until it is trained.
        name: how messages call it.
        sha256: of its files; None of a model from scratch, whose weights are the checkpoint's own.
        context: tokens of a sequence at most.
    """

    model: nn.Module
    words: Words | None
    name: str
    sha256: str | None
    context: int

    @property
    def width(self) -> int:
        """Of its embeddings."""
        return int(cast(Any, self.model).get_input_embeddings().weight.shape[1])

    @property
    def vocabulary(self) -> int:
        """How many tokens it has embeddings of."""
        return int(cast(Any, self.model).get_input_embeddings().weight.shape[0])

    def embedded(self, tokens: Tensor) -> Tensor:
        """[R, L] tokens to [R, L, W], as the model scales them."""
        made: Tensor = cast(Any, self.model).get_input_embeddings()(tokens)
        return made

    def states(
        self, embeddings: Tensor, past: Past | None = None, mask: Tensor | None = None, places: Tensor | None = None
    ) -> Tensor:
        """[R, L, W] states, from which the tokens after each are told.

        Args:
            embeddings: [R, L, W].
            past: of the tokens before, to which these are added; None for none.
            mask: [R, P + L] int64, 1 where there is a token, over the past and these; None where all are.
            places: [R, L] int64 in their sequences; those after the past where left out.
        """
        decoder = cast(Any, self.model).base_model
        known: dict[str, Any] = {"inputs_embeds": embeddings, "attention_mask": mask, "use_cache": past is not None}
        if past is not None:
            known[_past_argument(decoder)] = past.cache
        if places is not None:
            known["position_ids"] = places
        made: Tensor = decoder(**known).last_hidden_state
        return made

    def logits(self, states: Tensor, among: Tensor | None = None) -> Tensor:
        """[…, W] states to [… , V] float32 logits.

        Args:
            states: from `states`.
            among: the tokens that are asked for, [V] int64; all where left out.

        Raises:
            ConfigError: the head of the model does more than multiply and cap.
        """
        head = cast(Any, self.model).get_output_embeddings()
        config = cast(Any, self.model).config
        if any(getattr(config, name, None) not in (None, 1, 1.0) for name in _SCALES):
            raise ConfigError(
                f"the language model '{self.name}' scales its logits in a way of its own; take one of another kind"
            )
        weight, bias = head.weight, getattr(head, "bias", None)
        if among is not None:
            weight, bias = weight[among], None if bias is None else bias[among]
        made = full_precision(nn.functional.linear(states.to(weight.dtype), weight, bias))
        cap = getattr(config, "final_logit_softcapping", None)
        return made if not cap else cap * torch.tanh(made / cap)

    def past(self) -> Past:
        """Nothing yet.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        with required("transformers", "assist"):
            from transformers import DynamicCache
        return Past(DynamicCache(config=cast(Any, self.model).config))


@dataclass
class Past:
    """Keys and values of the tokens before, through which gradients flow."""

    cache: Any

    def take(self, rows: Tensor) -> None:
        """Go on with these rows, [R'] int64, in this order."""
        self.cache.batch_select_indices(rows)


def _past_argument(decoder: Any) -> str:  # noqa: ANN401 - a model of transformers
    """What transformers calls keys and values of the tokens before: `cache` from 5.2x on."""
    return "cache" if "cache" in inspect.signature(type(decoder).forward).parameters else "past_key_values"


def load_language(name: str, dtype: torch.dtype) -> Language:
    """A language model by name; nothing is downloaded, and no code of its files is run.

    Args:
        name: `gemma-270m` of the extra gemma, a GGUF file, or a folder as transformers saves it (safetensors).
        dtype: of its weights.

    Raises:
        ConfigError: there is no such model, it is damaged, or it has no tokenizer.
        MissingExtraError: transformers or gguf is not installed.
    """
    with required("transformers", "assist"):
        import transformers
    packaged = _PACKAGED.get(name)
    path = packaged.assembled() if packaged is not None else Path(name).expanduser()
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    folder = path
    if path.is_file() and path.suffix == ".gguf":
        if importlib.util.find_spec("gguf") is None:
            raise MissingExtraError("gguf", "assist")
        folder, where["gguf_file"] = path.parent, path.name
    elif not (path / "config.json").is_file():
        if name in PUBLISHED:
            raise ConfigError(
                f"of the language model '{name}' only the sizes are known, for voxtile plan; give the folder that "
                "holds it: --model.objectives.answering.init_args.language FOLDER"
            )
        known = ", ".join(_PACKAGED)
        raise ConfigError(
            f"there is no language model '{name}'; give {known}, a GGUF file, or a folder with config.json, "
            "safetensors and a tokenizer"
        )
    with _quiet():
        words = _words(transformers, folder, where, name)
        model = _model(transformers, folder, where, name, dtype)
    return Language(model, words, name, _sha256(path, packaged), _context(model))


def _words(transformers: Any, folder: Path, where: dict[str, Any], name: str) -> Words:  # noqa: ANN401
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **where)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigError(
            f"the language model '{name}' has no tokenizer that can be read ({_first(error)}); put its tokenizer files "
            "beside its weights"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"the tokenizer of '{name}' has no token that ends a text; take another language model")
    return HubWords(tokenizer)


def _model(transformers: Any, folder: Path, where: dict[str, Any], name: str, dtype: torch.dtype) -> nn.Module:  # noqa: ANN401
    safe = {} if "gguf_file" in where else {"use_safetensors": True}
    try:
        model: nn.Module = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **where, **safe)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigError(
            f"the language model '{name}' cannot be loaded ({_first(error)}); it takes the safetensors or GGUF of a "
            "causal language model"
        ) from error
    return model.eval()


class HubWords:
    """A tokenizer of transformers.

    Args:
        tokenizer: it has a token that ends texts.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401
        self._tokenizer = tokenizer

    @property
    def start(self) -> int | None:
        """Its token of beginning, where it has one."""
        found = self._tokenizer.bos_token_id
        return None if found is None else int(found)

    @property
    def end(self) -> int:
        """Its token of end."""
        return int(self._tokenizer.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        refuse_undecoded([text])
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def _context(model: nn.Module) -> int:
    return int(getattr(cast(Any, model).config, "max_position_embeddings", None) or 2048)


def _sha256(path: Path, packaged: PackagedModel | None) -> str:
    """Of the file, or over the names and contents of a folder's weights, config and tokenizer."""
    if packaged is not None:
        return packaged.sha256  # which was compared
    digest = hashlib.sha256()
    if path.is_file():
        files = [path]
    else:
        files = sorted({file for pattern in _WEIGHTS for file in path.glob(pattern) if file.is_file()})
    for file in files:
        if len(files) > 1 or path.is_dir():
            digest.update(json.dumps([file.name, file.stat().st_size]).encode())
        with file.open("rb") as read:
            while block := read.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's notes and bars."""
    from transformers.utils import logging as notes

    bars = notes.is_progress_bar_enabled()
    notes.disable_progress_bar()
    try:
        with logging_level(logging.ERROR, "transformers"):
            yield
    finally:
        if bars:
            notes.enable_progress_bar()
