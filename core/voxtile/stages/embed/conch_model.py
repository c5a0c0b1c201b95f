"""CONCH (Lu et al. 2024, Nature Medicine), whose model code is a package of its own that its card asks to install."""

from __future__ import annotations

import torch
from torch import Tensor

from voxtile.errors import CheckpointError, ConfigError
from voxtile.stages.embed.extractor import Extractor, PictureExtractor

_ARCHITECTURE = "conch_ViT-B-16"


class ConchExtractor(PictureExtractor):
    """CONCH's image embeddings before the contrastive projection, as its card advises for vision-only tasks."""

    width = 512

    def _features(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self._model.encode_image(images, proj_contrast=False, normalize=False))


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
