"""Image-text pairs of Hugging Face transformers (CLIP, SigLIP and their kin) as evaluation wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.bounded_text import load_json
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.errors import CheckpointError, ConfigError, required
from voxtile.models.hub.reachable import hub_or_copy
from voxtile.models.tokenizer import refuse_undecoded
from voxtile.models.tower import require_phrases

CONFIG = "config.json"
_BICUBIC, _BILINEAR = 3, 2  # Pillow's resampling filters, as processors name them
_FILTERS = {_BICUBIC: "bicubic", _BILINEAR: "bilinear"}


class HuggingFacePair:
    """A pair of encoders of transformers with its own preprocessing.

    Args:
        name: how tables call it.
        model: from transformers, with `get_image_features` and `get_text_features`.
        tokenizer: its tokenizer.
        preset: its preprocessing.
        device: where it shall run.

    Attributes:
        module: the model of transformers.
    """

    fact_names: tuple[str, ...] = ()

    def __init__(self, name: str, model: Any, tokenizer: Any, preset: ImagePreset, device: torch.device) -> None:  # noqa: ANN401 - transformers has no types
        self.name, self.preset = name, preset
        self.module, self.device, self._tokenizer = model.eval().to(device), device, tokenizer
        text = model.config.text_config
        self._context = int(text.max_position_embeddings)
        # SigLIP was trained on texts that are padded to their full length (Zhai et al., ICCV 2023).
        self._padding: bool | str = "max_length" if "siglip" in str(model.config.model_type) else True

    @property
    def logit_scale(self) -> float:
        """Multiplier of the cosine similarity."""
        return float(self.module.logit_scale.detach().exp())

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[S, 3, Y, X] float32 to [S, D] normalised embeddings."""
        return _normalised(self.module.get_image_features(pixel_values=images.to(self.device)))

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D] normalised embeddings; texts beyond the context are cut."""
        refuse_undecoded(texts)
        tokens = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._context, return_tensors="pt"
        ).to(self.device)
        return _normalised(self.module.get_text_features(**tokens))

    def encode_phrases(self, phrases: Sequence[str]) -> Tensor:
        """P phrases to [P, D] normalised embeddings.

        Raises:
            ConfigError: a phrase is empty or too long.
        """
        require_phrases(
            phrases, lambda phrase: len(self._tokenizer(phrase, verbose=False)["input_ids"]) > self._context
        )
        return self.encode_texts(phrases)

    def fact_logits(self, images: Tensor) -> Tensor:
        """Such models have no head for facts.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"model '{self.name}' has no fact head")


def huggingface_pair(
    identity: str,
    *,
    folder: Path | None = None,
    device: torch.device,
    model_class: Any = None,  # noqa: ANN401 - transformers has no types
    name: str | None = None,
) -> HuggingFacePair:
    """A pair by its hub name, or in a folder; none of its own code is run, and no pickle is read.

    Args:
        identity: hub name, or a path.
        folder: where it is, if it is a folder that is named by itself.
        device: where it shall run.
        model_class: of transformers; the one that its configuration names where left out.
        name: how tables call it; made of the identity where left out.

    Raises:
        CheckpointError: it cannot be loaded, or it needs code of its own.
        ConfigError: it is no pair of image and text encoders.
        MissingExtraError: transformers is not installed.
    """
    with required("transformers", "huggingface"):
        import transformers
    where = hub_or_copy(str(folder or identity))
    if folder is not None:
        _refuse_own_code(folder)
    try:
        options: dict[str, Any] = {} if model_class is not None else {"trust_remote_code": False}
        chosen = model_class or transformers.AutoModel
        model = chosen.from_pretrained(where, use_safetensors=True, **options)
        processor = transformers.AutoImageProcessor.from_pretrained(where, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # transformers and the hub client raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the Hugging Face model '{identity}' cannot be loaded: {reason}") from error
    if not all(hasattr(model, part) for part in ("get_image_features", "get_text_features", "logit_scale")):
        raise ConfigError(
            f"'{identity}' is a {type(model).__name__}, which does not encode images and texts to one space; give a "
            "CLIP or SigLIP, or use it with voxtile embed"
        )
    name = name or (f"hf:{identity}" if folder is None else folder.name)
    return HuggingFacePair(name, model, tokenizer, preset_of(processor.to_dict()), device)


def preset_of(processor: Mapping[str, Any]) -> ImagePreset:
    """The preprocessing that an image processor's configuration describes.

    Raises:
        CheckpointError: a resampling filter that is not known.
    """
    size, crop = processor["size"], processor.get("crop_size") or {}
    resample = int(processor.get("resample", _BICUBIC))
    if resample not in _FILTERS:
        raise CheckpointError(f"the model resamples pictures with filter {resample}, which is not supported")
    shortest = size.get("shortest_edge")
    crops = bool(processor.get("do_center_crop")) and bool(crop)
    shape = (int(crop["height"]), int(crop["width"])) if crops else (int(size["height"]), int(size["width"]))
    if shortest is not None and (not crops or shortest != min(shape)):
        raise CheckpointError(
            f"the model resizes pictures to {dict(size)} and crops them to {dict(crop)}, which is not supported"
        )
    return ImagePreset(
        size=shape,
        mean=tuple(processor["image_mean"]),
        std=tuple(processor["image_std"]),
        resize="shortest" if shortest is not None else "squash",
        interpolation="bicubic" if resample == _BICUBIC else "bilinear",
        augment=ImageAugment(crop="none"),
    )


def _refuse_own_code(folder: Path) -> None:
    config = folder / CONFIG
    try:
        content = load_json(config.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{config}' cannot be read as JSON; download the model again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{config}' describes no model; download the model again")
    if "auto_map" in content:
        named = content["auto_map"] if isinstance(content["auto_map"], dict | list) else [content["auto_map"]]
        wanted = ", ".join(sorted(map(str, named)))[:200]
        raise CheckpointError(
            f"the model in '{folder}' needs code of its own ({wanted}), which is not run; convert it to a model of "
            "transformers"
        )


def _normalised(features: Any) -> Tensor:  # noqa: ANN401 - a tensor, or an output of transformers
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(tensor.float(), dim=1).cpu()
