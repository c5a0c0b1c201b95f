"""A model as a folder that transformers loads: a `CLIPModel`, which needs no code of its own.

transformers has one architecture that fits: two pre-norm transformers with a class token in the image (CLIP, Radford et
al. 2021). What is none is refused: a folder that runs code of its own when it is loaded is what voxtile itself refuses.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.data.presets.image import ImagePreset
from voxtile.errors import ExportError
from voxtile.export.openclip import folded, open_clip_parts, uses_quick_gelu
from voxtile.export.source import Embedded, Probes, Source
from voxtile.formats.optional import require
from voxtile.models.hub.openclip import OpenClipTokenizer

_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_IMAGE = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_TEXT = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
_TURNED = {"proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_IGNORED = ("attn_mask",)
_BICUBIC, _BILINEAR = 3, 2  # Pillow's resampling filters


def write_hugging_face(source: Source, folder: Path) -> None:
    """Write a `CLIPModel`, its tokenizer, and its image processor where the preset is of pictures.

    Raises:
        ExportError: transformers has no architecture or no preprocessing for it.
        MissingExtraError: transformers is not installed.
    """
    transformers = require("transformers", "huggingface")
    encoder = source.encoder
    image, text = open_clip_parts(source, "transformers")
    weights = _converted(folded(image.visual, encoder.image_projection), "vision_model", _IMAGE)
    weights |= _converted(folded(text.text, encoder.text_projection), "text_model", _TEXT)
    weights["logit_scale"] = encoder.log_scale.detach().clone()
    if not isinstance(text.tokenizer, OpenClipTokenizer) or not text.tokenizer.is_clip:
        raise ExportError("transformers cannot be given this model's tokenizer, which is not CLIP's; use --to onnx")
    config = _config(transformers, weights, image.visual, text.text, encoder.embed_dim)
    model = transformers.CLIPModel(config)
    unfit = model.load_state_dict(weights, strict=False)
    lacking = [name for name in unfit.missing_keys if "position_ids" not in name]
    if lacking or unfit.unexpected_keys:
        raise _no_clip([*lacking, *unfit.unexpected_keys][0])
    model.save_pretrained(folder)
    _tokenizer(transformers, text.tokenizer).save_pretrained(folder)
    if image.channels in (1, 3):
        (folder / "preprocessor_config.json").write_text(
            json.dumps(_processor(source.preset), indent=2) + "\n", encoding="utf-8"
        )


@torch.no_grad()
def run_hugging_face(folder: Path, probes: Probes) -> Embedded:
    """What transformers makes of the probes, loaded by its own functions and without code from the folder.

    Raises:
        ExportError: transformers does not load the export.
    """
    transformers = require("transformers", "huggingface")
    try:
        model = transformers.AutoModel.from_pretrained(folder, trust_remote_code=False, use_safetensors=True).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises many types
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"transformers does not load the export: {reason}") from error
    tokens = tokenizer(
        list(probes.texts),
        padding=True,
        truncation=True,
        max_length=model.config.text_config.max_position_embeddings,
        return_tensors="pt",
    )
    images = _tensor(model.get_image_features(pixel_values=probes.images))
    texts = _tensor(model.get_text_features(**tokens))
    return Embedded(images, texts, model.logit_scale.exp().item())


def _tensor(features: Any) -> Tensor:  # noqa: ANN401 - a tensor, or an output of transformers
    return F.normalize(features if isinstance(features, Tensor) else features.pooler_output, dim=1)


def _converted(weights: dict[str, Tensor], part: str, names: dict[str, str]) -> dict[str, Tensor]:
    """Weights of open_clip's transformer under transformers' names."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        block = _BLOCK.fullmatch(name)
        if name in _IGNORED:
            continue
        if name in names:
            found[names[name]] = value
        elif name.removesuffix(".weight") in _TURNED:
            # A parameter is [in, out], a linear map [out, in].
            key = _TURNED[name.removesuffix(".weight")]
            found[key] = value if name.endswith(".weight") else value.T.contiguous()
        elif block:
            found |= _block(f"{part}.encoder.layers.{block[1]}", block[2], value)
        else:
            raise _no_clip(name)
    return found


def _block(prefix: str, name: str, value: Tensor) -> dict[str, Tensor]:
    if name in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = name.removeprefix("attn.in_proj_")
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        return {f"{prefix}.self_attn.{which}.{kind}": part.contiguous() for which, part in parts}
    module, _, kind = name.rpartition(".")
    if module not in _IN_BLOCK:
        raise _no_clip(name)
    return {f"{prefix}.{_IN_BLOCK[module]}.{kind}": value}


def _no_clip(weight: str) -> ExportError:
    return ExportError(
        f"transformers' CLIPModel has no place for the weight '{weight}', so that this model is no CLIP of two plain "
        "transformers; export it with --to open_clip or --to onnx"
    )


def _config(transformers: Any, weights: dict[str, Tensor], image: nn.Module, text: nn.Module, width: int) -> Any:  # noqa: ANN401
    patches = weights["vision_model.embeddings.patch_embedding.weight"]
    places = weights["vision_model.embeddings.position_embedding.weight"].shape[0] - 1
    words = weights["text_model.embeddings.token_embedding.weight"]
    side = round(places**0.5)
    if side * side != places or patches.shape[2] != patches.shape[3]:
        raise ExportError("transformers' CLIPModel reads square pictures only, and this one does not; use --to onnx")
    vision = {
        **_layers(image, weights, "vision_model"),
        "num_channels": patches.shape[1],
        "patch_size": patches.shape[2],
        "image_size": side * patches.shape[2],
    }
    language = {
        **_layers(text, weights, "text_model"),
        "vocab_size": words.shape[0],
        "max_position_embeddings": weights["text_model.embeddings.position_embedding.weight"].shape[0],
        "bos_token_id": words.shape[0] - 2,
        "eos_token_id": words.shape[0] - 1,
        "pad_token_id": words.shape[0] - 1,
    }
    return transformers.CLIPConfig(text_config=language, vision_config=vision, projection_dim=width)


def _layers(part: nn.Module, weights: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    """Sizes of a transformer."""
    first = weights[f"{prefix}.encoder.layers.0.mlp.fc1.weight"]
    blocks = [m for m in part.modules() if type(m).__name__ == "ResidualAttentionBlock"]
    return {
        "hidden_size": first.shape[1],
        "intermediate_size": first.shape[0],
        "num_hidden_layers": len(blocks),
        "num_attention_heads": blocks[0].get_submodule("attn").num_heads,
        "hidden_act": "quick_gelu" if uses_quick_gelu(part) else "gelu",
    }


def _tokenizer(transformers: Any, tokenizer: OpenClipTokenizer) -> Any:  # noqa: ANN401
    """CLIP's byte-pair tokenizer from open_clip's own vocabulary."""
    vocabulary, merges = tokenizer.vocabulary()
    names = sorted(vocabulary, key=lambda name: vocabulary[name])
    for name, index in zip(("<|startoftext|>", "<|endoftext|>"), (-2, -1), strict=True):  # as transformers calls them
        vocabulary[name] = vocabulary.pop(names[index])
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=tokenizer.context)


def _processor(preset: object) -> dict[str, Any]:
    """Configuration of a `CLIPImageProcessor`."""
    if not isinstance(preset, ImagePreset) or preset.channels != 3 or preset.resize == "longest":
        how = type(preset).__name__
        if isinstance(preset, ImagePreset):
            how += f" with {'resize: longest' if preset.resize == 'longest' else 'channels: 1'}"
        raise ExportError(f"transformers has no preprocessing like {how}; export the model with --to onnx")
    height, width = preset.size
    square = height == width
    if preset.resize == "shortest" and not square:
        raise ExportError("transformers covers square pictures only by their shortest edge; export with --to onnx")
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": height} if preset.resize == "shortest" else {"height": height, "width": width},
        "resample": _BICUBIC if preset.interpolation == "bicubic" else _BILINEAR,
        "do_center_crop": preset.resize == "shortest",
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preset.mean),
        "image_std": list(preset.std),
    }
