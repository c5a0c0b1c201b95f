"""Relations between objects of a tile, measured on their geometry: in, beside, crossing, and points of the compass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import shapely

from voxtile_remote_sensing.osm.english import compass_point
from voxtile_remote_sensing.osm.visible_features import MapObject, Scene

IN_SHARE = 0.95  # share of an object's area that lies in the other one
BESIDE_M = 15.0  # gap in metres, or three pixels where that is more
BESIDE_PX = 3.0
_FEW = 3  # beside and compass points are measured for concepts with so many objects at most
_MANY = 400  # "in" is measured for concepts with so many objects at most


@dataclass(frozen=True)
class Relation:
    """A measured relation.

    Attributes:
        kind: `in`, `beside`, `crossing`, or a point of the compass (`north`, …: the subject lies there of the object).
        subject, other: concepts.
        subject_ids, other_ids: OSM ids.
        value: number of subjects for `in` and of pairs for `crossing`; distance in metres otherwise (gap for `beside`,
            between centroids for points of the compass).
        unit: `count` or `m`.
    """

    kind: str
    subject: str
    subject_ids: tuple[str, ...]
    other: str
    other_ids: tuple[str, ...]
    value: float
    unit: str


def measure_relations(scene: Scene) -> list[Relation]:
    """All relations of a scene, in a fixed order."""
    return [*_inside(scene), *_beside(scene), *_compass(scene), *_crossing(scene)]


def beside_limit(gsd_m: float) -> float:
    """Largest gap in metres that counts as beside."""
    return max(BESIDE_M, BESIDE_PX * gsd_m)


def is_inside(subject: MapObject, other: MapObject) -> bool:
    """Whether (nearly) all of an object lies in another."""
    if subject.form == "line":
        return bool(other.plane.intersection(subject.plane).length >= IN_SHARE * subject.plane.length)
    return bool(other.plane.intersection(subject.plane).area >= IN_SHARE * subject.plane.area)


def _inside(scene: Scene) -> Iterator[Relation]:
    for concept, objects in scene.objects.items():
        if not objects[0].rule.counted or len(objects) > _MANY:
            continue
        tree = shapely.STRtree([o.plane for o in objects])
        for other, holders in scene.objects.items():
            if other == concept or not holders[0].rule.holds or are_related(objects[0], holders[0]):
                continue
            for holder in holders:
                near = sorted(int(i) for i in tree.query(holder.plane))
                inside = [objects[i] for i in near if objects[i].size < holder.size and is_inside(objects[i], holder)]
                if inside:
                    ids = tuple(o.osm_id for o in inside)
                    yield Relation("in", concept, ids, other, (holder.osm_id,), float(len(ids)), "count")


def _beside(scene: Scene) -> Iterator[Relation]:
    limit = beside_limit(scene.frame.gsd_m)
    for concept, objects in scene.objects.items():
        if not objects[0].rule.counted or len(objects) > _FEW:
            continue
        for other, neighbours in scene.objects.items():
            if other == concept or are_related(objects[0], neighbours[0]):
                continue
            for found in objects:
                nearest = min(neighbours, key=lambda o, f=found: (f.plane.distance(o.plane), o.osm_id))  # type: ignore[misc]
                gap = float(found.plane.distance(nearest.plane))
                if gap <= limit and not _overlap(found, nearest):
                    yield Relation("beside", concept, (found.osm_id,), other, (nearest.osm_id,), gap, "m")


def _compass(scene: Scene) -> Iterator[Relation]:
    single = [objects[0] for objects in scene.objects.values() if len(objects) == 1 and objects[0].rule.counted]
    for found in single:
        for other in single:
            if found is other or are_related(found, other):
                continue
            direction = direction_between(scene, found, other)
            if direction is not None:
                distance = float(found.plane.centroid.distance(other.plane.centroid))
                yield Relation(direction, found.concept, (found.osm_id,), other.concept, (other.osm_id,), distance, "m")


def direction_between(scene: Scene, found: MapObject, other: MapObject) -> str | None:
    """The point of the compass at which one object lies of the other; None where their extents do not clear it."""
    spans = [_spans(scene, o) for o in (found, other)]
    centres = [o.clipped.centroid for o in (found, other)]
    east, north = scene.frame.compass(centres[0].x - centres[1].x, centres[0].y - centres[1].y)
    word = compass_point(east, north)
    (w0, e0, s0, n0), (w1, e1, s1, n1) = spans
    clear = {"north": s0 >= n1, "south": n0 <= s1, "east": w0 >= e1, "west": e0 <= w1}
    return word if all(clear[part] for part in word.split("-")) else None


def _spans(scene: Scene, found: MapObject) -> tuple[float, float, float, float]:
    """West, east, south and north ends of an object."""
    places = [scene.frame.compass(x, y) for x, y in shapely.get_coordinates(found.clipped)]
    easts, norths = [p[0] for p in places], [p[1] for p in places]
    return min(easts), max(easts), min(norths), max(norths)


def _crossing(scene: Scene) -> Iterator[Relation]:
    for concept, objects in scene.objects.items():
        lines = [o for o in objects if o.form == "line" and not o.rule.counted]
        if not lines or lines[0].rule.water:
            continue
        for other, crossed in scene.objects.items():
            targets = [o for o in crossed if o.rule.water or (o.form == "line" and not o.rule.counted)]
            if other == concept or not targets or (not targets[0].rule.water and concept > other):
                continue
            pairs = _crossing_pairs(lines, targets)
            if pairs:
                ids = tuple(dict.fromkeys(a.osm_id for a, _ in pairs))
                other_ids = tuple(dict.fromkeys(b.osm_id for _, b in pairs))
                yield Relation("crossing", concept, ids, other, other_ids, float(len(pairs)), "count")


def _crossing_pairs(lines: Sequence[MapObject], targets: Sequence[MapObject]) -> list[tuple[MapObject, MapObject]]:
    tree = shapely.STRtree([o.plane for o in targets])
    pairs = []
    for line in lines:
        for index in sorted(int(i) for i in tree.query(line.plane, predicate="crosses")):
            pairs.append((line, targets[index]))
    return pairs


def are_related(first: MapObject, second: MapObject) -> bool:
    """Whether one concept is a kind of the other, or both are of a third, so that they may be the same thing."""
    names = {first.concept, second.concept}
    parents = {first.rule.is_a, second.rule.is_a} - {None}
    both_water = first.rule.water and second.rule.water
    return bool(names & parents) or both_water or (first.rule.is_a == second.rule.is_a and first.rule.is_a is not None)


def _overlap(first: MapObject, second: MapObject) -> bool:
    if first.form == "line" or second.form == "line":
        return bool(first.plane.intersects(second.plane))
    return bool(first.plane.intersection(second.plane).area > 0.01 * min(first.plane.area, second.plane.area))
