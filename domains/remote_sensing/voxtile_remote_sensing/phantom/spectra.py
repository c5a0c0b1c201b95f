"""Reflectance of ground covers in Sentinel-2's L2A bands: round textbook values, not measurements.

Levels follow published examples (USGS Spectral Library Version 7, doi 10.3133/ds1035; Jensen, Remote Sensing of the
Environment, 2nd ed., figures 11-4 to 11-8). Covers of one group are alike in the visible bands on purpose: what tells
them apart lies in the red edge, the near and the short-wave infrared.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.float32]

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
WAVELENGTHS_NM = np.array([443, 493, 560, 665, 704, 741, 783, 833, 865, 945, 1614, 2202], np.float32)
RESOLUTION_M = (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 20, 20)

_GREEN_FIELD = [0.028, 0.034, 0.076, 0.040]
_TREE = [0.016, 0.020, 0.040, 0.024]
_DARK = [0.030, 0.035, 0.042, 0.050]
_WHITE = [0.70, 0.74, 0.77, 0.77]
_TABLE: dict[str, list[float]] = {
    "water": [0.045, 0.042, 0.040, 0.026, 0.020, 0.013, 0.011, 0.009, 0.008, 0.007, 0.004, 0.003],
    "grass": [0.030, 0.038, 0.075, 0.052, 0.120, 0.250, 0.300, 0.320, 0.330, 0.330, 0.230, 0.130],
    "conifer": [*_TREE, 0.050, 0.135, 0.160, 0.175, 0.185, 0.190, 0.080, 0.035],
    "broadleaf": [*_TREE, 0.085, 0.290, 0.370, 0.390, 0.410, 0.410, 0.190, 0.085],
    "maize": [*_GREEN_FIELD, 0.090, 0.310, 0.410, 0.430, 0.450, 0.450, 0.160, 0.065],
    "sugar_beet": [*_GREEN_FIELD, 0.120, 0.420, 0.560, 0.590, 0.610, 0.600, 0.260, 0.120],
    "potato": [*_GREEN_FIELD, 0.150, 0.270, 0.310, 0.330, 0.340, 0.350, 0.270, 0.160],
    "rice": [*_GREEN_FIELD, 0.095, 0.240, 0.290, 0.300, 0.305, 0.290, 0.075, 0.025],
    "soil": [0.085, 0.105, 0.135, 0.175, 0.195, 0.210, 0.230, 0.240, 0.255, 0.265, 0.330, 0.290],
    "burnt": [*_DARK, 0.054, 0.060, 0.068, 0.075, 0.085, 0.095, 0.190, 0.200],
    "peat": [*_DARK, 0.072, 0.130, 0.155, 0.170, 0.180, 0.180, 0.120, 0.065],
    "snow": [*_WHITE, 0.760, 0.740, 0.720, 0.690, 0.660, 0.560, 0.090, 0.070],
    "salt": [*_WHITE, 0.775, 0.770, 0.760, 0.750, 0.740, 0.700, 0.560, 0.430],
    "cloud": [0.68, 0.66, 0.64, 0.64, 0.65, 0.66, 0.66, 0.66, 0.66, 0.50, 0.42, 0.32],
}
SPECTRA: dict[str, Spectrum] = {name: np.array(values, np.float32) for name, values in _TABLE.items()}


def local_spectrum(rng: np.random.Generator, cover: str) -> Spectrum:
    """A cover as it is at one place: brighter or darker, and gently tilted and bent over the wavelengths."""
    position = np.log(WAVELENGTHS_NM / 443) / np.log(2202 / 443) * 2 - 1
    level, tilt, bend = rng.normal(0, 0.06), rng.normal(0, 0.04), rng.normal(0, 0.03)
    return np.asarray(SPECTRA[cover] * np.exp(level + tilt * position + bend * (position**2 - 0.5)), np.float32)


def haze(rng: np.random.Generator) -> tuple[Spectrum, Spectrum]:
    """What imperfect atmospheric correction leaves: a factor and an offset a band, the offset falling as λ^-2."""
    factor = np.full(len(BANDS), rng.uniform(0.92, 1.08), np.float32)
    offset = np.asarray(rng.uniform(-0.004, 0.010) * (443 / WAVELENGTHS_NM) ** 2, np.float32)
    return factor, offset
