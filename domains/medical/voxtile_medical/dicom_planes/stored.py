"""Stored values and what they mean: scale and offset, padding, display window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.frames import Frame, floats
from voxtile_medical.dicom_planes.pixels import PixelArray, PixelLayout

MOST_WINDOW = 1e9  # a display window beyond 32-bit values shows nothing; pictures then take their own range


@dataclass(frozen=True)
class Scale:
    """physical = stored · slope + intercept, for a whole sample."""

    slope: float = 1.0
    intercept: float = 0.0


def harmonise(planes: PixelArray, frames: Sequence[Frame]) -> tuple[PixelArray, Scale, bool]:
    """Bring planes to one scale.

    Args:
        planes: [Z, Y, X] stored values, plane k belonging to frame k.
        frames: with the slope and intercept of each plane.

    Returns:
        The planes and their scale. Where all planes share slope and intercept the values stay as stored; where they
        differ (as in PET) the planes become physical values, computed in float64 and rounded once to float32, and the
        third value is True.
    """
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(scales) == 1:
        slope, intercept = scales.pop()
        return planes, Scale(slope, intercept), False
    slopes = np.array([frame.slope for frame in frames])[:, None, None]
    intercepts = np.array([frame.intercept for frame in frames])[:, None, None]
    return (planes * slopes + intercepts).astype(np.float32), Scale(), True


def padding_mask(values: Values, layout: PixelLayout, pixels: PixelArray) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Where pixels are padding (PS3.3 C.7.5.1.1.2); None where the header names no padding value."""
    limits = padding_range(values, layout)
    if limits is None:
        return None
    low, high = limits
    mask: np.ndarray[Any, np.dtype[np.bool_]] = (pixels == low) if low == high else (pixels >= low) & (pixels <= high)
    return mask


def padding_range(values: Values, layout: PixelLayout) -> tuple[int, int] | None:
    """Lowest and highest stored value that is padding."""
    found = floats(values.get("PixelPaddingValue"), 1)
    if found is None or layout.dtype.kind == "f":
        return None
    other = floats(values.get("PixelPaddingRangeLimit"), 1) or found
    ends = sorted(_as_stored(int(value), layout) for value in (found[0], other[0]))
    return ends[0], ends[1]


def _as_stored(value: int, layout: PixelLayout) -> int:
    """A padding value with the bits and the sign that pixels have (it is read as an unsigned 16-bit number)."""
    bits = layout.bits_stored
    value &= (1 << bits) - 1
    if layout.dtype.kind == "i" and value >= 1 << (bits - 1):
        value -= 1 << bits
    return value


def window_of(header: FileHeader) -> tuple[float, float] | None:
    """First display window, centre and width in physical values."""
    centre, width = floats(header.values.get("WindowCenter"), 1), floats(header.values.get("WindowWidth"), 1)
    if not centre or not width or abs(centre[0]) > MOST_WINDOW or not 0 < width[0] <= MOST_WINDOW:
        return None
    return centre[0], width[0]


def invert(pixels: PixelArray, layout: PixelLayout) -> PixelArray:
    """MONOCHROME1 to MONOCHROME2: the value that was white becomes the lowest."""
    if layout.dtype.kind == "i":
        return np.invert(pixels)  # −1 − v
    return (np.array((1 << layout.bits_stored) - 1, dtype=layout.dtype) - pixels).astype(layout.dtype)


def shown_scale(scale: Scale, layout: PixelLayout, falls: bool, turned_by: Sequence[str]) -> Scale:
    """The scale of pixels that rise with brightness.

    Args:
        scale: of the pixels as they are stored.
        layout: of them.
        falls: the pixels were inverted.
        turned_by: what turned the picture round.

    Returns:
        Physical values where the slope alone turned it (film density, whose dark is the lower); else values that rise
        with brightness by the same steps.
    """
    if scale.slope >= 0:
        return scale
    if falls and tuple(turned_by) == ("RescaleSlope",):
        return Scale(-scale.slope, scale.slope * _top(layout) + scale.intercept)
    return Scale(-scale.slope, -scale.intercept)


def shown_window(
    window: tuple[float, float], layout: PixelLayout, scale: Scale, shown: Scale, falls: bool
) -> tuple[float, float]:
    """The display window of pixels that rise with brightness, from that of the pixels as they are stored."""
    stored = (window[0] - scale.intercept) / scale.slope
    stored = _top(layout) - stored if falls else stored
    return stored * shown.slope + shown.intercept, window[1]


def _top(layout: PixelLayout) -> int:
    """What a stored value and its inverse add up to."""
    return -1 if layout.dtype.kind == "i" else (1 << layout.bits_stored) - 1
