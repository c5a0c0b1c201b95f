"""Backscatter of one square, before speckle: levels of round textbook size in C band, and the structure within them.

Levels in dB follow typical Sentinel-1 values (Flores-Anderson et al., SAR Handbook, 2019, chapters 2 and 3). Some
concepts have the same mean: ships and a slick hardly change that of the sea, and a town is told from a flooded forest
by single bright reflectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import value_noise

Plane = npt.NDArray[np.float32]

PIXELS = 60
GSD_M = 10.0
SIDE_M = PIXELS * GSD_M
POLARISATIONS = ("VV", "VH")

# dB of (VV, VH).
LEVELS: dict[str, tuple[float, float]] = {
    "calm_water": (-21.5, -27.0),
    "sea": (-13.5, -24.0),
    "slick": (-20.5, -27.0),
    "ship": (6.0, -3.0),
    "forest": (-8.0, -13.5),
    "flooded_forest": (-4.0, -12.5),
    "crop": (-10.0, -16.5),
    "bare_soil": (-12.0, -21.0),
    "street": (-11.0, -18.0),
}


@dataclass(frozen=True)
class RadarSquare:
    """One painted square.

    Attributes:
        concept: what it is about.
        decibels: [2, rows, columns] expected backscatter of VV and VH in dB.
        region: where the concept is.
        count: of single objects (ships); 0 for covers.
    """

    concept: str
    decibels: Plane
    region: npt.NDArray[np.bool_]
    count: int = 0


def paint_radar(rng: np.random.Generator, concept: str) -> RadarSquare:
    """Paint one square of a concept."""
    painted: RadarSquare = _PAINTERS[concept](rng)
    return painted


def _calm(rng: np.random.Generator) -> RadarSquare:
    """Smooth water with a shore of fields."""
    water = _largest(_noise(rng, 2), rng.uniform(0.6, 1.0))
    ground = np.where(water, _level("calm_water", rng, 1.0), _level("crop", rng, 1.0))
    return RadarSquare("calm_water", _f32(ground), water)


def _sea(rng: np.random.Generator) -> Plane:
    """Wind-roughened water: long waves and gusts, stronger in VV."""
    turn, length = rng.uniform(0, np.pi), rng.uniform(8, 16)
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32)
    waves = np.sin((x * np.cos(turn) + y * np.sin(turn)) * (2 * np.pi / length) + _noise(rng, 4))
    level = _level("sea", rng, 1.5)
    return _f32(level + np.stack([0.7 * waves, 0.3 * waves]) + 0.5 * _noise(rng, 3))


def _rough_sea(rng: np.random.Generator) -> RadarSquare:
    return RadarSquare("rough_sea", _sea(rng), np.ones((PIXELS, PIXELS), np.bool_))


def _slick(rng: np.random.Generator) -> RadarSquare:
    """A dark elongated film on rough water."""
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32) - PIXELS / 2
    turn = rng.uniform(0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    across = across + rng.uniform(-12, 12) + 4 * _noise(rng, 4)
    film = _largest(-np.hypot(across, along / rng.uniform(3, 6)) - rng.uniform(0, 1), rng.uniform(0.06, 0.14))
    sea = _sea(rng)
    return RadarSquare("oil_slick", _f32(np.where(film, _level("slick", rng, 0.5), sea)), film)


def _ships(rng: np.random.Generator) -> RadarSquare:
    """A few bright hulls of 40 to 120 m on rough water."""
    sea, hulls = _sea(rng), np.zeros((PIXELS, PIXELS), np.bool_)
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32)
    count = int(rng.integers(2, 6))
    for _ in range(count):
        cx, cy, turn = rng.uniform(5, PIXELS - 5), rng.uniform(5, PIXELS - 5), rng.uniform(0, np.pi)
        along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        across = -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        hulls |= (np.abs(along) < rng.uniform(2, 6)) & (np.abs(across) < rng.uniform(0.9, 1.4))
    return RadarSquare("ships", _f32(np.where(hulls, _level("ship", rng, 1.0), sea)), hulls, count)


def _forest(rng: np.random.Generator) -> RadarSquare:
    return _cover(rng, "forest", "forest")


def _flooded(rng: np.random.Generator) -> RadarSquare:
    return _cover(rng, "flooded_forest", "flooded_forest")


def _cover(rng: np.random.Generator, concept: str, level: str) -> RadarSquare:
    """One cover among fields."""
    region = _largest(_noise(rng, 3), rng.uniform(0.7, 1.0))
    inside = _level(level, rng, 0.8) + 0.5 * _noise(rng, 10)
    return RadarSquare(concept, _f32(np.where(region, inside, _fields(rng, "crop"))), region)


def _fields(rng: np.random.Generator, cover: str) -> Plane:
    """Parcels of one cover, each a little brighter or darker."""
    turn, width, length = rng.uniform(0, np.pi / 2), rng.uniform(10, 20), rng.uniform(14, 30)
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    parcel = np.floor(along / width).astype(int) * 31 + np.floor(across / length).astype(int)
    _, index = np.unique(parcel, return_inverse=True)
    level = rng.normal(0, 1.1, int(index.max()) + 1)[index.reshape(parcel.shape)]
    return _f32(_level(cover, rng, 0.8) + level)


def _cropland(rng: np.random.Generator) -> RadarSquare:
    return RadarSquare("cropland", _fields(rng, "crop"), np.ones((PIXELS, PIXELS), np.bool_))


def _bare(rng: np.random.Generator) -> RadarSquare:
    return RadarSquare("bare_soil", _fields(rng, "bare_soil"), np.ones((PIXELS, PIXELS), np.bool_))


def _town(rng: np.random.Generator) -> RadarSquare:
    """Walls that face the radar are corner reflectors on a street grid."""
    region = _largest(_noise(rng, 3), rng.uniform(0.7, 1.0))
    turn, block = rng.uniform(0, np.pi / 2), rng.uniform(5, 9)
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    wall = (np.abs(along / block % 1 - 0.5) < 0.12) & (np.abs(across / block % 1 - 0.5) < 0.36)
    town = np.where(wall, _level("street", rng, 0.5) + rng.normal(16, 1.0), _level("street", rng, 0.8))
    town = town + 1.5 * _noise(rng, 20)
    return RadarSquare("built_up", _f32(np.where(region, town, _fields(rng, "crop"))), region)


_PAINTERS: dict[str, Callable[[np.random.Generator], RadarSquare]] = {
    "calm_water": _calm,
    "rough_sea": _rough_sea,
    "oil_slick": _slick,
    "ships": _ships,
    "forest": _forest,
    "flooded_forest": _flooded,
    "cropland": _cropland,
    "bare_soil": _bare,
    "built_up": _town,
}
CONCEPTS = tuple(_PAINTERS)


def _level(cover: str, rng: np.random.Generator, spread: float) -> Plane:
    """[2, 1, 1] dB of a cover as it is here."""
    both, each = rng.normal(0, spread), rng.normal(0, spread / 3, 2)
    return _f32(np.array(LEVELS[cover])[:, None, None] + both + each[:, None, None])


def _largest(values: Plane, share: float) -> npt.NDArray[np.bool_]:
    return np.asarray(values >= np.quantile(values, 1 - share))


def _noise(rng: np.random.Generator, cells: int) -> Plane:
    return value_noise(rng, (PIXELS, PIXELS), (cells, cells))


def _f32(values: npt.NDArray[np.floating]) -> Plane:
    return np.asarray(values, np.float32)
