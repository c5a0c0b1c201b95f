"""Seeded smooth noise for phantoms: value noise on a coarse lattice, and independent random streams.

Only elementwise numpy is used (no BLAS, no FFT), so the same seed gives the same bits whatever the number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float32]


def stream(*key: int) -> np.random.Generator:
    """A random generator for one purpose: `stream(seed, study, purpose)` never shares numbers with another key."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(list(key))))


@lru_cache(maxsize=64)
def _lattice(size: int, cells: int) -> tuple[npt.NDArray[np.intp], Volume]:
    position = np.linspace(0.0, cells, size, dtype=np.float64)
    lower = np.minimum(position.astype(np.intp), cells - 1)
    fraction = (position - lower).astype(np.float32)
    return lower, fraction * fraction * (3 - 2 * fraction)


def _stretch(values: Volume, axis: int, size: int) -> Volume:
    """Interpolate one axis to `size` points with the smoothstep weight of value noise."""
    lower, weight = _lattice(size, values.shape[axis] - 1)
    start = np.take(values, lower, axis=axis)
    stop = np.take(values, lower + 1, axis=axis)
    shape = [1] * values.ndim
    shape[axis] = size
    stop -= start
    stop *= weight.reshape(shape)
    stop += start
    return stop


def value_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, ...]) -> Volume:
    """Smooth noise of about zero mean.

    Args:
        rng: source of the lattice values.
        shape: shape of the result.
        cells: number of lattice cells along each axis; few cells give large features.

    Returns:
        float32 array of `shape`; lattice values are standard normal (between lattice points the variance is lower).
    """
    values = rng.standard_normal([c + 1 for c in cells], dtype=np.float32)
    for axis in reversed(range(len(shape))):  # the last and largest step then copies whole planes
        values = _stretch(values, axis, shape[axis])
    return values
