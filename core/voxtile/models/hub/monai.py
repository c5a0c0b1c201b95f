"""Towers of MONAI's networks in 2D and 3D: ResNets, DenseNets, the encoder of SwinUNETR, ViT. Needs the extra `towers`.

Shape letters: S images, C channels, W features, *G a grid.
"""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError, MissingExtraError, nearest
from voxtile.models.hub.adapters import inflate_channels
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower, weights_by_name
from voxtile.types import Encoded

hub_name = weights_by_name

_KNOWN = re.compile(r"resnet\d+|ResNet|DenseNet\d*|SwinUNETR|ViT")
# Classifiers, decoders of segmentation, and what self-supervision needed besides.
_HEADS = r"(fc|conv_seg|class_layers|out|(en|de)coder\d*|conv|norm|(classification|rotation|contrastive)_head)\b.*"
_RENAMED = {".mlp.fc1.": ".mlp.linear1.", ".mlp.fc2.": ".mlp.linear2.", "swinViT.": ""}

Maps = Callable[[Any, Tensor], list[Tensor]]
"""From a network and [S, C, *G] images to the maps [S, W, *G] of its stages, finest first; the last is pooled."""


class MonaiTower(ImageTower):
    """A network of MONAI by the name of its class or function.

    The embedding is the mean of the last map.

    Args:
        name: of `monai.networks.nets`: `resnet18`, `resnet50`, `DenseNet121`, `SwinUNETR`, `ViT`, ….
        dimensions: 2 or 3.
        channels: of the images.
        size: of the images, for `ViT`.
        pretrained: local file in MONAI's layout, or that of MedicalNet (ResNets) or of the self-supervised SwinUNETR;
            None for random weights. Filters of a file for another number of channels are inflated.
        options: further arguments of the network, such as `{feature_size: 48}`; ResNets of MedicalNet need
            `{conv1_t_stride: 2, shortcut_type: A, bias_downsample: true}` or what its file says.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        ConfigError: no such network or option, or one that is not known here.
        CheckpointError: the weights cannot be loaded or do not fit; the message names the key.
        MissingExtraError: MONAI is not installed.
    """

    def __init__(
        self,
        *,
        name: str,
        dimensions: Literal[2, 3] = 3,
        channels: int = 1,
        size: int | tuple[int, ...] | None = None,
        pretrained: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name, self.dimensions, self.channels = name, int(dimensions), channels
        settings: dict[str, Any] = {"spatial_dims": self.dimensions, **(options or {})}
        if size is not None:
            settings["img_size"] = size
        self.model, self._maps = _create(name, channels, settings)
        self.load_report: LoadReport | None = None
        if pretrained:
            self.load_report = _load(self.model, pretrained)
        widths, strides = _stages(self.model, self._maps, self.dimensions, channels, size)
        self.width = widths[-1]
        if strides == [2 ** (level + 1) for level in range(len(strides))] and len(strides) > 1:
            self.level_widths = tuple(widths)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, *G] images; with `tokens` also the last map, and all where their strides are 2, 4, 8, …."""
        maps = self._maps(self.model, images)
        pooled = maps[-1].flatten(2).mean(2)
        if not tokens:
            return Encoded(pooled)
        last = maps[-1].flatten(2).mT
        return Encoded(pooled, last, tuple(maps[-1].shape[2:]), None, tuple(maps) if self.level_widths else None)


def _resnet(model: Any, images: Tensor) -> list[Tensor]:  # noqa: ANN401 - monai is optional
    x = model.act(model.bn1(model.conv1(images)))
    maps = [x]
    if not model.no_max_pool:
        x = model.maxpool(x)
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        maps.append(x)
    return maps


def _densenet(model: Any, images: Tensor) -> list[Tensor]:  # noqa: ANN401
    return [torch.relu(model.features(images))]


def _swin(model: Any, images: Tensor) -> list[Tensor]:  # noqa: ANN401
    return list(model(images))


def _vit(model: Any, images: Tensor) -> list[Tensor]:  # noqa: ANN401
    x = model.patch_embedding(images)
    for block in model.blocks:
        x = block(x)
    grid = [n // p for n, p in zip(images.shape[2:], model.patch_embedding.patch_embeddings.stride, strict=True)]
    return [model.norm(x).mT.unflatten(2, grid)]


# By the name of a network's class or of one it is derived from.
_MAPS: Mapping[str, Maps] = {"ResNet": _resnet, "DenseNet": _densenet, "SwinTransformer": _swin, "ViT": _vit}


def _create(name: str, channels: int, settings: Mapping[str, Any]) -> tuple[nn.Module, Maps]:
    try:
        nets = importlib.import_module("monai.networks.nets")
    except ImportError as error:
        raise MissingExtraError("monai", "towers") from error
    if not _KNOWN.fullmatch(name) or not hasattr(nets, name):
        raise ConfigError(
            f"'{name}' is no ResNet, DenseNet, SwinUNETR or ViT of monai.networks.nets{nearest(name, dir(nets))}"
        )
    if "pretrained" in settings:
        raise ConfigError("options of a MONAI tower may not set pretrained; name a local file in its own pretrained")
    try:
        model: nn.Module = getattr(nets, name)(**_channels(name, channels), **settings)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"monai cannot make '{name}' with {dict(settings)}: {reason}") from error
    if hasattr(model, "swinViT"):
        model = model.get_submodule("swinViT")  # the decoder is not needed
    for part in ("fc", "class_layers"):
        if hasattr(model, part):
            setattr(model, part, None if part == "fc" else nn.Identity())
    if settings.get("classification") or settings.get("proj_type", "conv") != "conv":
        raise ConfigError("a ViT of MONAI is used without its classifier, and with proj_type: conv")
    return model, next(_MAPS[kind.__name__] for kind in type(model).__mro__ if kind.__name__ in _MAPS)


def _channels(name: str, channels: int) -> dict[str, int]:
    """MONAI's networks call the number of channels differently."""
    if name.casefold().startswith("resnet"):
        return {"n_input_channels": channels}
    if name == "ViT":
        return {"in_channels": channels}
    return {"in_channels": channels, "out_channels": 1}


def _stages(
    model: nn.Module, maps: Maps, dimensions: int, channels: int, size: int | tuple[int, ...] | None
) -> tuple[list[int], list[int]]:
    """Features and stride of each map, from the shapes of a copy that computes nothing."""
    side = 64 if size is None else size
    shape = (side,) * dimensions if isinstance(side, int) else tuple(side)
    with torch.no_grad():
        found = maps(copy.deepcopy(model).to("meta").eval(), torch.zeros(1, channels, *shape, device="meta"))
    strides = [{round(n / m) for n, m in zip(shape, part.shape[2:], strict=True)} for part in found]
    return [part.shape[1] for part in found], [s.pop() if len(s) == 1 else 0 for s in strides]


def _load(model: nn.Module, where: str) -> LoadReport:
    state = {}
    for key, value in read_weights(where).items():
        for old, new in _RENAMED.items():
            key = key.replace(old, new)
        state[key] = value
    first = next(key for key, value in model.state_dict().items() if value.ndim >= 4)

    def resize(key: str, value: Tensor, like: Tensor) -> Tensor | None:
        if key != first or value.shape[0] != like.shape[0] or value.shape[2:] != like.shape[2:]:
            return None
        return inflate_channels(value.float(), like.shape[1])

    return load_report(model, state, where, ignored=_HEADS, resize=resize)
