"""From stored to physical values: physical = stored · scale + offset, per channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def channel_scaling(row: Mapping[str, Any], channel: int = 0) -> tuple[float, float]:
    """Scale and offset of a channel; 1 and 0 where the row states none."""
    channels = row.get("channels") or []
    entry = channels[channel] if channel < len(channels) else {}
    scale, offset = entry.get("scale"), entry.get("offset")
    return (1.0 if scale is None else float(scale)), (0.0 if offset is None else float(offset))


def physical(values: npt.NDArray[Any], row: Mapping[str, Any], channel: int = 0) -> npt.NDArray[np.float32]:
    """Values in the row's units, as float32."""
    scale, offset = channel_scaling(row, channel)
    return values.astype(np.float32) * np.float32(scale) + np.float32(offset)
