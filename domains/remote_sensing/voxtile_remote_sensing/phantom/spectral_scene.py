"""A Sentinel-2 scene of 4 × 4 squares: covers to reflectance, clouds over it, bands at their own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import stream, value_noise
from voxtile_remote_sensing.phantom.cover import CONCEPTS, KINDS, PIXELS, BoolPlane, Plane, Square, paint_square
from voxtile_remote_sensing.phantom.places import Place, place_of
from voxtile_remote_sensing.phantom.spectra import BANDS, RESOLUTION_M, SPECTRA, haze, local_spectrum
from voxtile_remote_sensing.phantom.writing import paint_each_concept

SIDE = 4  # squares along a side
GSD_M = 10.0
SQUARE_M = PIXELS * GSD_M
_ORDER_STREAM, _PLACE_STREAM, _SQUARE_STREAM, _CLOUD_STREAM, _NOISE_STREAM = 1, 2, 3, 4, 5
_CLOUDY = 0.25  # share of scenes
_SHADOW = (9, 6)  # rows and columns from a cloud to its shadow: the sun stands in the south-east
_FIRST_DAY = np.datetime64("2019-04-01")


@dataclass(frozen=True)
class SpectralScene:
    """One rendered scene.

    Attributes:
        place: where it is.
        day: of the acquisition.
        squares: by row and column.
        bands: band → [rows, columns] float32 surface reflectance at the band's own resolution.
        scl: [rows, columns] uint8 scene classification at 20 m.
        cloud: [rows, columns] bool at 10 m, clouds and their shadows.
    """

    place: Place
    day: np.datetime64
    squares: tuple[tuple[Square, ...], ...]
    bands: dict[str, npt.NDArray[np.float32]]
    scl: npt.NDArray[np.uint8]
    cloud: BoolPlane

    @cached_property
    def worldcover(self) -> npt.NDArray[np.uint8]:
        """[rows, columns] ESA WorldCover classes at 10 m, of the ground below the clouds."""
        return np.block([[_worldcover(square) for square in row] for row in self.squares])


def render_scene(seed: int, number: int) -> SpectralScene:
    """Render a scene; the same seed and number give the same values.

    Args:
        seed: of the phantom.
        number: of the scene.
    """
    squares = _squares(seed, number)
    reflectance = _reflectance(seed, number, squares)
    cloud, shadow = _clouds(stream(seed, number, _CLOUD_STREAM), reflectance.shape[1:])
    reflectance *= 1 - 0.55 * shadow
    thick = SPECTRA["cloud"][:, None, None]
    reflectance += (thick - reflectance) * cloud
    rng = stream(seed, number, _NOISE_STREAM)
    bands = {}
    for name, values, resolution in zip(BANDS, reflectance, RESOLUTION_M, strict=True):
        coarse = _mean_of_blocks(values, round(resolution / GSD_M))
        noise = rng.standard_normal(coarse.shape, dtype=np.float32)
        bands[name] = np.asarray(coarse + 0.002 * noise, np.float32)
    return SpectralScene(
        place=place_of(number, SIDE * SQUARE_M),
        day=_FIRST_DAY + np.timedelta64(int(stream(seed, number, _PLACE_STREAM, 1).integers(0, 1600)), "D"),
        squares=squares,
        bands=bands,
        scl=_classified(squares, cloud, shadow),
        cloud=(cloud > 0.3) | (shadow > 0.3),
    )


def _squares(seed: int, number: int) -> tuple[tuple[Square, ...], ...]:
    """Every concept once a scene, in a random order."""
    return paint_each_concept((seed, number), (_ORDER_STREAM, _SQUARE_STREAM), CONCEPTS, SIDE, paint_square)


def _reflectance(seed: int, number: int, squares: tuple[tuple[Square, ...], ...]) -> npt.NDArray[np.float32]:
    """[bands, rows, columns] at 10 m, without clouds."""
    rng = stream(seed, number, _PLACE_STREAM)
    local = {cover: local_spectrum(rng, cover) for cover in SPECTRA}
    rows = []
    for row in squares:
        painted = []
        for square in row:
            values = np.zeros((len(BANDS), PIXELS, PIXELS), np.float32)
            level = np.float32(rng.uniform(0.8, 1.2)) if square.concept in ("built_up", "bare_soil") else np.float32(1)
            for cover, share in square.shares.items():
                values += local[cover][:, None, None] * share * (level if cover == "soil" else 1)
            painted.append(values * square.brightness)
        rows.append(np.concatenate(painted, axis=2))
    ground = np.concatenate(rows, axis=1)
    size = ground.shape[1:]
    ground *= 1 + 0.06 * value_noise(rng, size, (40, 40)) + 0.03 * rng.standard_normal(size, dtype=np.float32)
    factor, offset = haze(rng)
    return np.asarray(ground * factor[:, None, None] + offset[:, None, None], np.float32)


def _clouds(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Opacity of clouds and of their shadows, 0 to 1."""
    if rng.random() >= _CLOUDY:
        return np.zeros(size, np.float32), np.zeros(size, np.float32)
    field = value_noise(rng, (size[0], size[1]), (8, 8)) + 0.4 * value_noise(rng, (size[0], size[1]), (24, 24))
    level = np.quantile(field, 1 - rng.uniform(0.02, 0.12))
    cloud = np.clip((field - level) * 2.5, 0, 1).astype(np.float32)
    shadow = np.zeros_like(cloud)
    shadow[_SHADOW[0] :, : -_SHADOW[1]] = cloud[: -_SHADOW[0], _SHADOW[1] :]
    return cloud, np.asarray(shadow * (1 - cloud), np.float32)


def _classified(squares: tuple[tuple[Square, ...], ...], cloud: Plane, shadow: Plane) -> npt.NDArray[np.uint8]:
    """Scene classification at 20 m; clouds (9) hide shadows (3) hide the ground."""
    ground = np.block([[np.where(q.mask, KINDS[q.concept].scl, 4).astype(np.uint8) for q in row] for row in squares])
    scl = ground[::2, ::2].copy()
    scl[_mean_of_blocks(shadow, 2) > 0.3] = 3
    scl[_mean_of_blocks(cloud, 2) > 0.3] = 9
    return scl


def _worldcover(square: Square) -> npt.NDArray[np.uint8]:
    """Trees where canopies are, grass (30) and bare ground (60) around the concept."""
    classes = np.full((PIXELS, PIXELS), 30, np.uint8)
    classes[square.shares["broadleaf"] > 0.5] = 10
    classes[square.shares["soil"] > 0.5] = 60
    classes[square.mask] = KINDS[square.concept].worldcover
    return classes


def _mean_of_blocks(values: Plane, factor: int) -> Plane:
    """Mean over factor × factor pixels: what a coarser detector sees."""
    if factor == 1:
        return values
    rows, columns = values.shape
    blocks = values.reshape(rows // factor, factor, columns // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)
