"""Values as 16-bit integers with a linear rescale, exactly where that is possible."""

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
    if array.dtype.kind in "biu":
        smallest, largest = int(array.min()), int(array.max())
        for dtype in (np.int16, np.uint16):
            if np.iinfo(dtype).min <= smallest and largest <= np.iinfo(dtype).max:
                return StoredPixels(array.astype(dtype), scale, offset, "stored values unchanged")
    finite = np.isfinite(array)
    values = np.where(finite, array, array[finite].min() if finite.any() else 0).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    step = (high - low) / np.iinfo(np.uint16).max
    steps = np.rint((values - low) / (step or 1.0)).astype(np.uint16)
    note = f"rounded to 16 bits, by at most {step * abs(scale) / 2:.3g}"
    return StoredPixels(steps, (step or 1.0) * scale, low * scale + offset, note)
