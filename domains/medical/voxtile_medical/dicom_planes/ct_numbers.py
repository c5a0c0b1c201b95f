"""Whether the values of a CT are HU, by what one sees in them: air at −1000, fat at −100, water and soft tissue near 0.

A header may lie: values that are HU already under an intercept of −1024, or an intercept that got lost. Peaks of the
histogram show it, where there are any; a volume without peaks (a cropped lesion, a noise image) is taken at its word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_planes.pixels import PixelArray
from voxtile_medical.dicom_planes.stored import Scale

# HU of what is in most pictures of a body (Kalender, Computed Tomography, 3rd ed., table 1.2), with room for filters,
# contrast and calibration.
BANDS: Mapping[str, tuple[float, float]] = {"air": (-1060, -940), "fat": (-140, -60), "water": (-30, 90)}
LOWEST_AIR_HU = -1100.0
HIGHEST_PEAK_HU = 600.0  # cortical bone is higher, and too uneven for a peak
HIGHEST_HU = 32_767.0  # the extended scales of scanners end at 30,710
_MOST_BEYOND = 1e-4  # of the voxels
_LEAST_SPAN_HU = 10.0  # from the lowest to the highest value; the noise of a CT is as wide
_TISSUE = (-150.0, 150.0)
_RANGE = 4096  # HU that the histogram reaches to either side
_SMOOTH_HU = 8.0
_KERNEL = np.exp(-0.5 * (np.arange(-32, 33) / _SMOOTH_HU) ** 2)
_KERNEL /= _KERNEL.sum()
_WINDOW_HU = 40
_LEAST_VOXELS = 5_000
_MOST_VOXELS = 4_000_000
_LEAST_SHARE = 0.03  # of the voxels, within the window around a peak
_STEEP = 0.5  # prominence of a peak, in its height
_SPIKE = 25.0  # a value that is so much more frequent than those beside it is filled in, or cut off there


@dataclass(frozen=True)
class CtNumbers:
    """What the values of a CT show.

    Attributes:
        peaks: HU of the peaks that are where air, fat and water are, by name.
        fault: why the values are not HU; None where nothing speaks against it.
    """

    peaks: Mapping[str, float] = field(default_factory=dict)
    fault: str | None = None


def ct_numbers(planes: PixelArray, scale: Scale, padding: npt.NDArray[np.bool_] | None = None) -> CtNumbers:
    """Look for air, fat and water.

    Args:
        planes: [Z, Y, X] stored values.
        scale: to what the header says are HU.
        padding: voxels that are none; None where the header names no padding.
    """
    every = max(1, -(-planes.size // _MOST_VOXELS))
    stored = planes[::every]
    if padding is not None:
        stored = stored[~padding[::every]]
    counts, beyond = _histogram(stored.ravel(), scale)
    if beyond > _MOST_BEYOND * stored.size:
        share = f"{beyond / stored.size:.2%} of the voxels are above {HIGHEST_HU:.0f} HU"
        return CtNumbers(fault=f"{share}, which no CT gives: the header may call signed values unsigned")
    if counts.sum() < _LEAST_VOXELS:
        return CtNumbers()
    span = float(stored.max() - np.float64(stored.min())) * abs(scale.slope)
    if 0 < span < _LEAST_SPAN_HU:
        return CtNumbers(fault=f"all values lie within {span:.3g} HU: they may be scaled to a range, such as 0 to 1")
    spikes = _take_spikes(counts, max(1, round(abs(scale.slope))))
    peaks = _peaks(counts)
    named = {name: hu for name, (low, high) in BANDS.items() if (hu := _nearest(peaks, low, high)) is not None}
    if "air" not in named and (clipped := _nearest(spikes, *BANDS["air"])) is not None:
        named["air"] = clipped
    fault = _fault(peaks, spikes, scale)
    return CtNumbers({} if fault else named, fault)


def _histogram(stored: PixelArray, scale: Scale) -> tuple[npt.NDArray[np.float64], int]:
    """Number of voxels at each whole HU from −4096 to 4096, and of those above all HU.

    Of integers, each value that occurs is scaled once.
    """
    frequencies: npt.NDArray[np.int64] | None = None
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2 and stored.size:
        least = int(stored.min())
        occurs = np.bincount(np.subtract(stored, least, dtype=np.int64))
        stored = np.flatnonzero(occurs)
        frequencies = occurs[stored]
        stored = stored + least
    values = stored.astype(np.float32) * np.float32(scale.slope) + np.float32(scale.intercept)
    near = np.abs(values) < _RANGE
    bins = np.rint(values[near]).astype(np.int64) + _RANGE
    weights = None if frequencies is None else frequencies[near]
    high = values > HIGHEST_HU
    beyond = int(high.sum() if frequencies is None else frequencies[high].sum())
    return np.bincount(bins, weights, minlength=2 * _RANGE + 1).astype(np.float64), beyond


def _take_spikes(counts: npt.NDArray[np.float64], step: int) -> list[float]:
    """Values that stand out alone, taken out of the histogram: fill, and where values were cut off."""
    reach = 8 * step
    found = np.flatnonzero(counts > 0.002 * counts.sum())
    sums = np.concatenate([[0.0], np.cumsum(counts)])  # of whole numbers: exact
    below = sums[found] - sums[np.maximum(found - reach, 0)]
    above = sums[np.minimum(found + 1 + reach, len(counts))] - sums[found + 1]
    alone = counts[found] > _SPIKE * np.maximum((below + above) / (2 * reach / step), 1e-9)
    spikes = found[alone]
    counts[spikes] = 0
    return [float(index - _RANGE) for index in spikes.tolist()]


def _peaks(counts: npt.NDArray[np.float64]) -> list[float]:
    """HU of peaks that hold a share of the voxels and rise steeply, the highest first."""
    total = counts.sum()
    if total < _LEAST_VOXELS:
        return []
    smooth = _smoothed(counts)
    sums = np.concatenate([[0.0], np.cumsum(counts)])

    def is_frequent(places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        last, first = np.minimum(places + _WINDOW_HU, len(counts)), np.maximum(places - _WINDOW_HU, 0)
        frequent: npt.NDArray[np.bool_] = (sums[last] - sums[first]) / total >= _LEAST_SHARE
        return frequent

    peaks = [
        (smooth[index], float(index - _RANGE))
        for index, prominence in prominences(smooth, is_frequent)
        if prominence >= _STEEP * smooth[index]
    ]
    return [hu for _, hu in sorted(peaks, reverse=True)]


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The histogram smoothed where there is something in it; the rest stays 0."""
    filled = np.flatnonzero(counts)
    low, high = int(filled[0]) - len(_KERNEL), int(filled[-1]) + len(_KERNEL) + 1
    if low < 0 or high > len(counts):
        return np.convolve(counts, _KERNEL, mode="same")
    smooth = np.zeros_like(counts)
    smooth[low:high] = np.convolve(counts[low:high], _KERNEL, mode="same")
    return smooth


def prominences(
    values: npt.NDArray[np.float64], wanted: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]] | None = None
) -> list[tuple[int, float]]:
    """Peaks of a curve and how far each stands above the higher of the lowest points on its way to higher ground.

    What `scipy.signal.find_peaks(values, prominence=0)` gives, whose import takes half a second of every process.

    Args:
        values: [N]; a flat top counts at its middle, the ends are no peaks.
        wanted: says of places whether peaks there are; the others are passed over; None for all.
    """
    begins = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)  # of stretches of one value
    ends = np.append(begins[1:], len(values))
    level = values[begins]
    tops = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])) + 1
    middles = (begins[tops] + ends[tops] - 1) // 2
    if wanted is not None:
        chosen = wanted(middles)
        tops, middles = tops[chosen], middles[chosen]
    found = []
    for top, middle in zip(tops.tolist(), middles.tolist(), strict=True):
        higher = np.flatnonzero(level > level[top])
        after = np.searchsorted(higher, top)
        left = higher[after - 1] if after else -1
        right = higher[after] if after < len(higher) else len(level)
        base = max(level[left + 1 : top + 1].min(), level[top:right].min())
        found.append((middle, float(level[top] - base)))
    return found


def _nearest(peaks: list[float], low: float, high: float) -> float | None:
    """The highest peak within limits."""
    return next((hu for hu in peaks if low <= hu <= high), None)


def _fault(peaks: list[float], spikes: list[float], scale: Scale) -> str | None:
    """Why peaks cannot be those of HU. What lies lower beside tissue at its place is fill that no element names."""
    low, high = BANDS["air"]
    at_air = _nearest(peaks, low, high)
    if _nearest(peaks, *_TISSUE) is None:
        shifted = _nearest(peaks + spikes, low + scale.intercept, high + scale.intercept)
        if scale.intercept < low / 2 and at_air is not None and shifted is not None:
            return (
                f"the values are HU before RescaleIntercept of {scale.intercept:g} is added: with it, tissue lies at "
                f"{at_air:g} HU and air at {shifted:g}"
            )
        below = min((hu for hu in peaks if hu < LOWEST_AIR_HU), default=None)
        if below is not None:
            return f"a peak lies at {below:g} HU, none is where tissue is, and air, the lowest, is at -1000"
    above = max((hu for hu in peaks if hu > HIGHEST_PEAK_HU), default=None)
    if above is not None and at_air is None and _nearest(spikes, low, high) is None:
        return (
            f"a peak lies at {above:g} HU, air is nowhere, and soft tissue is at 0 to 100: RescaleIntercept may be "
            "missing"
        )
    return None
