"""Models of timm, by name, from the Hugging Face hub, or from a folder: UNI, Virchow, DINOv2, ResNets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.hub.timm import DOWNLOAD, TimmTower, hub_name
from voxtile.stages.embed.extractor import Extractor, PictureExtractor, short_name

Pooling = Callable[[nn.Module, Tensor], Tensor]


def _pooled(model: nn.Module, images: Tensor) -> Tensor:
    return torch.as_tensor(model(images))


def _class_and_mean(model: nn.Module, images: Tensor) -> Tensor:
    """The class token beside the mean of the patch tokens, registers left out."""
    tokens: Tensor = model.forward_features(images)  # type: ignore[operator]
    first = int(model.num_prefix_tokens)  # type: ignore[arg-type]
    return torch.cat([tokens[:, 0], tokens[:, first:].mean(1)], 1)


def _swiglu() -> dict[str, Any]:
    from timm.layers.mlp import SwiGLUPacked

    return {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}


# What the model cards at https://huggingface.co/ORG/REPO say beyond the config that timm reads by itself.
_ARGUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "MahmoodLab/UNI": lambda: {"init_values": 1e-5, "dynamic_img_size": True},
        "paige-ai/Virchow": _swiglu,
        "paige-ai/Virchow2": _swiglu,
    }
)
_POOLING: Mapping[str, Pooling] = MappingProxyType(
    {"paige-ai/Virchow": _class_and_mean, "paige-ai/Virchow2": _class_and_mean}
)


class TimmExtractor(PictureExtractor):
    """The features before timm's classifier, of pictures by the transform in the model's config.

    Args:
        name: how the table calls it.
        model: from timm, without a classifier.
        pooling: turns images into vectors with it.
    """

    def __init__(self, name: str, model: nn.Module, pooling: Pooling = _pooled) -> None:
        from timm.data.config import resolve_model_data_config
        from timm.data.transforms_factory import create_transform

        super().__init__(name, model, create_transform(**resolve_model_data_config(model), is_training=False))
        self._pooling = pooling

    @property
    def width(self) -> int:
        """Length of a vector."""
        features = int(self._model.num_features)
        return 2 * features if self._pooling is _class_and_mean else features

    def _features(self, images: Tensor) -> Tensor:
        return self._pooling(self._model, images)


def timm_extractor(name: str | Path) -> Extractor:
    """A pretrained model by timm's name, `NAME/FILE` with a file of weights, `hf-hub:ORG/REPO` or `local-dir:FOLDER`.

    Raises:
        ConfigError: timm knows no such model.
        CheckpointError: its weights cannot be loaded.
    """
    name = str(name)
    source, _, identity = name.rpartition(":")
    if source == "local-dir":
        return timm_folder(identity)
    architecture, file = hub_name(name)
    if not source and file not in (None, DOWNLOAD):
        return _with_weights(architecture, Path(file))
    return TimmExtractor(f"timm:{name}", _create(name, identity), _POOLING.get(identity, _pooled))


def timm_folder(folder: str | Path) -> Extractor:
    """A model in a folder, as `timm.models.save_for_hf` writes it."""
    folder = Path(folder)
    model = _create(f"local-dir:{folder}", "")
    return TimmExtractor(short_name(folder, _content(model)), model)


def _with_weights(name: str, file: Path) -> Extractor:
    """A model with the weights of a file, read as `TimmTower` reads it; the transform is timm's for the name."""
    model = TimmTower(name=name, pretrained=str(file)).model
    return TimmExtractor(f"timm:{name}/{short_name(file, _content(model))}", model)


def _create(name: str, identity: str) -> nn.Module:
    import timm

    arguments = _ARGUMENTS[identity]() if identity in _ARGUMENTS else {}
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"timm cannot make the model '{name}': {reason}; see timm.list_pretrained()") from error
    except Exception as error:  # the hub client and the loaders of weights raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the weights of timm model '{name}' cannot be loaded: {reason}") from error
    return model


def _content(model: nn.Module) -> bytes:
    return b"".join(value.detach().cpu().numpy().tobytes() for value in model.state_dict().values())
