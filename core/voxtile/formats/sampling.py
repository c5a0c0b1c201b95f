"""Some values of an array, from all of its columns."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", bound=np.generic)


def evenly_spread(values: npt.NDArray[_T], count: int) -> npt.NDArray[_T]:
    """About so many values at an equal distance, in the order of the array; all where it has no more.

    The distance shares no divisor with the length of a row. A 512th of 512 × 512 × 512 voxels would else be the first
    column of each row, which shows nothing but air.

    Args:
        values: of any shape.
        count: of values, at least 1.

    Returns:
        One axis, a view where the array is contiguous; up to twice as many, and where rows have many divisors fewer.
    """
    flat: npt.NDArray[Any] = values.reshape(-1)
    step, row = max(1, values.size // count), values.shape[-1] if values.ndim else 1
    while math.gcd(step, row) > 1:
        step += 1
    return flat[::step]
