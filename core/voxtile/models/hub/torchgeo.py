"""Image towers of torchgeo: multispectral and radar ResNets and ViTs by name, and DOFA for any set of bands.

Weights load from local files without a network, or are downloaded on request. Needs the extra `remote-sensing`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.hub.adapters import adapt_input
from voxtile.models.hub.timm import DOWNLOAD, TimmFeatures
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

_TIMM = re.compile(r"resnet\d+|vit_\w+")
_DOFA = re.compile(r"dofa_\w+")
# What MAE trained beside DOFA's encoder, and the norm that its fine-tuning code adds after it.
_DOFA_MAE, _DOFA_NORM = r"norm\.(weight|bias)", r"fc_norm\.(weight|bias)"
_HEADS = r"(?:module\.|encoder\.|backbone\.)*(?:fc|head|classifier|mask_token|projector|decoder\w*)\b.*"


class TorchGeoTower(TimmFeatures):
    """A ResNet or ViT of torchgeo.

    Args:
        name: of `torchgeo.models`, e.g. `resnet18`, `resnet50`, `vit_small_patch16_224`.
        weights: a tag of torchgeo, e.g. `SENTINEL2_ALL_MOCO`; it says for how many channels the weights are.
        pretrained: where the weights come from: a local file (.pth, .pt, .safetensors), `download` for torchgeo's own
            address of the tag, or None for random weights.
        channels: of the images; the tag's where left out. For another number the first filters are inflated, their
            sums preserved.
        band_names: common name of each channel, for weights of RGB.
        size: pixels a side, for ViTs.

    Raises:
        ConfigError: no such model or tag, or torchgeo is not installed.
        CheckpointError: the weights cannot be loaded or do not fit.
    """

    def __init__(
        self,
        *,
        name: str,
        weights: str | None = None,
        pretrained: str | None = None,
        channels: int | None = None,
        band_names: Sequence[str] = (),
        size: int | None = None,
    ) -> None:
        super().__init__()
        if not _TIMM.fullmatch(name):
            raise ConfigError(f"'{name}' is no ResNet or ViT of torchgeo; for dofa_… use the class DofaTower")
        tag = _tag(name, weights) if weights else None
        native = int(tag.meta["in_chans"]) if tag is not None else channels or 3
        self.bands: tuple[str, ...] = tuple(tag.meta.get("bands", ())) if tag is not None else ()
        options: dict[str, Any] = {"in_chans": native, "num_classes": 0}
        if size is not None:
            options["img_size"] = size
        model = _create(name, options)
        self.load_report: LoadReport | None = None
        if pretrained:
            self.load_report = load_report(model, _state(name, tag, pretrained), pretrained, ignored=_HEADS)
        self.channels = channels or native
        self.model = adapt_input(model, self.channels, names=band_names)
        self.width = int(model.num_features)  # type: ignore[arg-type]


class DofaTower(ImageTower):
    """DOFA of torchgeo (Xiong et al. 2024, arXiv 2403.15356): any bands, named by their wavelengths.

    Args:
        name: `dofa_small_patch16_224`, `dofa_base_patch16_224`, ….
        wavelengths_nm: of the channels.
        pretrained: a local file, or None for random weights. The file of its authors ends with the encoder, so that the
            norm after the mean keeps its first values, one and zero.
        size: pixels a side.

    Raises:
        ConfigError: no such model, or torchgeo is not installed.
        CheckpointError: the weights cannot be loaded or do not fit.
    """

    dimensions = 2

    def __init__(
        self, *, name: str, wavelengths_nm: Sequence[float], pretrained: str | None = None, size: int = 224
    ) -> None:
        super().__init__()
        if not _DOFA.fullmatch(name):
            raise ConfigError(f"'{name}' is no DOFA of torchgeo; for ResNets and ViTs use the class TorchGeoTower")
        if not wavelengths_nm or min(wavelengths_nm) <= 0:
            raise ConfigError(f"wavelengths_nm: {list(wavelengths_nm)} must be a positive number for each channel")
        model = _create(name, {"img_size": size, "num_classes": 0, "global_pool": True})
        self.load_report: LoadReport | None = None
        if pretrained:
            ignored = f"{_HEADS}|{_DOFA_MAE}"
            state = read_weights(pretrained)
            self.load_report = load_report(model, state, pretrained, ignored=ignored, optional=_DOFA_NORM)
        self.model = model
        self.micrometres = [float(w) / 1000 for w in wavelengths_nm]
        self.channels = len(self.micrometres)
        self.width = int(model.embed_dim)  # type: ignore[arg-type]

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, C, Y, X] images.

        Raises:
            ConfigError: local features are asked for.
        """
        if tokens:
            raise ConfigError("DOFA gives no local features here; use TorchGeoTower for objectives that need them")
        pooled: Tensor = self.model.forward_features(images, self.micrometres)  # type: ignore[operator]
        return Encoded(pooled)


def _models() -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module("torchgeo.models")
    except ImportError as error:
        raise ConfigError(
            f"torchgeo is needed for its towers ({error}); install it: pip install 'voxtile[remote-sensing]'"
        ) from error


def _create(name: str, options: Mapping[str, Any]) -> nn.Module:
    models = _models()
    if name not in models.list_models():
        known = ", ".join(m for m in models.list_models() if _TIMM.fullmatch(m) or _DOFA.fullmatch(m))
        raise ConfigError(f"torchgeo has no model '{name}'; there are: {known}")
    model: nn.Module = models.get_model(name, **options)
    return model


def _tag(name: str, weights: str) -> Any:  # noqa: ANN401 - a member of an enumeration of torchgeo
    models = _models()
    if name not in models.list_models():
        _create(name, {})  # says which there are
    tags = models.get_model_weights(name)
    if weights not in tags.__members__:
        raise ConfigError(f"torchgeo has no weights '{weights}' of {name}; there are: {', '.join(tags.__members__)}")
    return tags[weights]


def _state(name: str, tag: Any, pretrained: str) -> Mapping[str, Tensor]:  # noqa: ANN401
    if pretrained != DOWNLOAD:
        return read_weights(pretrained)
    if tag is None:
        raise ConfigError(f"pretrained: download needs weights, the tag of {name} that is meant")
    try:
        state: Mapping[str, Tensor] = tag.get_state_dict(progress=True, weights_only=True)
    except Exception as error:  # urllib, torch and the cache raise many types
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the weights {tag} cannot be downloaded ({reason}); download {tag.url} elsewhere and name the file"
        ) from error
    return state
