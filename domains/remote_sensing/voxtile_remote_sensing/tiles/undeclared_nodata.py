"""Values that files have where nothing was measured, in bands of which nothing says so.

They are stored as the values that they are: whether they are measurements is not for us to say, but that they are there
is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voxtile.engine.task import Part
from voxtile_remote_sensing.scenes.protocol import Scene, SceneBand

REASON = "undeclared-nodata"
_BEYOND_ALL = 1e19
"""No unit of a band has such values. Files have 1e20 (CMIP), 9.96921e36 (NC_FILL_FLOAT of netCDF) and the largest and
smallest number of a type (GDAL, ESRI)."""
_CUSTOMARY = frozenset({-999.0, -9999.0, -99999.0, -999999.0, -32767.0, -32768.0})  # the last two the least of 16 bits


class Extreme(NamedTuple):
    """The least or the largest value of a band."""

    band: str
    value: float


def extremes(values: npt.NDArray[Any], bands: Sequence[SceneBand], measured: npt.NDArray[np.bool_]) -> Counter[Extreme]:
    """How many pixels have an extreme value as files have it where nothing was measured.

    Args:
        values: [C, Y, X] as stored.
        bands: the C; those of whole numbers from 0 on are passed over, of which every one may be a measurement. One
            that declares a value may have another one: products changed theirs (Landsat: -9999, then 0).
        measured: [Y, X] pixels that nothing says to be empty.
    """
    found: Counter[Extreme] = Counter()
    if values.dtype.kind not in "fi":
        return found
    for plane, band in zip(values, bands, strict=True):
        for value in {float(np.fmin.reduce(plane, axis=None)), float(np.fmax.reduce(plane, axis=None))}:
            if value in _CUSTOMARY or (np.isfinite(value) and abs(value) > _BEYOND_ALL):
                found[Extreme(band.name, value)] += int(np.count_nonzero((plane == value) & measured))
    return +found


def parts_of(scene: Scene, found: Mapping[Extreme, int]) -> Iterator[Part]:
    """A row of the ledger on each: which band of which scene, how many pixels, and their value."""
    for (band, value), count in sorted(found.items()):
        told = f"{scene.id} {band}: {count:,} {'pixel' if count == 1 else 'pixels'} of {_in_yaml(value)}"
        yield Part(told, "dropped", REASON, sentence([told]))


def sentence(told: Sequence[str]) -> str:
    """What to know of such rows of the ledger, and what to do."""
    first, value = min(told), min(told).rpartition(" ")[2]
    more = f" (and {len(told) - 1:,} more, which the ledger names)" if len(told) > 1 else ""
    return (
        f"{first}{more} count as measured, since nothing declares this value as no data; if it is none, convert into a "
        f"new corpus with 'nodata: {value}' in a sidecar YAML (beside the file, or --sidecar FILE)"
    )


def _in_yaml(value: float) -> str:
    """A number as YAML 1.1 reads it, which needs a point before an exponent."""
    if value.is_integer() and abs(value) < _BEYOND_ALL:
        return str(int(value))
    digits, mark, exponent = repr(value).partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}{mark}{exponent}"
