"""Which stored values of a NetCDF or Zarr variable count as measured: its type, and the range that it states.

Values outside `valid_range`, or `valid_min` and `valid_max`, are missing (CF Conventions 1.11, section 2.5.1). The
range is of the stored values; one in the wider type of the scale is of what they mean (NetCDF Users Guide, Attribute
Conventions).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

_ROUNDING = 0.01  # of a stored whole number: 16 bits by a scale in float32 are off by less


@dataclass(frozen=True)
class Limits:
    """Stored values that count as measured.

    Attributes:
        low, high: the least and the largest.
        nodata: what others become.
    """

    low: float
    high: float
    nodata: float

    def applied(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The values, those outside replaced."""
        within = (values >= self.low) & (values <= self.high)
        return values if within.all() else np.where(within, values, np.asarray(self.nodata).astype(values.dtype))


def stored_type(array: xr.DataArray) -> np.dtype[Any]:
    """The type of the values: NetCDF-3 has no unsigned integers, and `_Unsigned` (NetCDF Users Guide) tells."""
    stated = str(_attributes(array).get("_Unsigned", "")).lower()
    kind = {"true": "u", "false": "i"}.get(stated, array.dtype.kind)
    return np.dtype(f"{array.dtype.byteorder}{kind}{array.dtype.itemsize}") if array.dtype.kind in "iu" else array.dtype


def stored_range(array: xr.DataArray) -> tuple[float, float] | None:
    """The least and the largest stored value that count; None where the variable states none, or no numbers."""
    held = _attributes(array)
    try:
        ends = [np.asarray(v).ravel() for v in (held.get("valid_min"), held.get("valid_max"))]
        if "valid_range" in held:
            ends = list(np.split(np.asarray(held["valid_range"]).ravel(), 2))
        found = [_stored(end, array, held, at) for end, at in zip(ends, (-math.inf, math.inf), strict=True)]
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        return None
    if not min(found) < max(found) or found == [-math.inf, math.inf]:  # a range of nothing, or of NaN, says nothing
        return None
    more = _ROUNDING if array.dtype.kind in "iu" else 0.0
    return min(found) - more, max(found) + more  # of a negative scale the ends change places


def beyond(ends: tuple[float, float], dtype: np.dtype[Any]) -> float | None:
    """A value of a type outside a range: what stands for those that are; None where the range is all of the type."""
    if dtype.kind == "f":
        return math.nan
    limits = np.iinfo(dtype)
    return next((float(v) for v in (limits.max, limits.min) if not ends[0] <= v <= ends[1]), None)


def _stored(end: npt.NDArray[Any], array: xr.DataArray, held: Mapping[Any, Any], fallback: float) -> float:
    if end.size != 1 or end[0] is None:
        return fallback
    if end.dtype.kind not in "iuf":
        raise ValueError(end.dtype)
    if end.dtype.kind == "f" and array.dtype.kind in "iu":
        scale, offset = float(np.ravel(held.get("scale_factor", 1))[0]), float(np.ravel(held.get("add_offset", 0))[0])
        return (float(end[0]) - offset) / scale
    fits = array.dtype.kind in "iu" and np.iinfo(array.dtype).min <= end[0] <= np.iinfo(array.dtype).max
    return float((end.astype(array.dtype).view(stored_type(array)) if fits else end)[0])  # Zarr's have no width


def _attributes(array: xr.DataArray) -> Mapping[Any, Any]:
    return {**array.encoding, **array.attrs}
