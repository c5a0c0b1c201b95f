"""`voxtile phantom sentinel2`: Sentinel-2 L2A products of many places, with map, land cover, labels and truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from voxtile.phantom.noise import stream
from voxtile_remote_sensing.phantom.cover import CONCEPTS, KINDS, PIXELS, Square
from voxtile_remote_sensing.phantom.map_extract import LabelledSquare, MapObject, Written, line, outlines
from voxtile_remote_sensing.phantom.safe import baseline_of, write_safe
from voxtile_remote_sensing.phantom.spectral_scene import GSD_M, SIDE, SQUARE_M, SpectralScene, render_scene
from voxtile_remote_sensing.phantom.texts import TEXTS, axis_words, captions, season, share_words, wording
from voxtile_remote_sensing.phantom.writing import ScenePhantom, labelled_square, write_geotiff

_TEXT_STREAM = 11
_CLOUD_TOLD = 0.02  # a smaller share of cloud is not worth a sentence
_LEAST_M2 = 4000.0

_README = """Sentinel-2 phantom, seed {seed}, {n} scenes

Everything here is synthetic: no pixel was measured.

scenes/*.SAFE        L2A products of 2.4 km by 2.4 km, half of them with the offset of processing baseline 04.00
map/                 OpenStreetMap objects of all places as PBF and GeoJSON (ids and dates are invented)
landcover/*.tif      ESA WorldCover classes at 10 m, as in the truth
labels.geojson       footprints of 600 m by 600 m with their class and captions
truth.json           what was painted where

A place has each of {concepts} classes once. Another seed gives other ground at the same places.
"""
PHANTOM = ScenePhantom("sentinel2", "scenes", 1_800_000, _README)


def write_sentinel2_phantom(out: Path, *, n: int = 100, seed: int = 0, workers: int = 0) -> None:
    """Write synthetic Sentinel-2 L2A products with a map, land cover, labels, captions and known truth.

    Args:
        out: new or empty folder.
        n: number of scenes, each at a place of its own, with 16 squares of 600 m.
        seed: another seed gives other ground; the same seed gives the same values, whatever the number of workers.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, the disk is too full, or n or seed is out of range.
    """
    job = partial(write_scene, out, seed)
    PHANTOM.write_scenes(out, job, CONCEPTS, n=n, seed=seed, workers=workers, folders=("scenes", "landcover"))


def write_scene(out: Path, seed: int, number: int) -> Written:
    """Render one scene and write its files."""
    scene = render_scene(seed, number)
    product = write_safe(out / "scenes", scene)
    _write_landcover(out / "landcover" / f"{number:05d}.tif", scene)
    squares, told = [], []
    objects: list[MapObject] = []
    for row in range(SIDE):
        for column in range(SIDE):
            square, corner = scene.squares[row][column], (column * SQUARE_M, row * SQUARE_M)
            cloud = float(scene.cloud[_window(row, column)].mean())
            squares.append(_labelled(seed, scene, square, (row, column), cloud))
            objects += _mapped(scene, square, corner)
            told.append({"row": row, "column": column, "concept": square.concept, "cloud": cloud, **square.details})
    truth = {
        "number": number,
        "product": product,
        "epsg": scene.place.epsg,
        "left": scene.place.left,
        "top": scene.place.top,
        "day": f"{scene.day}",
        "baseline": baseline_of(number)[0],
        "squares": told,
    }
    return Written(tuple(squares), tuple(objects), truth)


def _window(row: int, column: int) -> tuple[slice, slice]:
    return slice(row * PIXELS, (row + 1) * PIXELS), slice(column * PIXELS, (column + 1) * PIXELS)


def _labelled(
    seed: int, scene: SpectralScene, square: Square, position: tuple[int, int], cloud: float
) -> LabelledSquare:
    row, column = position
    rng = stream(seed, scene.place.number, _TEXT_STREAM, row * SIDE + column)
    details = square.details
    values = {
        "share": share_words(rng, details["share"]),
        "season": season(scene.day, southern=scene.place.epsg // 100 == 327),
        "place": details["place"] or "",
        "axis": axis_words(details.get("direction")),
    }
    texts = captions(rng, "s2", square.concept, values, TEXTS)
    if rng.random() < 0.3:
        sentences = wording("s2")["clouds" if cloud > _CLOUD_TOLD else "clear"]
        texts[-1] = f"{texts[-1]} {sentences[int(rng.integers(len(sentences)))]}"
    return labelled_square(scene.place, position, SQUARE_M, square.concept, texts)


def _mapped(scene: SpectralScene, square: Square, corner: tuple[float, float]) -> Iterator[MapObject]:
    """What a map would have of a square."""
    tags = KINDS[square.concept].tags
    if tags:
        yield from outlines(square.region, scene.place, corner, GSD_M, tags, _LEAST_M2)
    line_tags = {"river": {"waterway": "river"}, "built_up": {"highway": "residential"}}.get(square.concept)
    for points in square.lines if line_tags else ():
        metres = [(corner[0] + x * GSD_M, corner[1] + y * GSD_M) for x, y in points]
        if len(metres) > 1 and line_tags:
            yield line(scene.place, metres, line_tags)


def _write_landcover(path: Path, scene: SpectralScene) -> None:
    classes = scene.worldcover.astype(np.uint8)
    write_geotiff(path, classes[None], scene.place, GSD_M, nodata=0, compress="deflate")
