"""The map of a phantom: OpenStreetMap objects as PBF and as GeoJSON, and the labels of its squares as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.features import shapes
from shapely.geometry import Polygon, shape

from voxtile_remote_sensing.phantom.places import Place

MAP_DATE = "2024-01-01T00:00:00Z"
Point = tuple[float, float]


@dataclass(frozen=True)
class MapObject:
    """One object of the map.

    Attributes:
        kind: `area` (closed way), `line` (open way) or `point` (node).
        points: (longitude, latitude) in degrees; an area's ring without the repeated first point.
        tags: OpenStreetMap tags.
    """

    kind: Literal["area", "line", "point"]
    points: Sequence[Point]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LabelledSquare:
    """The footprint of a square with what is known of it.

    Attributes:
        geometry: GeoJSON polygon in degrees.
        labels: concepts that are present.
        texts: captions.
        properties: more columns.
    """

    geometry: Mapping[str, Any]
    labels: Sequence[str]
    texts: Sequence[str]
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What a worker hands back of one scene: its labelled squares, its map objects and its entry in truth.json."""

    squares: tuple[LabelledSquare, ...]
    objects: tuple[MapObject, ...]
    truth: dict[str, Any] = field(default_factory=dict)


def outlines(
    mask: npt.NDArray[np.bool_], place: Place, corner: Point, gsd_m: float, tags: Mapping[str, str], least_m2: float
) -> Iterator[MapObject]:
    """Outlines of the connected parts of a mask, smoothed by half a pixel, without their holes.

    Args:
        mask: [rows, columns].
        place: where the scene is.
        corner: metres from the scene's upper left corner to the mask's (x right, y down).
        gsd_m: pixel size.
        tags: of every outline.
        least_m2: smaller parts are left out.
    """
    local = Affine(gsd_m, 0, corner[0], 0, gsd_m, corner[1])
    for geometry, _ in shapes(mask.astype(np.uint8), mask=mask, transform=local):
        outline = Polygon(shape(geometry).exterior).simplify(gsd_m / 2)
        if outline.area >= least_m2:
            yield area(place, list(outline.exterior.coords)[:-1], tags)


def area(place: Place, ring: Sequence[tuple[float, ...]], tags: Mapping[str, str]) -> MapObject:
    """An area from its ring in metres from the scene's upper left corner."""
    return MapObject("area", _degrees(place, ring), tags)


def line(place: Place, points: Sequence[tuple[float, ...]], tags: Mapping[str, str]) -> MapObject:
    """A line from its points in metres from the scene's upper left corner."""
    return MapObject("line", _degrees(place, points), tags)


def _degrees(place: Place, points: Sequence[tuple[float, ...]]) -> list[Point]:
    xs, ys = [place.left + p[0] for p in points], [place.top - p[1] for p in points]
    return [(round(x, 7), round(y, 7)) for x, y in place.on_earth(xs, ys)]  # OSM keeps seven decimals


def write_map(folder: Path, objects: Sequence[MapObject]) -> None:
    """Write `map.osm.pbf` and, for tools that read GeoJSON, `map.geojson` with the same ids."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_pbf(folder / "map.osm.pbf", objects)
    _write_collection(folder / "map.geojson", (_feature(number, item) for number, item in enumerate(objects, start=1)))


def write_labels(path: Path, squares: Iterable[LabelledSquare]) -> None:
    """Write the footprints of the squares with labels (joined by `|`) and captions."""
    features = (
        {
            "type": "Feature",
            "geometry": dict(square.geometry),
            "properties": {"label": "|".join(square.labels), "text": list(square.texts), **square.properties},
        }
        for square in squares
    )
    _write_collection(path, features)


def _feature(number: int, item: MapObject) -> dict[str, Any]:
    coordinates: Any = [list(point) for point in item.points]
    if item.kind == "area":
        geometry = {"type": "Polygon", "coordinates": [[*coordinates, coordinates[0]]]}
    elif item.kind == "line":
        geometry = {"type": "LineString", "coordinates": coordinates}
    else:
        geometry = {"type": "Point", "coordinates": coordinates[0]}
    way = item.kind != "point"
    properties = {"@type": "way" if way else "node", "@id": number, "@timestamp": MAP_DATE, **item.tags}
    name = f"{properties['@type']}/{number}"
    return {"type": "Feature", "id": name, "properties": properties, "geometry": geometry}


def _write_collection(path: Path, features: Iterable[Mapping[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(feature, sort_keys=True) for feature in features)
    path.write_text(f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n', encoding="utf-8")


def _write_pbf(path: Path, objects: Sequence[MapObject]) -> None:
    import osmium

    node, nodes, ways = len(objects), [], []  # numbers up to len(objects) are the objects' own
    for number, item in enumerate(objects, start=1):
        if item.kind == "point":
            nodes.append(osmium.osm.mutable.Node(id=number, location=item.points[0], tags=dict(item.tags), **_STAMP))
            continue
        refs = list(range(node + 1, node + 1 + len(item.points)))
        node += len(item.points)
        nodes += [
            osmium.osm.mutable.Node(id=ref, location=point, **_STAMP)
            for ref, point in zip(refs, item.points, strict=True)
        ]
        closed = [*refs, refs[0]] if item.kind == "area" else refs
        ways.append(osmium.osm.mutable.Way(id=number, nodes=closed, tags=dict(item.tags), **_STAMP))
    with osmium.SimpleWriter(str(path), overwrite=True) as writer:
        for entry in sorted(nodes, key=attrgetter("id")):
            writer.add_node(entry)
        for way in ways:
            writer.add_way(way)


_STAMP: Mapping[str, Any] = {"version": 1, "timestamp": MAP_DATE}
