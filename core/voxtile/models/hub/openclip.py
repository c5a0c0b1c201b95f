"""Towers of any open_clip model: random, from a local file, or from the hubs that open_clip itself knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError, cause_of, nearest
from voxtile.models.hub.adapters import adapt_input
from voxtile.models.hub.names import SCHEMAS, unknown_to_open_clip
from voxtile.models.hub.safe_loading import load_failure
from voxtile.models.openclip_tokens import image_with_tokens, text_with_tokens
from voxtile.models.padding import encode_text
from voxtile.models.tokenizer import Beyond, refuse_longer, refuse_undecoded
from voxtile.models.tower import ImageTower, TextTower, expected_size, weights_by_name
from voxtile.types import Encoded

Cleaning: TypeAlias = Literal["whitespace", "lower", "canonicalize"]
"""What open_clip does to a text: spaces alone, lower case too, or lower case without ASCII punctuation."""
_CLEANING: Mapping[str, Cleaning] = MappingProxyType(  # by open_clip's functions
    {"_clean_whitespace": "whitespace", "_clean_lower": "lower", "_clean_canonicalize": "canonicalize"}
)


def create(name: str, pretrained: str | None) -> nn.Module:
    """Make an open_clip model whose image and text parts are modules of their own (`visual`, `text`).

    Args:
        name: a name that `open_clip.list_models()` knows, `hf-hub:ORG/REPO` or `local-dir:PATH`.
        pretrained: a tag of open_clip, a path to a local file, or None for random weights.

    Raises:
        ConfigError: no such model or weights.
        CheckpointError: the weights' file cannot be loaded safely.
    """
    import open_clip

    if not name.startswith(SCHEMAS) and name not in open_clip.list_models():
        raise unknown_to_open_clip(name, open_clip.list_models())
    if pretrained and not Path(pretrained).is_file() and not open_clip.get_pretrained_cfg(name, pretrained):
        known = open_clip.list_pretrained_tags_by_model(name)
        tags, close = ", ".join(known) or "none", nearest(pretrained, known)
        raise ConfigError(
            f"'{pretrained}' is neither a file nor a pretrained tag of {name}; its tags are: {tags}{close}"
        )
    _refuse_own_code(name)
    try:
        model: nn.Module = open_clip.create_model(
            name, pretrained=pretrained, force_custom_text=True, pretrained_text=False, weights_only=True
        )
    except Exception as error:  # open_clip, torch and the hub client raise many types
        full = f"{name}/{pretrained}" if pretrained else name
        raise CheckpointError(
            f"open_clip model '{full}' cannot be loaded: {load_failure(error)}; give weights of this model"
        ) from error
    return model


def _refuse_own_code(name: str) -> None:
    """Refuse a downloaded config whose tokenizer shall run code that lies beside it; open_clip does as it says.

    Raises:
        CheckpointError: it asks for that, or cannot be read.
    """
    import open_clip

    if not name.startswith(SCHEMAS):
        return
    try:
        config = open_clip.get_model_config(name)
        asked = ((config.get("text_cfg") or {}).get("tokenizer_kwargs") or {}).get("trust_remote_code")
    except Exception as error:  # the hub client and JSON of any form raise many types
        raise CheckpointError(f"the config of open_clip model '{name}' cannot be read: {cause_of(error)}") from error
    if asked:
        raise CheckpointError(
            f"open_clip model '{name}' asks to run code of its own (tokenizer_kwargs.trust_remote_code), which is not "
            "run; use a model whose tokenizer is one of transformers"
        )


def hub_name(spec: str) -> tuple[str, str | None]:
    """Split `NAME[/PRETRAINED]`; a name with a schema (`hf-hub:ORG/REPO`) has its weights with it."""
    if spec.startswith(SCHEMAS):
        return spec, None
    return weights_by_name(spec)


def preprocessing(visual: nn.Module) -> dict[str, Any]:
    """open_clip's own preprocessing for an image part: size, mean, std, interpolation, resize_mode, fill_color."""
    settings: dict[str, Any] = dict(visual.preprocess_cfg)  # type: ignore[arg-type]
    return settings


class OpenClipTokenizer:
    """The tokenizer that belongs to an open_clip model; nothing to train or store."""

    ready = True

    def __init__(self, name: str, beyond: Beyond = "cut") -> None:
        import open_clip

        _refuse_own_code(name)
        self._tokenizer: Any = open_clip.get_tokenizer(name)
        self.beyond = beyond
        self.padding = 0 if self.is_clip else int(self._tokenizer.tokenizer.pad_token_id or 0)

    @property
    def is_clip(self) -> bool:
        """Whether it is CLIP's own byte-pair encoding."""
        return type(self._tokenizer).__name__ == "SimpleTokenizer"

    @property
    def context(self) -> int:
        """Longest token sequence."""
        return int(self._tokenizer.context_length)

    @property
    def size(self) -> int:
        """Number of token indices."""
        return int(self._tokenizer.vocab_size) if self.is_clip else len(self._tokenizer.tokenizer)

    @property
    def library(self) -> Any:  # noqa: ANN401 - transformers has no types
        """The tokenizer of transformers that does the work, where it is not CLIP's own encoding."""
        return self._tokenizer.tokenizer

    @property
    def numbers(self) -> dict[int, int]:
        """Index here of each token that has another one there."""
        return {0: self.padding, self.padding: 0} if self.padding else {}

    @property
    def drops_ends(self) -> bool:
        """Whether open_clip writes 0 over the marks between and after texts."""
        return bool(getattr(self._tokenizer, "strip_sep_token", False))

    @property
    def cleaning(self) -> Cleaning | None:
        """What open_clip does to a text first; None where it also chooses or places tokens by code of its own."""
        own = self._tokenizer
        if type(own).__name__ == "SigLipTokenizer":
            return "canonicalize"
        if getattr(own, "reduction_fn", None) or getattr(own, "tokenizer_mode", None):
            return None
        return _CLEANING.get(getattr(own.clean_fn, "__name__", ""))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens without start, end and padding."""
        if self.is_clip:
            return str(self._tokenizer.decode(list(tokens))).strip()
        own = self.swapped(torch.as_tensor(list(tokens), dtype=torch.int64)).tolist()
        return str(self._tokenizer.tokenizer.decode(own, skip_special_tokens=True)).strip()

    def vocabulary(self) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Index of each token, and the merges in order, of CLIP's own encoding."""
        ranks: dict[tuple[str, str], int] = self._tokenizer.bpe_ranks
        return dict(self._tokenizer.encoder), sorted(ranks, key=lambda pair: ranks[pair])

    def train(self, texts: Sequence[str]) -> None:
        """Nothing to do."""

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """Return [T, L] tokens padded with 0, and how many texts are longer than the context and are cut there.

        Raises:
            ConfigError: one is, and `beyond` is `refuse`.
        """
        refuse_undecoded(texts)
        tokens = self.swapped(self._tokenizer(list(texts)))
        longer = (tokens[:, -1] != 0).tolist()
        if any(longer):  # full, or beyond: with room for one more only these fill it
            full = [text for text, is_full in zip(texts, longer, strict=True) if is_full]
            more = iter((self._tokenizer(full, context_length=self.context + 1)[:, -1] != self.padding).tolist())
            longer = [is_full and next(more) for is_full in longer]
        if self.beyond == "refuse":
            refuse_longer(texts, longer, self.context)
        return tokens, sum(longer)

    def swapped(self, tokens: Tensor) -> Tensor:
        """Exchange 0 and the model's own padding in [T, L] tokens; twice is nothing."""
        if not self.padding:
            return tokens
        other = torch.where(tokens == self.padding, 0, tokens)
        return torch.where(tokens == 0, self.padding, other)

    def to_json(self) -> str | None:
        """None: the name in the config says it all."""
        return None

    def from_json(self, state: str | None) -> None:
        """Nothing to take."""


class OpenClipImage(ImageTower):
    """The image part of an open_clip model, its own projection included.

    Args:
        name: model name, see `create`.
        pretrained: tag or local file; None for random weights.
        channels: of the images; for other numbers than 3 the first filters are inflated, their sums preserved.
        band_names: common name of each channel, so that red, green and blue keep their own filters.
    """

    dimensions = 2

    def __init__(
        self, *, name: str, pretrained: str | None = None, channels: int = 3, band_names: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        visual: nn.Module = create(name, pretrained).get_submodule("visual")
        self.visual = adapt_input(visual, channels, names=band_names)
        self.width = _output_width(name)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, Y, X] images.

        Raises:
            ConfigError: local features are asked of a model that has none, or the images are not of the model's size.
        """
        with expected_size(self.name, getattr(self.visual, "image_size", None), images):
            return image_with_tokens(self.visual, images, self.name) if tokens else Encoded(self.visual(images))


class OpenClipText(TextTower):
    """The text part of an open_clip model, its own projection included.

    Args:
        name: model name, see `create`.
        pretrained: tag or local file; None for random weights.
        beyond: `cut` texts longer than the context and count them in the log, or `refuse` them.

    Attributes:
        pair_scale, pair_bias: what the model multiplies cosines with, and adds to them, as its weights have it.
    """

    skips_tokens = True
    tokenizer: OpenClipTokenizer

    def __init__(self, *, name: str, pretrained: str | None = None, beyond: Beyond = "cut") -> None:
        super().__init__()
        self.name = name
        model: Any = create(name, pretrained)
        model.text.output_tokens = True
        self.text: nn.Module = model.text
        self.pair_scale = float(model.logit_scale.detach().double().exp())
        self.pair_bias = None if model.logit_bias is None else float(model.logit_bias.detach())
        self.width = _output_width(name)
        self.tokenizer = OpenClipTokenizer(name, beyond)

    def forward(self, tokens: Tensor, local: bool = True) -> Encoded:
        """Encode [T, L] tokens; with `local` also single tokens, projected as the text is."""
        pooled, words = encode_text(self.text, self.tokenizer.swapped(tokens))
        return text_with_tokens(self.text, pooled, words, tokens) if local else Encoded(pooled)


def _output_width(name: str) -> int:
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        raise ConfigError(f"open_clip model '{name}' states no embed_dim; name a model of open_clip.list_models()")
    return int(config["embed_dim"])
