"""Models of open_clip, both towers, with its own preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtile.console import note
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.errors import CheckpointError
from voxtile.inference.encoder_model import EncoderModel, best_device
from voxtile.inference.names import OPEN_CLIP
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText, hub_name, preprocessing

_WEIGHTS = (".safetensors", ".bin", ".pth")  # as open_clip looks for them in a folder


def open_clip_pair(spec: str) -> EncoderModel:
    """A model by its name in open_clip.

    Args:
        spec: `NAME[/PRETRAINED]`, `hf-hub:ORG/REPO` or `local-dir:FOLDER`.

    Raises:
        CheckpointError: its weights cannot be loaded safely or do not fit.
        ConfigError: no such model or weights.
    """
    name, pretrained = hub_name(spec)
    folder = Path(name.removeprefix("local-dir:"))
    if name.startswith("local-dir:") and folder.is_dir() and not any(f.suffix in _WEIGHTS for f in folder.iterdir()):
        raise CheckpointError(
            f"the folder '{folder}' has the config of an open_clip model and no weights ({', '.join(_WEIGHTS)}), which "
            "would be random; copy them into it"
        )
    if pretrained is None and not name.startswith(("local-dir:", "hf-hub:")):
        note(
            f"{OPEN_CLIP}{spec} names no weights, so they are random and what it says is chance; name them with "
            f"{OPEN_CLIP}{name}/TAG or /FILE"
        )
    image, text = OpenClipImage(name=name, pretrained=pretrained), OpenClipText(name=name, pretrained=pretrained)
    encoder = DualEncoder(image=image, text=text, embed_dim=image.width, project=False, logit_scale="pretrained")
    preset = _preset(preprocessing(image.visual))
    return EncoderModel(f"{OPEN_CLIP}{spec}", encoder.to(best_device()), preset)


def _preset(settings: Mapping[str, Any]) -> ImagePreset:
    size = settings["size"]
    return ImagePreset(
        size=(size, size) if isinstance(size, int) else tuple(size),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        resize=settings["resize_mode"],
        interpolation=settings["interpolation"],
        fill=settings["fill_color"],
        augment=ImageAugment(crop="none"),
    )
