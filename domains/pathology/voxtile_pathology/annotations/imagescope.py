"""Aperio ImageScope's XML: layers (`Annotation`) of regions; negative regions are holes in the positive ones.

The class of a region is its layer's name, or the layer's `Description` attribute, or the region's own text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.repair import MAX_COORDINATE, polygonal, ring, valid_polygon

ROOT = "Annotations"
_RECTANGLE, _ELLIPSE, _ARROW, _RULER = "1", "2", "3", "4"  # Region/@Type; 0 and others are drawn outlines
_ELLIPSE_SIDES = 128


@dataclass(frozen=True)
class _Region:
    """A region of a layer before holes are cut."""

    id: str
    parent: str
    is_hole: bool
    annotation: Annotation


def parse_imagescope(root: Element, notes: list[str]) -> Iterator[Annotation]:
    """Annotations of an ImageScope document; a region that cannot be used becomes a note."""
    for number, layer in enumerate(root.iter("Annotation"), start=1):
        label = layer.get("Name") or _description(layer)
        regions = []
        for element in layer.iter("Region"):
            what = f"region {element.get('Id', '?')} of layer {number}"
            try:
                regions.append(_region(element, label, what, notes))
            except AnnotationError as error:
                notes.append(f"{error}; it is left out")
        yield from _with_holes(regions, f"layer {number}", notes)


def _description(layer: Element) -> str:
    named = (a for a in layer.findall("./Attributes/Attribute") if a.get("Name") == "Description")
    return next((a.get("Value") or "" for a in named), "")


def _region(element: Element, label: str, what: str, notes: list[str]) -> _Region:
    geometry = _geometry(element, what, notes)
    text = element.get("Text") or ""
    attributes = {"id": element.get("Id", ""), "text": text}
    annotation = Annotation(label or text, geometry, {k: v for k, v in attributes.items() if v})
    is_hole = element.get("NegativeROA", "0") == "1" and annotation.has_area
    return _Region(element.get("Id", ""), element.get("InputRegionId", "0"), is_hole, annotation)


def _geometry(element: Element, what: str, notes: list[str]) -> BaseGeometry:
    try:
        points = np.array([(float(v.get("X", "")), float(v.get("Y", ""))) for v in element.iter("Vertex")])
    except ValueError:
        raise AnnotationError(f"{what} has a coordinate that is not a number") from None
    if not points.size:
        raise AnnotationError(f"{what} has no vertices")
    if not np.isfinite(points).all() or np.abs(points).max() > MAX_COORDINATE:
        raise AnnotationError(f"{what} has a coordinate that no slide can have")
    kind = element.get("Type", "0")
    if kind in (_ARROW, _RULER) or len(points) == 1:
        return Point(points[0]) if len(points) == 1 else LineString(points)
    if kind in (_RECTANGLE, _ELLIPSE):
        return _framed(points, what, is_ellipse=kind == _ELLIPSE)
    polygon, note = valid_polygon(ring(points, what), [], what)
    notes += [note] if note else []
    return polygon


def _framed(points: np.ndarray, what: str, *, is_ellipse: bool) -> Polygon:
    """A rectangle or ellipse from the corners of its frame: two of them, or four."""
    if not is_ellipse and len(points) >= 4:
        polygon, _ = valid_polygon(ring(points, what), [], what)
        return polygon
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    if x0 == x1 or y0 == y1:
        raise AnnotationError(f"{what} encloses no area")
    if not is_ellipse:
        return Polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_SIDES, endpoint=False)
    outline = np.stack([np.cos(angle) * (x1 - x0) + x0 + x1, np.sin(angle) * (y1 - y0) + y0 + y1], axis=1) / 2
    return Polygon(outline)


def _with_holes(regions: list[_Region], where: str, notes: list[str]) -> Iterator[Annotation]:
    holes = [region for region in regions if region.is_hole]
    solid = [region for region in regions if not region.is_hole]
    for hole in holes:
        targets = [r for r in solid if r.annotation.has_area and hole.parent in ("0", "", r.id)]
        if not any(r.annotation.polygon.intersects(hole.annotation.polygon) for r in targets):
            notes.append(f"negative region {hole.id} of {where} lies in no positive one; it is left out")
    for region in solid:
        if not region.annotation.has_area or not holes:
            yield region.annotation
            continue
        cut = shapely.union_all([h.annotation.polygon for h in holes if h.parent in ("0", "", region.id)])
        left = polygonal(region.annotation.polygon.difference(cut))
        if left is None:
            notes.append(f"region {region.id} of {where} is covered by negative ones; it is left out")
        else:
            yield replace(region.annotation, polygon=left)
