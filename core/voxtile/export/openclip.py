"""A model as a folder that open_clip loads: `open_clip.create_model_from_pretrained("local-dir:FOLDER")`."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.published.picture import PublishedPicture
from voxtile.errors import ExportError
from voxtile.export.source import Embedded, Probes, Source
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
# Where open_clip's parts keep their last linear map: [in, out] parameters and Linear modules.
_LAST = ("proj", "text_projection", "attnpool.c_proj", "head.proj", "head.mlp.fc2")


def write_open_clip(source: Source, folder: Path) -> None:
    """Write configuration and weights.

    The projections of a `DualEncoder` are multiplied into open_clip's own last linear maps: both are linear, so that
    the product is the same model.

    Raises:
        ExportError: open_clip cannot express a tower or the preprocessing.
    """
    encoder = source.encoder
    image, text = open_clip_parts(source, "open_clip")
    if image.channels != _RGB:
        raise ExportError(
            f"open_clip reads pictures of 3 channels, and this image tower has {image.channels}; export it with --to "
            "onnx or --to huggingface"
        )
    weights = {f"visual.{name}": value for name, value in folded(image.visual, encoder.image_projection).items()}
    weights |= {f"text.{name}": value for name, value in folded(text.text, encoder.text_projection).items()}
    weights["logit_scale"] = encoder.log_scale.detach().clone()
    if encoder.logit_bias is not None:
        weights["logit_bias"] = encoder.logit_bias.detach().clone()
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS)
    config = {"model_cfg": _model_config(source, image, text), "preprocess_cfg": _preprocessing(source.preset)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def run_open_clip(folder: Path, probes: Probes) -> Embedded:
    """What open_clip makes of the probes, loaded by its own functions.

    Raises:
        ExportError: open_clip does not load the export.
    """
    import open_clip

    name = f"local-dir:{folder}"
    try:
        model: Any = open_clip.create_model_from_pretrained(name, return_transform=False, weights_only=True)
        tokenizer: Any = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip, torch and the hub client raise many types
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"open_clip does not load the export: {reason}") from error
    model.eval()
    images = F.normalize(model.encode_image(probes.images), dim=1)
    texts = F.normalize(model.encode_text(tokenizer(list(probes.texts))), dim=1)
    return Embedded(images, texts, model.logit_scale.exp().item())


_RGB = 3


def open_clip_parts(source: Source, target: str) -> tuple[OpenClipImage, OpenClipText]:
    """The towers, where both are open_clip's.

    Raises:
        ExportError: one is not.
    """
    image, text = source.encoder.image, source.encoder.text
    if not isinstance(image, OpenClipImage) or not isinstance(text, OpenClipText):
        kind, tower = ("image", image) if not isinstance(image, OpenClipImage) else ("text", text)
        raise ExportError(
            f"{target} has no architecture for the {kind} tower {type(tower).__name__}; export it with --to onnx, "
            "which holds any tower"
        )
    return image, text


def folded(part: nn.Module, projection: nn.Module) -> dict[str, Tensor]:
    """Weights of an open_clip part with a linear projection after it multiplied into its last linear map.

    Raises:
        ExportError: the part has no such map, or the projection is no linear one.
    """
    weights = {name: value.detach().clone() for name, value in part.state_dict().items()}
    if isinstance(projection, nn.Identity):
        return weights
    if not isinstance(projection, nn.Linear):
        raise ExportError(
            "the projections of this model are MLPs, which cannot be multiplied into a tower's last linear map; export "
            "it with --to onnx"
        )
    outer = projection.get_parameter("weight").detach().double()  # [D, W]
    for name in _LAST:
        if name in weights:  # x @ P, then @ Wᵀ
            weights[name] = (weights[name].double() @ outer.T).float()
            return weights
        if f"{name}.weight" in weights:
            for key in (f"{name}.weight", f"{name}.bias"):
                if key in weights:
                    weights[key] = (outer @ weights[key].double()).float()
            return weights
    raise ExportError(
        f"{type(part).__name__} has no linear map at its end that the projection could be multiplied into; export the "
        "model with --to onnx"
    )


def uses_quick_gelu(part: nn.Module) -> bool:
    """Whether a part has OpenAI's approximation of GELU."""
    return any(type(module).__name__ == "QuickGELU" for module in part.modules())


def _model_config(source: Source, image: OpenClipImage, text: OpenClipText) -> dict[str, Any]:
    import open_clip

    quick = {uses_quick_gelu(part) for part in _transformers(image.visual, text.text)}
    if len(quick) > 1:
        raise ExportError("open_clip has one activation for both towers, and these differ in it; export with --to onnx")
    pictures, words = (copy.deepcopy(open_clip.get_model_config(tower.name)) for tower in (image, text))
    config: dict[str, Any] = {
        "embed_dim": source.encoder.embed_dim,
        "vision_cfg": pictures["vision_cfg"],
        "text_cfg": words["text_cfg"],
        "custom_text": True,
    }
    if True in quick:
        config["quick_gelu"] = True
    if source.bias is not None:
        config["init_logit_bias"] = source.bias
    return config


def _transformers(*parts: nn.Module) -> Iterator[nn.Module]:
    """Parts whose activation open_clip's setting decides; convolutional ones have their own."""
    for part in parts:
        if any(type(module).__name__ == "ResidualAttentionBlock" for module in part.modules()):
            yield part


def _preprocessing(preset: object) -> dict[str, Any]:
    fitted = isinstance(preset, PublishedPicture) and preset.within is not None
    if not isinstance(preset, ImagePreset) or preset.channels != _RGB or fitted:
        raise ExportError(
            f"open_clip has no preprocessing like {type(preset).__name__}, only that of RGB pictures; export the model "
            "with --to onnx, which states the preset beside it"
        )
    return {
        "size": list(preset.size),
        "mode": "RGB",
        "mean": list(preset.mean),
        "std": list(preset.std),
        "interpolation": preset.interpolation,
        "resize_mode": preset.resize,
        "fill_color": preset.fill,
    }
