"""Models of Hugging Face transformers with their own image processors: PLIP, DINOv2, CLIP, SigLIP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxtile.data.presets.base import SampleSource
from voxtile.errors import CheckpointError, required
from voxtile.inference.encoder_model import best_device
from voxtile.models.hub.reachable import hub_or_copy
from voxtile.stages.embed.extractor import Extractor, check_pictures, picture_of, short_name


class TransformersExtractor:
    """The image features of a model of transformers: of a pair as its texts share them, else what it pools.

    Args:
        name: how the table calls it.
        model: from transformers.
        processor: its image processor.
    """

    def __init__(self, name: str, model: Any, processor: Any) -> None:  # noqa: ANN401 - transformers has no types
        self.name = name
        self._device = best_device()
        self._model = model.eval().to(self._device)
        self._processor = processor

    @property
    def width(self) -> int:
        """Length of a vector."""
        config = self._model.config
        if hasattr(self._model, "get_image_features") and getattr(config, "projection_dim", None):
            return int(config.projection_dim)
        return int(getattr(config, "hidden_size", None) or config.vision_config.hidden_size)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """RGB or grey pictures of 8 bits."""
        check_pictures(metas)

    def prepare(self, source: SampleSource) -> Tensor:
        """By the image processor in the model's folder."""
        pixels = self._processor(images=picture_of(source), return_tensors="pt")["pixel_values"]
        return torch.as_tensor(pixels)[0]

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """[S, 3, Y, X] to [S, D]."""
        images = images.to(self._device)
        if hasattr(self._model, "get_image_features"):
            out = self._model.get_image_features(pixel_values=images)
        else:
            out = self._model(pixel_values=images)
        if not isinstance(out, Tensor):
            pooled = getattr(out, "pooler_output", None)
            out = pooled if pooled is not None else out.last_hidden_state[:, 0]
        features: Tensor = out.flatten(1).float().cpu()
        return features


def transformers_extractor(identity: str | Path, *, folder: Path | None = None) -> Extractor:
    """A model by its hub name, or in a folder; none of its own code is run, and no pickle is read.

    Raises:
        CheckpointError: it cannot be loaded.
        MissingExtraError: transformers is not installed.
    """
    with required("transformers", "huggingface"):
        import transformers

    where = hub_or_copy(str(folder or identity))
    try:
        model = transformers.AutoModel.from_pretrained(where, trust_remote_code=False, use_safetensors=True)
        processor = transformers.AutoImageProcessor.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # transformers and the hub client raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the Hugging Face model '{identity}' cannot be loaded: {reason}") from error
    name = f"hf:{identity}" if folder is None else _folder_name(folder)
    return TransformersExtractor(name, model, processor)


def _folder_name(folder: Path) -> str:
    config = json.dumps(json.loads((folder / "config.json").read_text("utf-8")), sort_keys=True).encode()
    weights = b"".join(path.read_bytes() for path in sorted(folder.glob("*.safetensors")))
    return short_name(folder, config + weights)
