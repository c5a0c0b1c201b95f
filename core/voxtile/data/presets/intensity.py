"""From measured values to channels: fixed windows, or the range of a volume's own foreground."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.formats.sampling import evenly_spread

_SAMPLED = 200_000  # voxels that percentiles are estimated from, evenly spaced


def foreground_range(values: Tensor, percentiles: tuple[float, float]) -> tuple[float, float]:
    """The range that percentiles of the foreground give, for units that mean nothing across scanners (MR).

    The foreground is what lies above the volume's mean: air is most of a scan and darker than tissue, so the mean lies
    between them, whatever the scale (Nyúl and Udupa 1999 take their landmarks there, too).

    Args:
        values: any shape.
        percentiles: low and high, 0 to 100.

    Returns:
        Low and high, high above low.
    """
    flat = evenly_spread(values.numpy(), _SAMPLED)
    inside = flat[flat > flat.mean()] if flat.size else flat
    low, high = np.percentile(inside if inside.size else np.zeros(1), percentiles)
    return float(low), max(float(high), float(low) + 1e-6)


def middle_range(values: Tensor, percentiles: tuple[float, float], share: float) -> tuple[float, float]:
    """The range that percentiles of the middle of a grid give.

    Args:
        values: [Z, Y, X].
        percentiles: low and high, 0 to 100.
        share: of each axis that counts as its middle, above 0; at least one voxel.

    Returns:
        Low and high, high above low.
    """
    box = tuple(slice(int(n * (1 - share) / 2), math.ceil(n * (1 + share) / 2)) for n in values.shape)
    low, high = np.percentile(values[box].numpy(), percentiles)
    return float(low), max(float(high), float(low) + 1e-6)


def to_windows(
    values: Tensor, windows: Sequence[tuple[float, float]], value_range: tuple[float, float], out: Tensor
) -> None:
    """Map windows to a range, clipped.

    Args:
        values: [*G].
        windows: (low, high) in the units of the values, a channel each.
        value_range: what a window maps to.
        out: [len(windows), *G] float32, written.
    """
    low, high = value_range
    for channel, (bottom, top) in enumerate(windows):
        scale = (high - low) / (top - bottom)
        torch.mul(values, scale, out=out[channel])
        out[channel].add_(low - bottom * scale).clamp_(low, high)


def bias_field(shape: Sequence[int], strength: float, rng: np.random.Generator) -> Tensor:
    """A smooth multiplicative field, as receive coils give (Sled, Zijdenbos and Evans 1998, section II).

    Args:
        shape: (Z, Y, X).
        strength: standard deviation of the logarithm at the nodes of a 3×3×3 lattice, interpolated linearly.
        rng: source of randomness.

    Returns:
        [Z, Y, X] float32, about 1.
    """
    nodes = torch.from_numpy(rng.standard_normal((1, 1, 3, 3, 3), dtype=np.float32)) * strength
    field = F.interpolate(nodes, size=tuple(shape), mode="trilinear", align_corners=True)
    return torch.as_tensor(field[0, 0].exp_())
