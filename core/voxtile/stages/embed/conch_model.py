"""CONCH (Lu et al. 2024, Nature Medicine), whose model code is a package of its own that its card asks to install."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from voxtile.data.presets.base import SampleSource
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.load import best_device
from voxtile.stages.embed.extractor import Extractor, check_pictures, picture_of

_ARCHITECTURE = "conch_ViT-B-16"


class ConchExtractor:
    """CONCH's image embeddings before the contrastive projection, as its card advises for vision-only tasks.

    Args:
        name: how the table calls it.
        model: from the package `conch`.
        transform: the one that came with it.
    """

    width = 512

    def __init__(self, name: str, model: Any, transform: Any) -> None:  # noqa: ANN401 - the package has no types
        self.name = name
        self._device = best_device()
        self._model = model.eval().to(self._device)
        self._transform = transform

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """RGB or grey pictures of 8 bits."""
        check_pictures(metas)

    def prepare(self, source: SampleSource) -> Tensor:
        """By the transform that came with the model."""
        return torch.as_tensor(self._transform(picture_of(source)))

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """[S, 3, Y, X] to [S, D]."""
        out = self._model.encode_image(images.to(self._device), proj_contrast=False, normalize=False)
        return torch.as_tensor(out).float().cpu()


def conch_extractor(identity: str) -> Extractor:
    """CONCH from the hub.

    Raises:
        ConfigError: its package is not installed.
        CheckpointError: its weights cannot be loaded.
    """
    try:
        from conch.open_clip_custom import create_model_from_pretrained
    except ImportError as error:
        raise ConfigError(
            f"'{identity}' comes with code of its own, and its package 'conch' is not installed; install it as the "
            "model's card says"
        ) from error
    try:
        model, transform = create_model_from_pretrained(_ARCHITECTURE, f"hf_hub:{identity}")
    except Exception as error:  # the package and the hub client raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the weights of '{identity}' cannot be loaded: {reason}") from error
    return ConchExtractor(f"hf:{identity}", model, transform)
