"""`voxtile phantom aerial`: aerial photographs with buildings, roads, planes and pools, and the map they agree with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml

from voxtile.phantom.noise import stream
from voxtile.phantom.truth import write_truth
from voxtile_remote_sensing.phantom.aerial_square import CONCEPTS, GSD_M, SIDE_M, AerialSquare, paint_aerial
from voxtile_remote_sensing.phantom.map_extract import (
    LabelledSquare,
    MapObject,
    Written,
    area,
    line,
    write_labels,
    write_map,
)
from voxtile_remote_sensing.phantom.places import Place, place_of
from voxtile_remote_sensing.phantom.texts import TEXTS, captions, wording
from voxtile_remote_sensing.phantom.writing import check_request, in_order, write_readme

SIDE = 3  # squares along a side
_ORDER_STREAM, _SQUARE_STREAM, _LIGHT_STREAM, _TEXT_STREAM = 1, 2, 3, 4
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SCENE_BYTES = 400_000
_ORDERS = (("red", "green", "blue"), ("blue", "green", "red"))

README = """Aerial phantom, seed {seed}, {n} photographs

Everything here is synthetic: no pixel was measured.

scenes/*.tif         RGB at 1 m, 288 m by 288 m; every other one holds its bands as blue, green, red
scenes/*.yaml        which band is which
map/                 OpenStreetMap objects of all places as PBF and GeoJSON (ids and dates are invented)
labels.geojson       footprints of 96 m by 96 m with their class and captions
truth.json           every object with its outline in metres from the photograph's upper left corner

A photograph shows each of {concepts} classes once. Another seed gives other ground at the same places.
"""


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
    check_request(out, n, seed, scene_bytes=_SCENE_BYTES)
    (out / "scenes").mkdir(parents=True, exist_ok=True)
    written = in_order("phantom aerial", partial(write_photograph, out, seed), n, workers)
    write_labels(out / "labels.geojson", (square for scene in written for square in scene.squares))
    write_map(out / "map", [item for scene in written for item in scene.objects])
    truth = {"phantom": "aerial", "seed": seed, "concepts": list(CONCEPTS), "studies": [w.truth for w in written]}
    write_truth(out / "truth.json", truth)
    write_readme(out, README.format(seed=seed, n=n, concepts=len(CONCEPTS)), f"wrote {n} photographs to {out}")


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
    truth = {
        "number": number,
        "scene": f"{number:05d}.tif",
        "epsg": place.epsg,
        "left": place.left,
        "top": place.top,
        "bands": list(colours),
        "squares": told,
    }
    return Written(tuple(labelled), tuple(objects), truth)


def paint_squares(seed: int, number: int) -> tuple[tuple[AerialSquare, ...], ...]:
    """The squares of a photograph, every concept once, by row and column."""
    order = stream(seed, number, _ORDER_STREAM).permutation(len(CONCEPTS))
    painted = [
        paint_aerial(stream(seed, number, _SQUARE_STREAM, position), CONCEPTS[int(which)])
        for position, which in enumerate(order)
    ]
    return tuple(tuple(painted[row * SIDE : (row + 1) * SIDE]) for row in range(SIDE))


def _lit(seed: int, number: int, pixels: np.ndarray) -> np.ndarray:
    """One exposure and white balance for the whole photograph, as bytes."""
    rng = stream(seed, number, _LIGHT_STREAM)
    gain = rng.uniform(0.8, 1.2) * (1 + rng.normal(0, 0.05, 3))
    lit: np.ndarray = np.clip(np.rint(pixels * gain + rng.uniform(-8, 8)), 1, 255).astype(np.uint8)
    return lit


def _write(path: Path, pixels: np.ndarray, place: Place, colours: tuple[str, ...]) -> None:
    bands = [pixels[:, :, ("red", "green", "blue").index(name)] for name in colours]
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": len(bands),
        "dtype": "uint8",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "crs": place.crs,
        "transform": place.transform(GSD_M),
        "compress": "deflate",
        "photometric": "minisblack",  # what a band shows is the sidecar's to say
    }
    with rasterio.open(path.with_suffix(".tif"), "w", **profile) as file:
        file.write(np.stack(bands))
    about = {
        "modality": "RGB",
        "datetime": f"{2018 + place.number % 6}-06-{1 + place.number % 28:02d}T10:00:00Z",
        "licence": "CC0-1.0 (synthetic phantom)",
        "synthetic": "voxtile phantom",
        "bands": [{"name": name, "common_name": name} for name in colours],
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")


def _labelled(seed: int, place: Place, square: AerialSquare, position: tuple[int, int]) -> LabelledSquare:
    row, column = position
    rng = stream(seed, place.number, _TEXT_STREAM, row * SIDE + column)
    texts = captions(rng, "aerial", square.concept, {"count": _counted(square)}, TEXTS)
    left, top = column * SIDE_M, row * SIDE_M
    return LabelledSquare(
        place.ring(left, top + SIDE_M, left + SIDE_M, top),
        (square.concept,),
        texts,
        {"scene": place.number, "row": row, "column": column},
    )


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
