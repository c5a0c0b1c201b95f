"""`voxtile phantom sar`: Sentinel-1 backscatter of many places with speckle, the map, labels and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import stream
from voxtile_remote_sensing.phantom.map_extract import LabelledSquare, MapObject, Written, outlines
from voxtile_remote_sensing.phantom.places import Place, place_of
from voxtile_remote_sensing.phantom.radar_square import (
    CONCEPTS,
    GSD_M,
    POLARISATIONS,
    SIDE_M,
    RadarSquare,
    paint_radar,
)
from voxtile_remote_sensing.phantom.texts import TEXTS, captions
from voxtile_remote_sensing.phantom.writing import (
    ScenePhantom,
    labelled_square,
    paint_each_concept,
    scene_truth,
    write_geotiff,
    write_sidecar,
)

SIDE = 3  # squares along a side
LOOKS = 4.4  # equivalent number of looks of Sentinel-1 IW GRD in high resolution (S1 product specification)
_ORDER_STREAM, _SQUARE_STREAM, _SPECKLE_STREAM, _TEXT_STREAM = 1, 2, 3, 4
_TAGS = {
    "calm_water": {"natural": "water", "water": "lake"},
    "forest": {"natural": "wood"},
    "cropland": {"landuse": "farmland"},
    "built_up": {"landuse": "residential"},
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_LEAST_M2 = 4000.0

_README = """Radar phantom, seed {seed}, {n} scenes

Everything here is synthetic: no pixel was measured.

scenes/*.tif         gamma0 (linear) of VV and VH at 10 m, 1.8 km by 1.8 km, with {looks} looks of speckle;
                     every other scene holds VH first
scenes/*.yaml        sensor, product and the order of the bands
map/                 OpenStreetMap objects of all places as PBF and GeoJSON (ids and dates are invented)
labels.geojson       footprints of 600 m by 600 m with their class and captions
truth.json           what was painted where

A scene has each of {concepts} classes once. Another seed gives other ground at the same places.
"""
PHANTOM = ScenePhantom("sar", "scenes", 300_000, _README)


def write_sar_phantom(out: Path, *, n: int = 100, seed: int = 0, workers: int = 0) -> None:
    """Write synthetic Sentinel-1 backscatter with speckle, a map, labels, captions and known truth.

    Args:
        out: new or empty folder.
        n: number of scenes, each at a place of its own, with 9 squares of 600 m.
        seed: another seed gives other ground; the same seed gives the same values, whatever the number of workers.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, the disk is too full, or n or seed is out of range.
    """
    job = partial(write_radar_scene, out, seed)
    PHANTOM.write_scenes(out, job, CONCEPTS, n=n, seed=seed, workers=workers, looks=LOOKS)


def write_radar_scene(out: Path, seed: int, number: int) -> Written:
    """Render one scene and write its files."""
    place = place_of(number, SIDE * SIDE_M)
    squares = _squares(seed, number)
    order = POLARISATIONS if number % 2 == 0 else POLARISATIONS[::-1]
    _write(out / "scenes" / f"S1A_IW_RTC_{number:05d}", backscatter(seed, number, squares), place, order)
    labelled, told = [], []
    objects: list[MapObject] = []
    for row in range(SIDE):
        for column in range(SIDE):
            square, corner = squares[row][column], (column * SIDE_M, row * SIDE_M)
            labelled.append(_labelled(seed, place, square, (row, column)))
            if square.concept in _TAGS:
                objects += outlines(square.region, place, corner, GSD_M, _TAGS[square.concept], _LEAST_M2)
            share = round(float(square.region.mean()), 4)
            entry = {"concept": square.concept, "count": square.count, "share": share}
            told.append({"row": row, "column": column, **entry})
    truth = scene_truth(place, f"S1A_IW_RTC_{number:05d}.tif", order, told)
    return Written(tuple(labelled), tuple(objects), truth)


def backscatter(seed: int, number: int, squares: tuple[tuple[RadarSquare, ...], ...]) -> npt.NDArray[np.float32]:
    """[2, rows, columns] linear gamma0 of VV and VH: calibration of the scene, then speckle.

    Fully developed speckle of L looks multiplies the expected intensity by a gamma variable of shape L and mean 1
    (Ulaby and Dobson 1989, Handbook of Radar Scattering Statistics for Terrain, section 1-2).
    """
    rng = stream(seed, number, _SPECKLE_STREAM)
    expected = np.concatenate([np.concatenate([q.decibels for q in row], axis=2) for row in squares], axis=1)
    level = expected + rng.normal(0, 0.8) + rng.normal(0, 0.3, (2, 1, 1))
    speckle = rng.standard_gamma(LOOKS, level.shape) / LOOKS
    return np.asarray(10 ** (level / 10) * speckle, np.float32)


def _squares(seed: int, number: int) -> tuple[tuple[RadarSquare, ...], ...]:
    return paint_each_concept((seed, number), (_ORDER_STREAM, _SQUARE_STREAM), CONCEPTS, SIDE, paint_radar)


def _write(path: Path, gamma0: npt.NDArray[np.float32], place: Place, order: tuple[str, ...]) -> None:
    bands = np.stack([gamma0[POLARISATIONS.index(name)] for name in order])
    write_geotiff(path.with_suffix(".tif"), bands, place, GSD_M)
    about = {"sensor": "sentinel-1-sar", "product": "RTC", "platform": "S1A", "modality": "SAR"}
    write_sidecar(path.with_suffix(".yaml"), place, "07-{day:02d}T05:30:00Z", about, order)


def _labelled(seed: int, place: Place, square: RadarSquare, position: tuple[int, int]) -> LabelledSquare:
    row, column = position
    rng = stream(seed, place.number, _TEXT_STREAM, row * SIDE + column)
    count = f"{_NUMBERS[square.count]} ships" if 1 < square.count < len(_NUMBERS) else ""
    texts = captions(rng, "sar", square.concept, {"count": count}, TEXTS)
    return labelled_square(place, position, SIDE_M, square.concept, texts)
