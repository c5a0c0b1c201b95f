"""What of the map is visible in one tile: features clipped to its footprint and measured in metres."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from voxtile_remote_sensing.osm.features import Feature
from voxtile_remote_sensing.osm.tag_table import Rule, TagTable
from voxtile_remote_sensing.osm.tile_geometry import TileFrame, carry

_LANE_M = 3.5  # usual width of a traffic lane
_NUMBER = re.compile(r"\d+(\.\d+)?")
_WHOLE = 0.999  # share of its area or length inside the tile from which on an object counts as whole


@dataclass(frozen=True)
class MapObject:
    """A visible object.

    Attributes:
        rule: what it is.
        osm_id: `way/1`, …; parts with the same id are one object.
        date: of its last edit, or None.
        form: area, line or point.
        clipped: the part inside the tile, in the tile's CRS.
        plane: the same in the plane of metres.
        area_m2, length_m: of the part inside; 0 where it has none.
        is_whole: whether all of it lies in the tile.
    """

    rule: Rule
    osm_id: str
    date: str | None
    form: str
    clipped: BaseGeometry
    plane: BaseGeometry
    area_m2: float
    length_m: float
    is_whole: bool

    @property
    def concept(self) -> str:
        """Its name in the facts table."""
        return self.rule.concept

    @property
    def size(self) -> float:
        """Area in m², or length in m for a line."""
        return self.area_m2 or self.length_m


@dataclass(frozen=True)
class Scene:
    """A tile and what is visible in it.

    Attributes:
        frame: the tile.
        objects: concept → its objects, the largest first; concepts in the table's order.
        looked_for: concepts that can be seen at the tile's resolution, but for those whose only features here are too
            small, or mapped in a form without size: of these it is unknown whether they can be seen.
    """

    frame: TileFrame
    objects: Mapping[str, tuple[MapObject, ...]]
    looked_for: tuple[str, ...]

    def cover(self, concept: str) -> float:
        """Area of the union of a concept's areas, in m²."""
        areas = [o.plane for o in self.objects.get(concept, ()) if o.form == "area"]
        return float(shapely.union_all(areas).area) if areas else 0.0


def measure_scene(frame: TileFrame, features: Iterable[Feature], crs: str, table: TagTable) -> Scene:
    """Clip features to a tile and keep what is visible.

    Args:
        frame: the tile.
        features: those whose bounds meet the footprint.
        crs: of the features.
        table: what is visible, and from which size on.
    """
    visible = table.visible_at(frame.gsd_m)
    here: set[str] = set()
    pieces: dict[tuple[str, str, str], list[tuple[Feature, Rule, BaseGeometry]]] = defaultdict(list)
    for feature in features:
        rules = [rule for rule in table.match(feature.tags) if frame.gsd_m <= rule.max_gsd_m]
        geometry = carry(feature.geometry, crs, frame.crs) if rules else None
        if geometry is None or not np.isfinite(geometry.bounds).all() or not geometry.intersects(frame.footprint):
            continue
        here.update(rule.concept for rule in rules)
        for rule in rules:
            if feature.form not in rule.forms:
                continue
            pieces[rule.concept, feature.osm_id, feature.form].append((feature, rule, geometry))
    objects: dict[str, list[MapObject]] = defaultdict(list)
    for group in pieces.values():
        found = _object(frame, group, table.min_width_px)
        if found is not None:
            objects[found.concept].append(found)
    chosen = {concept: _distinct(objects[concept]) for concept in visible if _is_seen(frame, objects.get(concept, ()))}
    return Scene(frame, chosen, tuple(c for c in visible if c in chosen or c not in here))


def _is_seen(frame: TileFrame, objects: Sequence[MapObject]) -> bool:
    """Whether there is anything; lines that are not counted are cut into many ways, so that their sum decides."""
    if not objects or objects[0].rule.counted or any(o.form != "line" for o in objects):
        return bool(objects)
    return sum(o.length_m for o in objects) >= 4 * objects[0].rule.min_side_px * frame.gsd_m


def _object(
    frame: TileFrame, group: Sequence[tuple[Feature, Rule, BaseGeometry]], min_width_px: float
) -> MapObject | None:
    feature, rule, geometry = group[0]
    form = feature.form
    if len(group) > 1:
        geometry = shapely.union_all([piece for _, _, piece in group])
    if form == "point":
        return _point_object(frame, feature, rule, geometry)
    clipped = _of_form(shapely.intersection(geometry, frame.footprint), form)
    if clipped is None:
        return None
    plane = frame.to_plane(clipped)
    area = float(plane.area) if form == "area" else 0.0
    length = float(plane.length) if form == "line" else 0.0
    side = rule.min_side_px * frame.gsd_m
    if form == "area" and area < side * side:
        return None
    if form == "line" and (
        (rule.counted and length < 4 * side) or line_width(feature.tags, rule) < min_width_px * frame.gsd_m
    ):
        return None
    size = geometry.area if form == "area" else geometry.length
    inside = clipped.area if form == "area" else clipped.length
    return MapObject(
        rule, feature.osm_id, feature.date, form, clipped, plane, area, length, bool(inside >= _WHOLE * size)
    )


def _point_object(frame: TileFrame, feature: Feature, rule: Rule, geometry: BaseGeometry) -> MapObject | None:
    """A point stands for a square of its rule's size; it is in the tile when the point is."""
    if rule.size_m < rule.min_side_px * frame.gsd_m or not isinstance(geometry, Point):
        return None
    centre = frame.to_plane(geometry)
    half = rule.size_m / 2
    square = shapely.box(centre.x - half, centre.y - half, centre.x + half, centre.y + half)
    clipped = _of_form(shapely.intersection(carry(square, frame.plane, frame.crs), frame.footprint), "area")
    if clipped is None:
        return None
    return MapObject(rule, feature.osm_id, feature.date, "point", clipped, frame.to_plane(clipped), 0.0, 0.0, False)


def line_width(tags: Mapping[str, str], rule: Rule) -> float:
    """Width of a line in metres: its `width`, its `lanes` at 3.5 m, or what is usual for its kind."""
    width = _NUMBER.match(tags.get("width", ""))
    if width:
        return float(width.group())
    lanes = _NUMBER.match(tags.get("lanes", ""))
    return max(float(lanes.group()) * _LANE_M, rule.width_m) if lanes else rule.width_m


def _of_form(geometry: BaseGeometry, form: str) -> BaseGeometry | None:
    """The parts of a clipped geometry that have the form; None when there are none."""
    kinds = {"Polygon", "MultiPolygon"} if form == "area" else {"LineString", "MultiLineString"}
    if geometry.geom_type not in kinds:
        parts = [part for part in getattr(geometry, "geoms", ()) if part.geom_type in kinds]
        if not parts:
            return None
        geometry = shapely.union_all(parts)
    return None if geometry.is_empty else geometry


def _distinct(objects: Sequence[MapObject]) -> tuple[MapObject, ...]:
    """Without objects that are mapped twice: the same outline, a line round an area, a point inside an area."""
    areas = [o for o in objects if o.form == "area"]
    kept: dict[bytes, MapObject] = {}
    for found in sorted(objects, key=lambda o: (o.form != "area", o.osm_id)):
        if found.form == "point" and any(a.clipped.intersects(found.clipped.centroid) for a in areas):
            continue
        if found.form == "line" and any(_bounds_area(found, a) for a in areas):
            continue
        kept.setdefault(shapely.to_wkb(shapely.normalize(found.clipped)), found)
    return tuple(sorted(kept.values(), key=lambda o: (-o.size, o.osm_id)))


def _bounds_area(line: MapObject, area: MapObject) -> bool:
    """Whether a line is the outline of an area, or lies in it as a river's centre line does in its banks."""
    if isinstance(area.clipped, Polygon) and line.osm_id == area.osm_id:
        return True
    return line.rule.water and area.clipped.covers(line.clipped)
