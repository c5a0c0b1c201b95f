"""Stored values of any type as a 16-bit file holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class StoredPixels:
    """Pixels as a 16-bit file holds them.

    Attributes:
        values: int16 or uint16; physical = value · slope + intercept.
        slope: of the rescale.
        intercept: of the rescale, in the units of the physical value.
        note: one phrase about what was done.
    """

    values: npt.NDArray[Any]
    slope: float
    intercept: float
    note: str


def sixteen_bits(array: npt.NDArray[Any], scale: float, offset: float) -> StoredPixels:
    """Choose a 16-bit type.

    Args:
        array: stored values.
        scale: physical = stored · scale + offset.
        offset: see `scale`.

    Returns:
        The same integers where they fit in 16 bits; otherwise values rounded to 65,536 equal steps over their range.
    """
    same = _unchanged(array)
    if same is not None:
        return StoredPixels(same, scale, offset, "stored values unchanged")
    finite = np.isfinite(array)
    values = np.where(finite, array, array[finite].min() if finite.any() else 0).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    step = (high - low) / np.iinfo(np.uint16).max
    steps = np.rint((values - low) / (step or 1.0)).astype(np.uint16)
    note = f"rounded to 16 bits, by at most {step * abs(scale) / 2:.3g}"
    return StoredPixels(steps, (step or 1.0) * scale, low * scale + offset, note)


def without_intercept(array: npt.NDArray[Any], scale: float, offset: float) -> StoredPixels:
    """As `sixteen_bits`, with an intercept of 0, as PET has it (PS3.3 C.8.9.4)."""
    same = _unchanged(array)
    if offset == 0 and same is not None:
        return StoredPixels(same, scale, 0.0, "stored values unchanged")
    values = np.where(np.isfinite(array), array, 0).astype(np.float64) * scale + offset
    dtype = np.uint16 if values.min() >= 0 else np.int16
    slope = float(np.abs(values).max()) / np.iinfo(dtype).max or 1.0
    note = f"rounded to 16 bits, by at most {slope / 2:.3g}"
    return StoredPixels(np.rint(values / slope).astype(dtype), slope, 0.0, note)


def _unchanged(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """The same integers in 16 bits; None where they do not fit."""
    if array.dtype.kind not in "biu":
        return None
    smallest, largest = int(array.min()), int(array.max())
    fitting = (
        kind for kind in (np.int16, np.uint16) if np.iinfo(kind).min <= smallest <= largest <= np.iinfo(kind).max
    )
    dtype = next(fitting, None)
    return None if dtype is None else array.astype(dtype)
