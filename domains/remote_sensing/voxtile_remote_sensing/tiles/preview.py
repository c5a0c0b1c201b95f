"""A small picture of a tile for people: colours by the names of the bands, never by their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_remote_sensing.scenes.protocol import SceneBand

LARGEST_PX = 160  # every second pixel of a tile of 256: half a millisecond less for each
# Common names shown as red, green, blue: natural colours, then what tells vegetation, soil and water apart.
_COMPOSITES = (
    (("red", "green", "blue"), 0.3),
    (("nir", "red", "green"), 0.5),
    (("swir16", "nir08", "rededge071"), 0.5),
)
_RADAR = ("VV", "VH")
_SHARES = (0.02, 0.98)
_SAMPLED_PX = 64  # a side: 4,096 pixels place a percentile to within half a percent


def preview_of(
    tile: npt.NDArray[Any], bands: Sequence[SceneBand], stretch: Sequence[Sequence[float] | None] | None = None
) -> npt.NDArray[np.uint8]:
    """A picture of a tile.

    Args:
        tile: stored values [C, Y, X].
        bands: of the channels.
        stretch: what is black and white of each, as `scene_stretch` gives it.

    Returns:
        [Y, X, 3], or [Y, X] where no three bands make a colour picture, with at most `LARGEST_PX` pixels a side.
        Reflectance has a fixed scale, 0 to 0.3 in natural colours, so that tiles can be compared; other values have
        that of the scene, and where there is none, and of radar, that of the tile: its 2nd and 98th percentile.
        Complex numbers are shown by their intensity in decibels.
    """
    step = -(-max(tile.shape[1:]) // LARGEST_PX)
    chosen, top = _choose(bands)
    planes = [tile[n, ::step, ::step] for n in chosen]
    shown: list[SceneBand | None] = [bands[n] for n in chosen]
    if tile.dtype.kind == "c":
        planes = [_decibels(np.abs(plane).astype(np.float32) ** 2) for plane in planes]
        planes, shown = planes if len(planes) < 2 else [*planes, planes[0] - planes[1]][:3], [None] * 3
    elif len(chosen) == 2:
        planes, shown = _radar(planes, bands, chosen), [None] * 3
    stretched = np.empty((len(planes), *planes[0].shape), np.uint8)
    for n, plane in enumerate(planes):
        band = shown[n]
        ends = stretch[chosen[n]] if stretch and band is not None else None
        low, factor = _stretch(plane, band, top) if band is None or ends is None else _stated(ends, band)
        with np.errstate(invalid="ignore", over="ignore"):  # the least number of a type becomes black
            values = np.subtract(plane, low, dtype=np.float32)
            values *= factor
            np.clip(values, 0, 255, out=values)
        stretched[n] = np.nan_to_num(values, copy=False) if plane.dtype.kind == "f" else values
    return stretched[0] if len(stretched) == 1 else np.ascontiguousarray(np.moveaxis(stretched, 0, -1))


def _choose(bands: Sequence[SceneBand]) -> tuple[list[int], float]:
    names = [band.band.common_name for band in bands]
    for wanted, top in _COMPOSITES:
        if all(name in names for name in wanted):
            return [names.index(name) for name in wanted], top
    own = [band.name.upper() for band in bands]
    if all(name in own for name in _RADAR):
        return [own.index(name) for name in _RADAR], 0.0
    return [0], 0.5


def _radar(
    planes: Sequence[npt.NDArray[Any]], bands: Sequence[SceneBand], chosen: Sequence[int]
) -> list[npt.NDArray[Any]]:
    """VV, VH and their ratio, in decibels."""
    values = []
    for plane, band in zip(planes, (bands[n] for n in chosen), strict=True):
        physical = plane.astype(np.float32) * np.float32(band.scale) + np.float32(band.offset)
        values.append(physical if band.band.unit == "dB" else _decibels(physical))
    return [values[0], values[1], values[0] - values[1]]


def _decibels(power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return 10 * np.log10(np.maximum(power, np.float32(1e-6)))


def _stated(ends: Sequence[float], band: SceneBand) -> tuple[float, float]:
    """Stored value that is black, and grey levels a stored unit, of ends in the band's unit."""
    low, high = ((end - band.offset) / band.scale for end in ends)
    return low, 255 / (high - low or 1e-9)


def _stretch(plane: npt.NDArray[Any], band: SceneBand | None, top: float) -> tuple[float, float]:
    """Stored value that is black, and grey levels a stored unit."""
    if band is not None and band.band.unit == "reflectance" and band.scale:
        return -band.offset / band.scale, 255 * band.scale / top
    if plane.dtype == np.uint8:
        return 0.0, 1.0
    sample = plane[:: max(1, plane.shape[0] // _SAMPLED_PX), :: max(1, plane.shape[1] // _SAMPLED_PX)]
    if band is not None and band.nodata is not None:
        sample = sample[sample != band.nodata]
    sample = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    if not sample.size:
        return 0.0, 1.0
    places = [round(share * (sample.size - 1)) for share in _SHARES]
    low, high = (float(v) for v in np.partition(sample, places, axis=None)[places])
    return low, 255 / max(high - low, 1e-9)
