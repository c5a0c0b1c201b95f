"""Convolutions for 2D and 3D towers, exact where the library's kernels are not."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` that computes in float32 on the CPU where the grid is shorter than the kernel.

    There oneDNN's bfloat16 kernels leave whole taps of the weight's gradient unwritten, so that it holds whatever was
    in memory: 1×3×3 taps of a 3×3×3 kernel on a grid two voxels deep, more of larger kernels. Measured with torch 2.13
    and AVX-512 BF16; the last stage of a tower on 32 slices is two deep. So small a grid costs nothing in float32.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[S, C, Z, Y, X] to [S, W, *G]."""
        if input.device.type != "cpu" or all(n >= k for n, k in zip(input.shape[2:], self.kernel_size, strict=True)):
            return super().forward(input)
        exact = torch.promote_types(input.dtype, torch.float32)
        weight, bias = self.weight.to(exact), None if self.bias is None else self.bias.to(exact)
        with torch.autocast("cpu", enabled=False):
            out = F.conv3d(input.to(exact), weight, bias, self.stride, self.padding, self.dilation, self.groups)
        return out.to(input.dtype)


CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: Conv3d}
"""The convolution of a tower with so many spatial axes."""

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
"""Its fastest memory layout."""

LINEAR = {2: "bilinear", 3: "trilinear"}
"""Linear interpolation of its maps, by the name that torch has for it."""


def position(like: Tensor) -> Tensor:
    """[1, 2d, *G] place of each cell of a map [S, W, *G], −1 to 1 along every axis, and its square."""
    axes = [torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) for n in like.shape[2:]]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij")).unsqueeze(0)
    return torch.cat([place, place.square()], 1).contiguous(memory_format=LAYOUTS[like.ndim - 2])
