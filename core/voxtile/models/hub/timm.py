"""Towers of any 2D model of timm by name: random, from a local file, or downloaded on request."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.convolution import LAYOUTS
from voxtile.models.hub.adapters import inflate_channels
from voxtile.models.hub.efficientnet_keys import is_efficientnet_pytorch, timm_keys
from voxtile.models.hub.names import unknown_to_timm
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower, expected_size, weights_by_name
from voxtile.types import Encoded

DOWNLOAD = "download"

hub_name = weights_by_name
# Options of `timm.create_model` that read files or the network, or are set here.
_REFUSED = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "num_classes"}
_HEADS = r"(head|fc|fc_norm|classifier|last_linear|head_dist|decoder\w*|mask_token|projector)\b.*"
_RECONSTRUCTS = "decoder_embed.weight"  # MAE's decoder, whose mask token timm would take for that of DINOv2


class TimmFeatures(ImageTower):
    """A tower that is a model of timm.

    Attributes:
        model: of timm, without a classifier.
    """

    dimensions = 2
    model: nn.Module

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, Y, X] images.

        Returns:
            `pooled` as timm pools before the classifier; with `tokens` the last map, or the patches of a transformer,
            and the maps of all stages as `levels` where the tower has them.

        Raises:
            ConfigError: tokens are asked of a model that has none, or the images are not of the model's size.
        """
        size = getattr(getattr(self.model, "patch_embed", None), "img_size", None)
        with expected_size(type(self.model).__name__, size, images):
            return self._encoded(images.contiguous(memory_format=LAYOUTS[2]), tokens)

    def _encoded(self, images: Tensor, tokens: bool) -> Encoded:
        model: Any = self.model
        if not tokens:
            return Encoded(model.forward_head(model.forward_features(images), pre_logits=True))
        wanted = len(self.level_widths) or 1
        if not hasattr(model, "forward_intermediates"):
            raise ConfigError(f"{type(model).__name__} of timm gives no local features; take another model")
        last, maps = model.forward_intermediates(images, indices=wanted, output_fmt="NCHW")
        pooled = model.forward_head(last, pre_logits=True)
        grid = tuple(maps[-1].shape[2:])
        if last.ndim == 4:
            last = last.flatten(1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else last.flatten(2).mT
        else:
            last = last[:, int(getattr(model, "num_prefix_tokens", 0)) :]
        if last.shape[1:] != (grid[0] * grid[1], pooled.shape[1]):
            raise ConfigError(
                f"{type(model).__name__} of timm has local features of {tuple(last.shape[1:])} and an embedding of "
                f"{pooled.shape[1]}, which do not belong together; take another model for objectives that need tokens"
            )
        return Encoded(pooled, last, grid, None, tuple(maps) if self.level_widths else None)


class TimmTower(TimmFeatures):
    """Any 2D model of timm: ViTs, DINOv2, ResNets, ConvNeXt, EfficientNet, Swin, ….

    Args:
        name: of `timm.list_models()`, such as `resnet50` or `vit_base_patch14_dinov2`.
        pretrained: a local file in timm's layout or in one that timm converts (OpenAI CLIP, DINOv2, MAE, …);
            `package:NAME` for the one that an installed package carries; `download` for timm's own weights, which may
            follow the name (`vit_base_patch16_224.mae`); None for random.
        channels: of the images. Filters of a file for another number are inflated, their sums preserved.
        band_names: common name of each channel, so that red, green and blue keep their own filters.
        size: of the images, one number or two, for models whose weights depend on it (ViTs, Swin).
        levels: give the maps of all stages for grounding, where the first has half the resolution (ResNets,
            EfficientNets).
        options: further arguments of the model, such as `{drop_path_rate: 0.1}`.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        ConfigError: no such model or option.
        CheckpointError: the weights cannot be loaded or do not fit; the message names the key.

    Examples:
        >>> import torch
        >>> from voxtile.models import TimmTower
        >>> tower = TimmTower(name="resnet18", channels=4).eval()
        >>> encoded = tower(torch.randn(2, 4, 64, 64), tokens=True)
        >>> encoded.pooled.shape, encoded.grid
        (torch.Size([2, 512]), (2, 2))
    """

    def __init__(
        self,
        *,
        name: str,
        pretrained: str | None = None,
        channels: int = 3,
        band_names: Sequence[str] = (),
        size: int | Sequence[int] | None = None,
        levels: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        settings = _settings(name, options)
        if size is not None:
            settings["img_size"] = (size, size) if isinstance(size, int) else tuple(size)
        self.model = _create(name, {**settings, "in_chans": channels}, pretrained == DOWNLOAD)
        self.width = int(getattr(self.model, "head_hidden_size", None) or self.model.num_features)  # type: ignore[arg-type]
        self.load_report: LoadReport | None = None
        if pretrained and pretrained != DOWNLOAD:
            self.load_report = _load(self.model, Path(pretrained), tuple(band_names))
        if levels:
            self.level_widths = _levels(name, self.model)


def _settings(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    timm = importlib.import_module("timm")
    if name.partition(".")[0] not in timm.list_models():
        raise unknown_to_timm(name, timm.list_models())
    refused = sorted(_REFUSED & set(options or {}))
    if refused:
        raise ConfigError(f"options of a timm tower may not set {', '.join(refused)}; use pretrained for weights")
    return dict(options or {})


def _create(name: str, settings: Mapping[str, Any], download: bool) -> nn.Module:
    timm = importlib.import_module("timm")
    try:
        model: nn.Module = timm.create_model(name, pretrained=download, num_classes=0, **settings)
    except (TypeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        if "'img_size'" in reason:
            raise ConfigError(f"timm's '{name}' takes images of any size; remove the tower's setting size") from error
        raise ConfigError(
            f"timm cannot make '{name}' with {dict(settings)}: {reason}; change the tower's options"
        ) from error
    except Exception as error:  # the hub client and torch raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the weights of timm's '{name}' cannot be downloaded ({reason}); download them elsewhere and name the file"
        ) from error
    return model


def _load(model: nn.Module, path: Path, names: tuple[str, ...]) -> LoadReport:
    """Load a file through timm's own conversion of layouts, where the model has one."""
    original = read_weights(path)
    if _RECONSTRUCTS in original:
        original.pop("mask_token", None)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    state = timm_keys(original, model) if is_efficientnet_pytorch(original) else original
    if convert is not None:
        try:
            state = convert(dict(original), model)
        except Exception as error:  # keys of an unknown layout, or shapes that cannot be resized
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise CheckpointError(
                f"the weights '{path}' are in no layout of {type(model).__name__}: {reason}"
            ) from error
    first = next((key for key, value in model.state_dict().items() if value.ndim == 4), "")

    def resize(key: str, value: Tensor, like: Tensor) -> Tensor | None:
        if key != first or value.shape[0] != like.shape[0] or value.shape[2:] != like.shape[2:]:
            return None
        return inflate_channels(value.float(), like.shape[1], names=names)

    return load_report(model, state, str(path), ignored=_HEADS, resize=resize, original=original)


def _levels(name: str, model: nn.Module) -> tuple[int, ...]:
    info: Any = getattr(model, "feature_info", None)
    found = [] if info is None else [(i["num_chs"], i["reduction"]) for i in info]
    if [reduction for _, reduction in found] != [2 ** (n + 1) for n in range(len(found))]:
        raise ConfigError(
            f"timm's '{name}' has no maps at strides 2, 4, 8, …; take a ResNet or an EfficientNet, or "
            "ViTTower with levels"
        )
    return tuple(int(width) for width, _ in found)
