"""What all phantoms of scenes write beside the scenes: labels, the map, known truth, and how squares are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
import yaml

from voxtile.phantom.noise import stream
from voxtile.phantom.truth import write_truth
from voxtile.phantom.writing import Phantom
from voxtile_remote_sensing.phantom.map_extract import LabelledSquare, Written, write_labels, write_map
from voxtile_remote_sensing.phantom.places import Place

Square = TypeVar("Square")


@dataclass(frozen=True)
class ScenePhantom(Phantom):
    """A phantom of scenes, each at a place of its own, of which there are 9,999."""

    most: int = 9_999
    chunk: int = 8

    def write_scenes(
        self,
        out: Path,
        job: Callable[[int], Written],
        concepts: Sequence[str],
        *,
        n: int,
        seed: int,
        workers: int,
        folders: Sequence[str] = ("scenes",),
        **told: object,
    ) -> None:
        """`write`, with `labels.geojson`, `map/` and `truth.json`; the readme is told the number of concepts."""

        def tables(written: Sequence[Written]) -> None:
            write_labels(out / "labels.geojson", (square for scene in written for square in scene.squares))
            write_map(out / "map", [item for scene in written for item in scene.objects])
            head = {"phantom": self.name, "seed": seed, "concepts": list(concepts)}
            write_truth(out / "truth.json", {**head, "studies": [scene.truth for scene in written]})

        self.write(out, job, tables, n=n, seed=seed, workers=workers, folders=folders, concepts=len(concepts), **told)


def paint_each_concept(
    key: tuple[int, int],
    streams: tuple[int, int],
    concepts: Sequence[str],
    side: int,
    paint: Callable[[np.random.Generator, str], Square],
) -> tuple[tuple[Square, ...], ...]:
    """Squares of a scene, every concept once, in an order that the seed decides.

    Args:
        key: (seed, number) of the scene.
        streams: of the order, and of the squares.
        concepts: `side` times `side` of them.
        side: squares along a side.
        paint: makes one from its random numbers and its concept.
    """
    order = stream(*key, streams[0]).permutation(len(concepts))
    painted = [paint(stream(*key, streams[1], position), concepts[int(which)]) for position, which in enumerate(order)]
    return tuple(tuple(painted[row * side : (row + 1) * side]) for row in range(side))


def labelled_square(
    place: Place, position: tuple[int, int], side_m: float, concept: str, texts: Sequence[str]
) -> LabelledSquare:
    """The footprint of a square of a scene.

    Args:
        place: of the scene.
        position: row and column.
        side_m: of a square.
        concept: that it shows.
        texts: captions.
    """
    row, column = position
    left, top = column * side_m, row * side_m
    ring = place.ring(left, top + side_m, left + side_m, top)
    return LabelledSquare(ring, (concept,), texts, {"scene": place.number, "row": row, "column": column})


def scene_truth(place: Place, scene: str, bands: Sequence[str], squares: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entry in truth.json of a scene that is one file.

    Args:
        place: of the scene.
        scene: name of its file.
        bands: in the order of the file.
        squares: what each shows.
    """
    return {
        "number": place.number,
        "scene": scene,
        "epsg": place.epsg,
        "left": place.left,
        "top": place.top,
        "bands": list(bands),
        "squares": list(squares),
    }


def write_geotiff(path: Path, bands: np.ndarray, place: Place, gsd_m: float, **profile: object) -> None:
    """Write bands [C, Y, X] on the grid of a place.

    Args:
        path: of the file.
        bands: in the file's own type.
        place: of the scene.
        gsd_m: ground sampling distance.
        profile: further settings of rasterio.
    """
    count, height, width = bands.shape
    known = {"driver": "GTiff", "count": count, "dtype": bands.dtype.name, "height": height, "width": width}
    with rasterio.open(path, "w", **known, crs=place.crs, transform=place.transform(gsd_m), **profile) as file:
        file.write(bands)


def write_sidecar(path: Path, place: Place, moment: str, about: Mapping[str, Any], bands: Sequence[Any]) -> None:
    """Write the YAML beside a scene.

    Args:
        path: of the file.
        place: of the scene, which decides the day.
        moment: month and time with a slot {day}, e.g. `06-{day:02d}T10:00:00Z`.
        about: sensor, modality and the like, before the rest.
        bands: in the order of the scene's file.
    """
    content = {
        **about,
        "datetime": f"{2018 + place.number % 6}-" + moment.format(day=1 + place.number % 28),
        "licence": "CC0-1.0 (synthetic phantom)",
        "synthetic": "voxtile phantom",
        "bands": list(bands),
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
