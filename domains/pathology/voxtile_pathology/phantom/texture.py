"""Textures of tissue: smooth noise, fibres, foam, and nuclei as small stamps. All lengths are in pixels of 0.5 µm."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial import cKDTree

from voxtile.phantom.noise import stream
from voxtile_pathology.phantom.stains import Amount

ANGLES = 16  # directions of the stamps of elongated nuclei, over half a turn
VARIANTS = 6
_STAMPS = 0x57  # of the random stream that shapes the stamps; they are the same on every slide


def noise(rng: np.random.Generator, shape: tuple[int, int], period: tuple[float, float]) -> Amount:
    """Smooth noise of about unit variance; `period` is the size of its features along y and x."""
    grid = [max(2, round(n / p) + 2) for n, p in zip(shape, period, strict=True)]
    lattice = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
    return np.asarray(lattice.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


class Fibres:
    """Parallel wavy fibres: a field of stripes, and the direction in which they run at each place.

    Args:
        rng: source of the randomness.
        shape: (y, x).
        thickness, length: of one fibre.
        wave: height of the waves.
        wavelength: length of the waves.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        *,
        thickness: float,
        length: float,
        wave: float,
        wavelength: float,
    ) -> None:
        self._upright = bool(rng.random() < 0.5)
        across, along = shape[::-1] if self._upright else shape
        self._slope = float(rng.uniform(-1, 1))
        self._wave, self._length, self._phase = wave, wavelength, float(rng.uniform(0, 2 * np.pi))
        stripes = noise(rng, (across, along), (thickness, length))
        place = np.arange(along)
        shift = self._slope * place + wave * np.sin(2 * np.pi * place / wavelength + self._phase)
        rows = (np.arange(across)[:, None] + np.rint(shift).astype(np.intp)[None]) % across
        bent = np.take_along_axis(stripes, rows, axis=0)
        self.field: Amount = np.ascontiguousarray(bent.T) if self._upright else bent

    def angle(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Direction at [N, 2] places (y, x), in radians from the x axis towards y."""
        along = places[:, 0] if self._upright else places[:, 1]
        waves = 2 * np.pi / self._length
        rise = -(self._slope + self._wave * waves * np.cos(waves * along + self._phase))
        angle = np.arctan(rise)
        return np.pi / 2 - angle if self._upright else angle


def foam(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> Amount:
    """Distance from the walls of a foam of cells: 0 on a wall, growing into the cell."""
    step = 4
    places = scattered(rng, shape, spacing, 0.35)
    if len(places) < 3:
        return np.full(shape, np.float32(spacing), np.float32)
    rows, columns = (np.arange(0, n + step, step) for n in shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    nearest, _ = cKDTree(places).query(grid, k=2)
    gap = (nearest[:, 1] - nearest[:, 0]).reshape(len(rows), len(columns)).astype(np.float32)
    size = (len(columns) * step, len(rows) * step)
    return np.asarray(Image.fromarray(gap).resize(size, Image.Resampling.BILINEAR))[: shape[0], : shape[1]]


def scattered(
    rng: np.random.Generator, shape: tuple[int, int], spacing: float, jitter: float
) -> npt.NDArray[np.float64]:
    """Places [N, 2] (y, x) on a hexagonal lattice, each moved by `jitter` of the spacing."""
    rows = np.arange(-spacing, shape[0] + spacing, spacing * 0.866)
    columns = np.arange(-spacing, shape[1] + spacing, spacing)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1)
    places[1::2, :, 1] += spacing / 2
    flat = places.reshape(-1, 2) + rng.normal(0, jitter * spacing, (places.shape[0] * places.shape[1], 2))
    inside = ((flat >= 0) & (flat < np.array(shape))).all(1)
    kept: npt.NDArray[np.float64] = flat[inside]
    return kept


@lru_cache(maxsize=8192)
def nucleus(long: int, short: int, irregular: int, vesicular: int, number: int, direction: int = 0) -> Amount:
    """A stamp: amounts of haematoxylin of one nucleus.

    Args:
        long: long half axis in tenths of a pixel.
        short: short half axis in tenths of a pixel.
        irregular: roughness of the outline in per cent.
        vesicular: how much paler the inside is than the membrane, in per cent; such nuclei also have nucleoli.
        number: which of the variants.
        direction: of the long axis, in steps of π / `ANGLES` from x towards y.
    """
    rng = stream(_STAMPS, long, short, irregular, vesicular, number)
    a, b, angle = long / 10, short / 10, np.pi * direction / ANGLES
    half = int(np.ceil(a * (1 + irregular / 100) + 2))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    around = np.arctan2(v / b, u / a)
    outline = 1 + irregular / 100 * sum(
        rng.normal(0, 0.6) * np.cos(k * around + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)
    )
    depth = (outline - np.hypot(u / a, v / b)) * b  # pixels from the outline inwards
    stamp = np.clip(depth + 0.5, 0, 1)
    chromatin = noise(rng, stamp.shape, (3, 3)) * 0.12
    stamp = stamp * (0.9 + chromatin)
    if vesicular:
        stamp *= 1 - vesicular / 100 * np.clip((depth - 1.5) / 2, 0, 1)
        for _ in range(int(rng.integers(1, 3))):
            where = rng.normal(0, 0.25 * b, 2)
            stamp += 0.7 * np.exp(-((y - where[0]) ** 2 + (x - where[1]) ** 2) / 3.5) * (depth > 1)
    clipped: Amount = np.clip(stamp, 0, 1.3).astype(np.float32)
    return clipped


def stamp_all(
    canvas: Amount,
    places: npt.NDArray[np.float64],
    stamps: list[Amount],
    amounts: npt.NDArray[np.float64],
) -> None:
    """Put a stamp at each place [N, 2] (y, x), times its amount; where stamps overlap the darker one shows."""
    height, width = canvas.shape
    for (y, x), stamp, amount in zip(np.rint(places).astype(int).tolist(), stamps, amounts.tolist(), strict=True):
        half = stamp.shape[0] // 2
        top, left = y - half, x - half
        y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + stamp.shape[0], height), min(left + stamp.shape[1], width)
        if y0 < y1 and x0 < x1:
            there = canvas[y0:y1, x0:x1]
            np.maximum(there, stamp[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(amount), out=there)
