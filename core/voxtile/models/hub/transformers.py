"""Towers of Hugging Face transformers: encoders of text (BERT, ModernBERT, SigLIP, …) and of images (ViT, DINOv2, …).

From the hub or a local folder; none of its own code is run. Needs the extra `huggingface`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError
from voxtile.formats.optional import require
from voxtile.models.hub.reachable import hub_or_copy
from voxtile.models.hub.weights import LoadReport
from voxtile.models.tokenizer import Beyond, refuse_longer, refuse_undecoded
from voxtile.models.tower import ImageTower, TextTower, expected_size, masked_mean
from voxtile.types import Encoded


def hub_name(spec: str) -> tuple[str, bool]:
    """A name of the hub, or a folder, with its weights."""
    return spec, True


class HuggingFaceTokenizer:
    """The tokenizer of a model of transformers; nothing to train or store. Padding is 0, whatever it is there.

    The token that is 0 there gets the index of padding, or one beyond the vocabulary where padding is a word or a mark
    too, as CLIP's is its end of a text.

    Args:
        name: of the hub, or a folder.
        context: longest token sequence.
        beyond: `cut` longer texts, or `refuse` them.
        padded: pad all texts to the context.
    """

    ready = True

    def __init__(self, name: str, context: int, beyond: Beyond = "cut", *, padded: bool = False) -> None:
        self._tokenizer = _loaded("AutoTokenizer", name)
        self.context, self.beyond, self.padded = context, beyond, padded
        self.padding = int(self._tokenizer.pad_token_id or 0)
        marks = {getattr(self._tokenizer, f"{mark}_token_id", None) for mark in ("bos", "eos", "cls", "sep", "unk")}
        self._zero = len(self._tokenizer) if self.padding in marks else self.padding

    @property
    def size(self) -> int:
        """Number of token indices."""
        return max(len(self._tokenizer), self._zero + 1)

    @property
    def library(self) -> Any:  # noqa: ANN401 - transformers has no types
        """The tokenizer of transformers itself."""
        return self._tokenizer

    @property
    def numbers(self) -> dict[int, int]:
        """Index here of each token that has another one there, padding aside."""
        if not self._zero:
            return {}
        return {0: self._zero} if self._zero != self.padding else {0: self.padding, self.padding: 0}

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens without start, end and padding."""
        own = self.original(torch.as_tensor(list(tokens), dtype=torch.int64)).tolist()
        return str(self._tokenizer.decode(own, skip_special_tokens=True)).strip()

    def train(self, texts: Sequence[str]) -> None:
        """Nothing to do."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, L] int64 tokens padded with 0, and how many texts were longer than the context.

        Raises:
            ConfigError: one was, and `beyond` is `refuse`.
        """
        refuse_undecoded(texts)
        # Every text by itself first, so that it is known which were cut.
        whole = self._tokenizer(list(texts), verbose=False)["input_ids"]
        longer = [len(ids) > self.context for ids in whole]
        if self.beyond == "refuse":
            refuse_longer(texts, longer, self.context)
        made = self._tokenizer(
            list(texts),
            padding="max_length" if self.padded else True,
            truncation=True,
            max_length=self.context,
            return_tensors="pt",
        )
        ids = made["input_ids"]
        real = torch.where(ids == 0, self._zero, ids)
        return torch.where(made["attention_mask"] != 0, real, 0), sum(longer)

    def original(self, tokens: Tensor) -> Tensor:
        """[T, L] tokens as the model itself numbers them."""
        own = torch.where(tokens == 0, self.padding, tokens)
        return own if not self._zero else torch.where(tokens == self._zero, 0, own)

    def to_json(self) -> str | None:
        """None: the name in the config says it all."""
        return None

    def from_json(self, state: str | None) -> None:
        """Nothing to take."""


class HuggingFaceText(TextTower):
    """An encoder of text of transformers: PubMedBERT, BiomedBERT, ModernBERT, multilingual ones, or that of SigLIP.

    Args:
        name: of the hub, or a folder; it is needed again where a checkpoint is loaded, for configuration and tokenizer.
        pretrained: whether its weights are loaded; random where false.
        context: longest token sequence; 512 for BERT.
        beyond: `cut` longer texts at the context and count them, or `refuse` them.
        pooling: `cls`, the first token; `mean` of all; or `pooler`, as the model itself does (CLIP, SigLIP).

    Attributes:
        load_report: what became of each weight, or None.

    Raises:
        ConfigError: a context beyond what the model has positions for.
        CheckpointError: it cannot be loaded, or needs code of its own.
        MissingExtraError: transformers is not installed.
    """

    tokenizer: HuggingFaceTokenizer

    def __init__(
        self,
        *,
        name: str,
        pretrained: bool | None = True,
        context: int = 256,
        beyond: Beyond = "cut",
        pooling: Literal["cls", "mean", "pooler"] = "cls",
    ) -> None:
        super().__init__()
        self.name, self.pooling = name, pooling
        model, self.load_report = _model(name, bool(pretrained))
        self.model: nn.Module = getattr(model, "text_model", model)
        config: Any = self.model.config
        positions = int(getattr(config, "max_position_embeddings", context) or context)
        if config.model_type in ("roberta", "xlm-roberta", "camembert"):
            positions -= 2  # they number positions from the index of padding on
        if context > positions:
            raise ConfigError(
                f"'{name}' has positions for {positions} tokens, not for a context of {context}; lower it"
            )
        # SigLIP was trained on texts that are padded to their full length, and attends to padding (Zhai et al. 2023).
        self.padded = "siglip" in str(config.model_type)
        self.tokenizer = HuggingFaceTokenizer(name, context, beyond, padded=self.padded)
        self.width = int(config.hidden_size)

    def forward(self, tokens: Tensor) -> Encoded:
        """Encode [T, L] tokens to `pooled` [T, D] and `tokens` [T, L, D] with their mask."""
        mask = tokens != 0
        attention = None if self.padded else mask.long()
        out = self.model(input_ids=self.tokenizer.original(tokens), attention_mask=attention)
        hidden: Tensor = out.last_hidden_state
        if self.pooling == "pooler":
            pooled: Tensor = out.pooler_output
        else:
            pooled = hidden[:, 0] if self.pooling == "cls" else masked_mean(hidden, mask)
        return Encoded(pooled, hidden, None, mask)


class HuggingFaceImage(ImageTower):
    """An encoder of images of transformers: ViT, DINOv2, the image side of CLIP and SigLIP.

    Args:
        name: of the hub, or a folder; it is needed again where a checkpoint is loaded, for the configuration.
        pretrained: whether its weights are loaded; random where false.
        interpolate: let images of other sizes than the model's interpolate its positions.

    Attributes:
        load_report: what became of each weight, or None.

    Raises:
        CheckpointError: it cannot be loaded, or needs code of its own.
        MissingExtraError: transformers is not installed.
    """

    dimensions = 2

    def __init__(self, *, name: str, pretrained: bool | None = True, interpolate: bool = False) -> None:
        super().__init__()
        self.name, self.interpolate = name, interpolate
        model, self.load_report = _model(name, bool(pretrained))
        self.model: nn.Module = getattr(model, "vision_model", model)
        config: Any = self.model.config
        self.channels, self.width = int(getattr(config, "num_channels", 3)), int(config.hidden_size)
        self.patch = int(getattr(config, "patch_size", 0) or 0)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, Y, X] images; pooled as the model does, or its first token, or the mean of its map.

        Raises:
            ConfigError: local features are asked of a model without patches, or the images are not of its size.
        """
        options = {"interpolate_pos_encoding": True} if self.interpolate else {}
        with expected_size(self.name, getattr(self.model.config, "image_size", None), images):
            out = self.model(pixel_values=images, **options)
        hidden: Tensor = out.last_hidden_state
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            pooled = hidden[:, 0] if hidden.ndim == 3 else hidden.flatten(2).mean(2)
        pooled = pooled.flatten(1)
        if not tokens:
            return Encoded(pooled)
        if hidden.ndim == 4:
            return Encoded(pooled, hidden.flatten(2).mT, tuple(hidden.shape[2:]))
        if not self.patch:
            raise ConfigError(f"'{self.name}' has no patches on a grid; use a ViT for objectives that need tokens")
        grid = tuple(n // self.patch for n in images.shape[2:])
        return Encoded(pooled, hidden[:, hidden.shape[1] - math.prod(grid) :], grid)


def _loaded(kind: str, name: str, **options: Any) -> Any:  # noqa: ANN401 - transformers has no types
    library = require("transformers", "huggingface")
    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise CheckpointError(f"there is no folder '{name}' of a Hugging Face model; check the path")
    where = hub_or_copy(name)
    try:
        return getattr(library, kind).from_pretrained(where, trust_remote_code=False, **options)
    except Exception as error:  # transformers and the hub client raise many types
        reason = " ".join(str(error).split()).rstrip(".")[:300]
        raise CheckpointError(
            f"'{name}' of Hugging Face cannot be loaded: {reason}; check the name, or download it and name the folder"
        ) from error


def _model(name: str, pretrained: bool) -> tuple[nn.Module, LoadReport | None]:
    """A model, and what became of its weights."""
    if not pretrained:
        config = _loaded("AutoConfig", name)
        made: nn.Module = require("transformers", "huggingface").AutoModel.from_config(config, trust_remote_code=False)
        return made, None
    model, info = _loaded("AutoModel", name, output_loading_info=True)
    return model, _report(name, model, info)


def _report(name: str, model: nn.Module, info: Mapping[str, Any]) -> LoadReport:
    missing, wrong = sorted(info["missing_keys"]), list(info.get("mismatched_keys") or ())
    if wrong:
        raise CheckpointError(
            f"the weights of '{name}' do not fit {type(model).__name__}: {wrong[0]} is of another shape"
        )
    used = tuple(sorted(set(model.state_dict()) - set(missing)))
    return LoadReport(name, used, {}, tuple(missing), tuple(sorted(info["unexpected_keys"])))
