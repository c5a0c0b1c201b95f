"""Tissue by a trained network: any torch module that gives a logit or a probability a pixel."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from voxtile.errors import ConfigError
from voxtile_pathology.slides.protocol import Picture
from voxtile_pathology.tissue.mask import Mask, clean

if TYPE_CHECKING:
    import torch

_OVERLAP = 32  # pixels of context around a tile that are not used


class NetworkTissue:
    """Runs a network over the thumbnail, tile by tile.

    Args:
        network: class path of a torch module: [1, 3, Y, X] in 0 to 1 → [1, 1, Y, X] logits of tissue.
        weights: safetensors file of its state; no pickle is read.
        arguments: keyword arguments of the module.
        mpp: micrometres a pixel that it was trained at; the thumbnail is scaled to it.
        threshold: least probability of tissue.
        tile: side of a tile in pixels.

    Raises:
        ConfigError: the class or the weights cannot be loaded.
    """

    def __init__(
        self,
        *,
        network: str,
        weights: str,
        arguments: Mapping[str, Any] | None = None,
        mpp: float = 8.0,
        threshold: float = 0.5,
        tile: int = 512,
    ) -> None:
        self._network = _loaded(network, weights, dict(arguments or {}))
        self._mpp, self._threshold, self._tile = mpp, threshold, tile

    def __call__(self, picture: Picture, mpp: tuple[float, float]) -> Mask:
        """Mask [Y, X] of a picture [Y, X, 3]."""
        zoom = (mpp[1] / self._mpp, mpp[0] / self._mpp)
        scaled = picture if zoom == (1.0, 1.0) else ndimage.zoom(picture, (*zoom, 1), order=1)
        probability = self._probability(scaled)
        if scaled is not picture:
            ratio = [size / other for size, other in zip(picture.shape[:2], probability.shape, strict=True)]
            probability = ndimage.zoom(probability, ratio, order=1)
        found: Mask = probability >= self._threshold
        return clean(found, mpp, 0.0, 0.0, 0.0)

    def _probability(self, picture: Picture) -> Any:  # noqa: ANN401
        import torch

        height, width = picture.shape[:2]
        out = np.zeros((height, width), np.float32)
        padded = np.pad(picture, ((_OVERLAP, _OVERLAP + self._tile), (_OVERLAP, _OVERLAP + self._tile), (0, 0)), "edge")
        side = self._tile + 2 * _OVERLAP
        with torch.inference_mode():
            for top in range(0, height, self._tile):
                for left in range(0, width, self._tile):
                    block = np.ascontiguousarray(padded[top : top + side, left : left + side].transpose(2, 0, 1))
                    logits = self._network(torch.from_numpy(block)[None].float() / 255)[0, 0]
                    inner = torch.sigmoid(logits)[_OVERLAP:-_OVERLAP, _OVERLAP:-_OVERLAP].numpy()
                    bottom, right = min(top + self._tile, height), min(left + self._tile, width)
                    out[top:bottom, left:right] = inner[: bottom - top, : right - left]
        return out


def _loaded(class_path: str, weights: str, arguments: Mapping[str, Any]) -> torch.nn.Module:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    module, _, name = class_path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
        if not isinstance(kind, type) or not issubclass(kind, torch.nn.Module):
            raise ConfigError(f"the tissue network '{class_path}' is no torch.nn.Module and was not run")
        network: torch.nn.Module = kind(**arguments)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"the tissue network '{class_path}' cannot be built: {error}") from error
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(f"the weights '{weights}' do not fit {class_path}: {error}") from error
    return network.eval()
