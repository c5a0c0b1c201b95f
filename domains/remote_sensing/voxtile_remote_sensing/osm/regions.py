"""Boxes of counted objects: upright and rotated, and referring expressions that are true of one object only.

A rotated box is stored as the upright box of the same centre and sides, and the angle by which to turn it
counter-clockwise, as seen on the picture, about its centre; its longer side is the width, so that the angle is that of
the object's long axis against the picture's horizontal, from -90 (exclusive) to 90 degrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import shapely

from voxtile.corpus.records import Row
from voxtile.grounding.boxes import box_of_rectangle
from voxtile_remote_sensing.osm.english import POINTS, compass_point, place_word
from voxtile_remote_sensing.osm.relations import are_related, direction_between, is_inside
from voxtile_remote_sensing.osm.visible_features import MapObject, Scene

BOX_RULE, ROTATED_RULE, REFERRING_RULE = "osm-box@1", "osm-rotated-box@1", "osm-referring@2"
SIZE_MARGIN = 1.25  # the largest is so many times as large as the second
END_MARGIN = 0.05  # the northernmost is so much (of the tile's half extent) further than the second
_MOST_REFERRED = 60  # objects of one kind; among more, people do not find the one that is meant


@dataclass(frozen=True)
class Referring:
    """An expression that is true of one object of the tile.

    Attributes:
        phrase: e.g. `the largest building`.
        reason: `only`, `largest`, `smallest`, `northernmost`, …, `place:north-east`, `in:park`, `north-east:pond`.
        object: what it means.
    """

    phrase: str
    reason: str
    object: MapObject


def region_id(scene: Scene, found: MapObject) -> str:
    """Id of an object's upright box."""
    return hashlib.sha256(f"{scene.frame.uid}\0{found.concept}\0{found.osm_id}".encode()).hexdigest()[:24]


def upright_box(scene: Scene, found: MapObject) -> tuple[float, float, float, float] | None:
    """Min row, min column, max row, max column in pixel edges, inside the picture; None where thinner than a pixel."""
    x0, y0, x1, y1 = scene.frame.to_pixels(found.clipped).bounds
    x0, x1 = max(0.0, x0), min(float(scene.frame.width), x1)
    y0, y1 = max(0.0, y0), min(float(scene.frame.height), y1)
    return (y0, x0, y1, x1) if y1 - y0 >= 1 and x1 - x0 >= 1 else None


def rotated_box(scene: Scene, found: MapObject) -> tuple[tuple[float, float, float, float], float] | None:
    """The smallest rotated rectangle round an object, as a box and its angle; see the module's text."""
    rectangle = shapely.minimum_rotated_rectangle(scene.frame.to_pixels(found.clipped))
    if rectangle.geom_type != "Polygon":
        return None
    box, angle = box_of_rectangle(rectangle)
    return (box, angle) if box[2] - box[0] >= 1 else None


def region_rows(scene: Scene) -> tuple[list[Row], dict[tuple[str, str], str]]:
    """Rows of the regions table, and (concept, OSM id) → id of the upright box."""
    rows: list[Row] = []
    ids: dict[tuple[str, str], str] = {}
    for concept, objects in scene.objects.items():
        if not objects[0].rule.counted:
            continue
        name = objects[0].rule.names[0][0]
        for found in objects:
            box = upright_box(scene, found)
            if box is None:
                continue
            ids[concept, found.osm_id] = key = region_id(scene, found)
            rows.append(_row(scene, key, name, box, None, BOX_RULE))
            rotated = rotated_box(scene, found)
            if rotated is not None:
                rows.append(_row(scene, f"{key}-rotated", name, rotated[0], rotated[1], ROTATED_RULE))
    for number, referring in enumerate(referring_expressions(scene)):
        known = ids.get((referring.object.concept, referring.object.osm_id))
        box = upright_box(scene, referring.object)
        if known is not None and box is not None:
            rows.append(_row(scene, f"{known}-ref{number}", referring.phrase, box, None, REFERRING_RULE))
    return rows, ids


def referring_expressions(scene: Scene) -> Iterator[Referring]:
    """Expressions for the counted objects of a tile, each true of one object only."""
    for objects in scene.objects.values():
        if not objects[0].rule.counted or len(objects) > _MOST_REFERRED:
            continue
        name = objects[0].rule.names[0][0]
        yield from _by_direction(scene, name, objects)
        if len(objects) == 1:
            yield Referring(f"the {name}", "only", objects[0])
            continue
        yield from _by_size(name, objects)
        yield from _by_end(scene, name, objects)
        yield from _by_place(scene, name, objects)
        yield from _by_holder(scene, name, objects)


def _by_size(name: str, objects: Sequence[MapObject]) -> Iterator[Referring]:
    sizes = [o.size for o in objects]  # the largest first
    if sizes[-1] <= 0:
        return
    if sizes[0] >= SIZE_MARGIN * sizes[1]:
        yield Referring(f"the largest {name}", "largest", objects[0])
    if sizes[-2] >= SIZE_MARGIN * sizes[-1] and objects[-1].is_whole:
        yield Referring(f"the smallest {name}", "smallest", objects[-1])


def _by_end(scene: Scene, name: str, objects: Sequence[MapObject]) -> Iterator[Referring]:
    places = [scene.frame.place(o.clipped) for o in objects]
    for word, axis, sign in (
        ("northernmost", 1, 1.0), ("southernmost", 1, -1.0), ("easternmost", 0, 1.0), ("westernmost", 0, -1.0)
    ):  # fmt: skip
        order = sorted(range(len(objects)), key=lambda i, a=axis, s=sign: -s * places[i][a])  # type: ignore[misc]
        if sign * (places[order[0]][axis] - places[order[1]][axis]) >= END_MARGIN:
            yield Referring(f"the {word} {name}", word, objects[order[0]])


def _by_place(scene: Scene, name: str, objects: Sequence[MapObject]) -> Iterator[Referring]:
    words = [place_word(*scene.frame.place(o.clipped)) for o in objects]
    for found, word in zip(objects, words, strict=True):
        if words.count(word) == 1:
            yield Referring(f"the {name} in the {word}", f"place:{word}", found)


def _by_holder(scene: Scene, name: str, objects: Sequence[MapObject]) -> Iterator[Referring]:
    for other, holders in scene.objects.items():
        holder = holders[0]
        if len(holders) != 1 or not holder.rule.holds or other == objects[0].concept:
            continue
        near = [o for o in objects if o.plane.intersects(holder.plane)]
        if len(near) == 1 and near[0].size < holder.size and is_inside(near[0], holder):
            yield Referring(f"the {name} in the {holder.rule.names[0][0]}", f"in:{other}", near[0])


def _by_direction(scene: Scene, name: str, objects: Sequence[MapObject]) -> Iterator[Referring]:
    """The one at a point of the compass of the only object of another kind, with none at the points beside."""
    for concept, others in scene.objects.items():
        other = others[0]
        if len(others) != 1 or not other.rule.counted or other is objects[0] or are_related(objects[0], other):
            continue
        points = [_point(scene, o, other) for o in objects]
        for found, point in zip(objects, points, strict=True):
            place = POINTS.index(point)
            near = {point, POINTS[place - 1], POINTS[(place + 1) % len(POINTS)]}
            if sum(p in near for p in points) == 1 and direction_between(scene, found, other) == point:
                yield Referring(f"the {name} {point} of the {other.rule.names[0][0]}", f"{point}:{concept}", found)


def _point(scene: Scene, found: MapObject, other: MapObject) -> str:
    here, there = found.clipped.centroid, other.clipped.centroid
    return compass_point(*scene.frame.compass(here.x - there.x, here.y - there.y))


def _row(
    scene: Scene, key: str, phrase: str, box: tuple[float, float, float, float], angle: float | None, source: str
) -> Row:
    return {
        "region_id": key,
        "uid": scene.frame.uid,
        "phrase": phrase,
        "box": list(box),
        "angle": angle,
        "source": source,
    }
