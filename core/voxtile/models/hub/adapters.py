"""Carry pretrained weights of RGB models to other numbers of channels and from 2D to 3D.

A filter for C channels is sum-preserving: where all channels show the same picture, it answers as the RGB filter does
to that picture in grey (Carreira and Zisserman 2017, section 2.3, for time; the same argument for channels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError

Inflation = Literal["centre", "average"]

_COLOURS = ("red", "green", "blue")
# Names of the visible bands as sensors call them, beside STAC's common names.
_ALIASES = {
    "red": {"red", "r"},
    "green": {"green", "g"},
    "blue": {"blue", "b"},
}


def inflate_channels(weight: Tensor, channels: int, *, names: Sequence[str] = ()) -> Tensor:
    """Turn a filter for RGB into one for other channels with the same sum over channels.

    Args:
        weight: [O, 3, *K] in 2D or 3D (or any number of channels in place of 3 without names).
        channels: wanted number.
        names: common name of each wanted channel, e.g. `red`, `nir`; channels called red, green or blue begin as these
            filters, the others as their mean. Without names all begin as the mean.

    Returns:
        [O, channels, *K]; sums over channels equal those of `weight`.

    Raises:
        ConfigError: as many names as channels are needed, or the filter is not for RGB.
    """
    if names and (len(names) != channels or weight.shape[1] != len(_COLOURS)):
        raise ConfigError(
            f"{len(names)} band names do not fit {channels} channels and a filter of {weight.shape[1]} channels; give "
            "one common name a channel, for a model of RGB"
        )
    mean = weight.mean(1, keepdim=True)
    parts = [_named(weight, name.casefold(), mean) for name in names] or [mean] * channels
    inflated = torch.cat(parts, 1) * (weight.shape[1] / channels)
    # Named filters need not have the mean's sum; what is missing is shared equally.
    return inflated + (weight.sum(1, keepdim=True) - inflated.sum(1, keepdim=True)) / channels


def inflate_depth(weight: Tensor, depth: int, how: Inflation) -> Tensor:
    """Turn a filter for pictures into one for volumes.

    `average` repeats it and divides by the depth: a volume whose slices are all alike is answered as its slice is
    (Carreira and Zisserman 2017, section 2.3). `centre` puts it in the middle slice and zeros elsewhere: any volume is
    at first answered as its middle slice is (ViViT, Arnab et al., ICCV 2021, section 3.4, eq. 9). Of an even depth the
    two middle slices share it.

    Args:
        weight: [O, C, kY, kX].
        depth: kZ.
        how: see above.

    Returns:
        [O, C, kZ, kY, kX]; sums over kZ equal `weight`.
    """
    shares = torch.zeros(depth, dtype=weight.dtype, device=weight.device)
    if how == "average":
        shares[:] = 1 / depth
    else:
        middle = slice((depth - 1) // 2, depth // 2 + 1)
        shares[middle] = 1 / len(shares[middle])
    return weight.unsqueeze(2) * shares.view(-1, 1, 1)


def adapt_input(model: nn.Module, channels: int, *, names: Sequence[str] = ()) -> nn.Module:
    """Replace the first convolution of a 2D model by one for other channels, in place.

    Args:
        model: any model whose first convolution (in the order of its modules) takes the image: ResNets, ViTs, ConvNeXt.
        channels: wanted number.
        names: see `inflate_channels`.

    Returns:
        The model.

    Raises:
        ConfigError: there is no convolution, or the first one is grouped.
    """
    found = next(((name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
    if found is None or found[1].groups != 1 or not found[0]:
        raise ConfigError(f"{type(model).__name__} has no plain first convolution whose channels could be changed")
    name, old = found
    if old.in_channels == channels and not names:
        return model
    new = nn.Conv2d(
        channels,
        old.out_channels,
        _pair(old.kernel_size),
        _pair(old.stride),
        old.padding if isinstance(old.padding, str) else _pair(old.padding),
        _pair(old.dilation),
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        new.weight.copy_(inflate_channels(old.weight, channels, names=names))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    new.weight.requires_grad_(old.weight.requires_grad)
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, new)
    return model


def _named(weight: Tensor, name: str, mean: Tensor) -> Tensor:
    for place, colour in enumerate(_COLOURS):
        if name in _ALIASES[colour]:
            return weight[:, place : place + 1]
    return mean


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[1]
