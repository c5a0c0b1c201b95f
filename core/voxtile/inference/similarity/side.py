"""The image side of a model, opened: what similarity maps need to know of it.

Shape letters: S images, P phrases, N tokens, D the shared width, *g a grid of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.huggingface_pair import HuggingFacePair
from voxtile.inference.similarity.attention import Map, PatchTransformer
from voxtile.inference.similarity.learned import LocalSimilarity, learned_similarities
from voxtile.inference.similarity.towers import of_open_clip, of_timm, of_transformers
from voxtile.models.grounding_decoder import require_levels
from voxtile.models.hub.openclip import OpenClipImage
from voxtile.models.hub.timm import TimmFeatures
from voxtile.models.image.vit import ViTTower
from voxtile.models.openclip_tokens import resnet_values
from voxtile.models.rgb_pictures import BandsModel, SlicePooledModel

_PATCHES = re.compile(r"(^|\.)(patch_embed(ding)?s?|embeddings|ln_pre)(\.|$)")  # of timm, transformers, open_clip


@dataclass(frozen=True)
class ImageSide:
    """What a model shows of its image tower.

    Attributes:
        module: the tower.
        embed: [S, C, *G] to [S, D] normalised, with gradients.
        device: where it runs.
        transformer: the tower as a vision transformer, where it is one.
        values: of a tower that pools its last feature map by attention, that map to [S, N, D].
        levels: feature maps that the embedding is pooled from and the embedding [S, D], where the tower gives them.
        learned: similarities of places that were trained for, by method, the most local first.
    """

    module: nn.Module
    embed: Map
    device: torch.device
    transformer: PatchTransformer | None = None
    values: Map | None = None
    levels: Callable[[Tensor], tuple[Sequence[Tensor], Tensor]] | None = None
    learned: Mapping[str, LocalSimilarity] = field(default_factory=dict)


@singledispatch
def image_side(model: object) -> ImageSide:
    """Open the image side of a model.

    Raises:
        ConfigError: a kind of model that is not known.
    """
    raise ConfigError(
        f"similarity maps need a checkpoint, an open_clip model or a CLIP or SigLIP of transformers, not a "
        f"{type(model).__name__}"
    )


@image_side.register
def _(model: BandsModel) -> ImageSide:
    """Of tiles by three of their bands: as of the pictures that they become."""
    if isinstance(model, SlicePooledModel):
        raise ConfigError(
            f"model '{model.name}' reads pictures, and a volume's similarity map needs a model of volumes; take one"
        )
    return image_side(model.pictures)


@image_side.register
def _(model: HuggingFacePair) -> ImageSide:
    def embed(images: Tensor) -> Tensor:
        found: Any = model.module.get_image_features(pixel_values=images)
        return F.normalize((found if isinstance(found, Tensor) else found.pooler_output).float(), dim=1)

    return ImageSide(model.module.vision_model, embed, model.device, transformer=of_transformers(model.module))


@image_side.register
def _(model: EncoderModel) -> ImageSide:
    encoder, tower = model.encoder, model.encoder.image
    project: Map = encoder.image_projection
    transformer, values = None, None
    if isinstance(tower, OpenClipImage):
        transformer, values = of_open_clip(tower.visual, project), resnet_values(tower.visual)
    elif isinstance(tower, TimmFeatures):
        transformer = of_timm(tower.model, project, tower)

    def embed(images: Tensor) -> Tensor:
        return encoder.encode_samples(images)[0]

    def levels(images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        embeddings, encoded = encoder.encode_samples(images, tokens=True)
        return require_levels(encoded)[1:], embeddings  # the first is what all others come from, and is not pooled

    return ImageSide(
        tower,
        embed,
        model.device,
        transformer,
        None if values is None else lambda x: project(values(x)),
        levels if tower.level_widths and not isinstance(tower, ViTTower) else None,  # of a ViT they come after pooling
        learned_similarities(model),
    )


@contextmanager
def with_gradients(module: nn.Module) -> Iterator[None]:
    """Gradients inside, whatever is frozen and even where the caller only infers; afterwards all is as it was."""
    frozen = [parameter for parameter in module.parameters() if not parameter.requires_grad]
    floating = [parameter for parameter in frozen if parameter.is_floating_point()]
    with torch.inference_mode(False), torch.enable_grad():
        for parameter in floating:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in floating:
                parameter.requires_grad_(False)


@contextmanager
def noting_last_map(module: nn.Module, dimensions: int) -> Iterator[list[Tensor]]:
    """A list that holds the last feature map [S, W, *g] of more than one place, once the module has run.

    It stays empty where patches become a sequence of tokens, which no map is read from, or where channels come last.
    """
    held: list[Tensor] = []
    unread = [name for name, part in module.named_modules() if getattr(part, "output_fmt", "") == "NHWC"]

    def noting(name: str) -> Callable[[nn.Module, object, object], None]:
        def note(_: nn.Module, __: object, out: object) -> None:
            if isinstance(out, Tensor) and out.ndim == 3 and _PATCHES.search(name):
                unread.append(name)
            if isinstance(out, Tensor) and out.ndim == dimensions + 2 and max(out.shape[2:]) > 1:
                held[:] = [out]
            if unread:
                held.clear()

        return note

    hooks = [part.register_forward_hook(noting(name)) for name, part in module.named_modules()]
    try:
        yield held
    finally:
        for hook in hooks:
            hook.remove()
