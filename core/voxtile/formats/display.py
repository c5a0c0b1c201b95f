"""From stored values to grey: named windows where the unit has them, else the range of the values at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Windows that readers of each unit are used to: (name, low, high).
_WINDOWS: Mapping[str, tuple[tuple[str, float, float], ...]] = {
    "HU": (("soft tissue", -160.0, 240.0), ("lung", -1350.0, 150.0), ("bone", -450.0, 1050.0)),
    "SUVbw": (("0 to 10", 0.0, 10.0),),
    "SUVlbm": (("0 to 8", 0.0, 8.0),),
}
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Window:
    """What is black and what is white, in the sample's units."""

    name: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.name}, {self.low:,.4g} to {self.high:,.4g}"

    def grey(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
        """Values in the sample's units to 0 to 255."""
        share = (values - self.low) / max(self.high - self.low, 1e-9)
        return np.asarray(np.clip(share, 0, 1) * 255, np.uint8)


def windows_of(units: str | None, sampled: npt.NDArray[np.floating[Any]]) -> list[Window]:
    """Windows for a sample.

    Args:
        units: of the sample.
        sampled: some of its values, for units without windows of their own.
    """
    known = _WINDOWS.get(units or "")
    if known:
        return [Window(*window) for window in known]
    low, high = np.percentile(sampled, _PERCENTILES) if sampled.size else (0.0, 1.0)
    return [Window("0.5th to 99.5th percentile", float(low), float(high))]


def stretch_of(meta: Mapping[str, Any], channel: int) -> tuple[float, float] | None:
    """What is black and white of a channel over the whole scene, in its unit; None where the converter noted none.

    Args:
        meta: row of the sample, or what a view holds of it.
        channel: position.
    """
    held = meta if "stretch" in meta else json.loads(meta.get("attributes") or "{}")
    noted = held.get("stretch") if isinstance(held, Mapping) else None
    ends = noted[channel] if isinstance(noted, Sequence) and channel < len(noted) else None
    if not isinstance(ends, Sequence) or len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        return None
    return float(ends[0]), float(ends[1])


@dataclass(frozen=True)
class BandPicture:
    """Bands of a scene as a picture: three as red, green and blue, one as grey, or the index of two.

    Attributes:
        name: for people, such as `natural colours` or `NDVI`.
        channels: positions of the bands in the stored array; two mean the index (a − b) / (a + b).
        low, high: what is black and what is white, in the bands' units; None stretches from the 2nd to the 98th
            percentile.
        limits: the same for each of the channels, in place of both.
    """

    name: str
    channels: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    limits: tuple[tuple[float, float], ...] = ()

    @property
    def stated_limits(self) -> tuple[tuple[float, float], ...]:
        """What is black and white of each colour; empty where the values at hand say it."""
        if self.limits or self.low is None or self.high is None:
            return self.limits
        return ((self.low, self.high),) * (1 if len(self.channels) < 3 else 3)

    def planes(self, bands: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """[1 or 3, Y, X] of the bands' values [Y, X]; NaN stays, and an index has none where its sum is 0."""
        if len(self.channels) != 2:
            return np.stack(bands)
        total = bands[0] + bands[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total == 0, np.nan, (bands[0] - bands[1]) / total)[None].astype(np.float32)
