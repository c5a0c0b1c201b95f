"""`voxtile phantom aerial`: aerial photographs with buildings, roads, planes and pools, and the map they agree with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.phantom.noise import stream
from voxtile_remote_sensing.phantom.aerial_square import CONCEPTS, GSD_M, SIDE_M, AerialSquare, paint_aerial
from voxtile_remote_sensing.phantom.map_extract import LabelledSquare, MapObject, Written, area, line
from voxtile_remote_sensing.phantom.places import Place, place_of
from voxtile_remote_sensing.phantom.texts import TEXTS, captions, wording
from voxtile_remote_sensing.phantom.writing import (
    ScenePhantom,
    labelled_square,
    paint_each_concept,
    scene_truth,
    write_geotiff,
    write_sidecar,
)

SIDE = 3  # squares along a side
_ORDER_STREAM, _SQUARE_STREAM, _LIGHT_STREAM, _TEXT_STREAM = 1, 2, 3, 4
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDERS = (("red", "green", "blue"), ("blue", "green", "red"))

_README = """Aerial phantom, seed {seed}, {n} photographs

Everything here is synthetic: no pixel was measured.

scenes/*.tif         RGB at 1 m, 288 m by 288 m; every other one holds its bands as blue, green, red
scenes/*.yaml        which band is which
map/                 OpenStreetMap objects of all places as PBF and GeoJSON (ids and dates are invented)
labels.geojson       footprints of 96 m by 96 m with their class and captions
truth.json           every object with its outline in metres from the photograph's upper left corner

A photograph shows each of {concepts} classes once. Another seed gives other ground at the same places.
"""
PHANTOM = ScenePhantom("aerial", "photographs", 400_000, _README)


def write_aerial_phantom(out: Path, *, n: int = 100, seed: int = 0, workers: int = 0) -> None:
    """Write synthetic aerial photographs with a map, labels, captions and known truth.

    Args:
        out: new or empty folder.
        n: number of photographs, each at a place of its own, with 9 squares of 96 m.
        seed: another seed gives other ground; the same seed gives the same values, whatever the number of workers.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, the disk is too full, or n or seed is out of range.
    """
    job = partial(write_photograph, out, seed)
    PHANTOM.write_scenes(out, job, CONCEPTS, n=n, seed=seed, workers=workers)


def write_photograph(out: Path, seed: int, number: int) -> Written:
    """Paint one photograph and write its files."""
    place = place_of(number, SIDE * SIDE_M)
    squares = paint_squares(seed, number)
    colours = _ORDERS[number % len(_ORDERS)]
    pixels = np.block([[[square.pixels] for square in row] for row in squares])
    _write(out / "scenes" / f"{number:05d}", _lit(seed, number, pixels), place, colours)
    labelled, objects, told = [], [], []
    for row in range(SIDE):
        for column in range(SIDE):
            square, corner = squares[row][column], (column * SIDE_M, row * SIDE_M)
            labelled.append(_labelled(seed, place, square, (row, column)))
            objects += _mapped(place, square, corner)
            told.append(_told(square, row, column))
    truth = scene_truth(place, f"{number:05d}.tif", colours, told)
    return Written(tuple(labelled), tuple(objects), truth)


def paint_squares(seed: int, number: int) -> tuple[tuple[AerialSquare, ...], ...]:
    """The squares of a photograph, every concept once, by row and column."""
    return paint_each_concept((seed, number), (_ORDER_STREAM, _SQUARE_STREAM), CONCEPTS, SIDE, paint_aerial)


def _lit(seed: int, number: int, pixels: np.ndarray) -> np.ndarray:
    """One exposure and white balance for the whole photograph, as bytes."""
    rng = stream(seed, number, _LIGHT_STREAM)
    gain = rng.uniform(0.8, 1.2) * (1 + rng.normal(0, 0.05, 3))
    lit: np.ndarray = np.clip(np.rint(pixels * gain + rng.uniform(-8, 8)), 1, 255).astype(np.uint8)
    return lit


def _write(path: Path, pixels: np.ndarray, place: Place, colours: tuple[str, ...]) -> None:
    bands = [pixels[:, :, ("red", "green", "blue").index(name)] for name in colours]
    # What a band shows is the sidecar's to say.
    settings = {"compress": "deflate", "photometric": "minisblack"}
    write_geotiff(path.with_suffix(".tif"), np.stack(bands), place, GSD_M, **settings)
    named = [{"name": name, "common_name": name} for name in colours]
    write_sidecar(path.with_suffix(".yaml"), place, "06-{day:02d}T10:00:00Z", {"modality": "RGB"}, named)


def _labelled(seed: int, place: Place, square: AerialSquare, position: tuple[int, int]) -> LabelledSquare:
    row, column = position
    rng = stream(seed, place.number, _TEXT_STREAM, row * SIDE + column)
    texts = captions(rng, "aerial", square.concept, {"count": _counted(square)}, TEXTS)
    return labelled_square(place, position, SIDE_M, square.concept, texts)


def _counted(square: AerialSquare) -> str:
    """The main objects in words, e.g. "three storage tanks"; empty where nobody would count."""
    names = wording("aerial")["objects"].get(square.concept)
    count = square.counts.get(names[0], 0) if names else 0
    if not 0 < count < len(_COUNTS):
        return ""
    return f"{_COUNTS[count]} {names[1] if count == 1 else names[2]}"


def _mapped(place: Place, square: AerialSquare, corner: tuple[float, float]) -> list[MapObject]:
    objects = []
    for shape in square.shapes:
        if shape.tags:
            points = [(corner[0] + x, corner[1] + y) for x, y in shape.ring]
            objects.append((area if shape.kind == "area" else line)(place, points, shape.tags))
    return objects


def _told(square: AerialSquare, row: int, column: int) -> dict[str, Any]:
    shapes = [
        {"what": s.what, "ring": [[round(x, 2), round(y, 2)] for x, y in s.ring]} for s in square.shapes if s.tags
    ]
    return {"row": row, "column": column, "concept": square.concept, "counts": square.counts, "shapes": shapes}
