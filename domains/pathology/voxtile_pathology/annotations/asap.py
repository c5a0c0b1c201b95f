"""ASAP's XML (https://computationalpathologygroup.github.io/ASAP/), which Camelyon16 and Camelyon17 use.

The class of an annotation is its group (`PartOfGroup`). A spline is read as the polygon through its points.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
from shapely.geometry import LineString, MultiPoint, Point
from shapely.geometry.base import BaseGeometry

from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.repair import MAX_COORDINATE, ring, valid_polygon

ROOT = "ASAP_Annotations"
_AREAS = ("polygon", "rectangle", "spline")


def parse_asap(root: Element, notes: list[str]) -> Iterator[Annotation]:
    """Annotations of an ASAP document; one that cannot be used becomes a note."""
    for number, element in enumerate(root.iter("Annotation"), start=1):
        what = f"annotation {number} ('{element.get('Name', '')}')"
        try:
            yield _annotation(element, what, notes)
        except AnnotationError as error:
            notes.append(f"{error}; it is left out")


def _annotation(element: Element, what: str, notes: list[str]) -> Annotation:
    group = element.get("PartOfGroup") or "None"
    name = element.get("Name") or ""
    attributes = {"name": name, "asap_type": element.get("Type", ""), "color": element.get("Color", "")}
    label = name if group == "None" else group
    return Annotation(label, _geometry(element, what, notes), {k: v for k, v in attributes.items() if v})


def _geometry(element: Element, what: str, notes: list[str]) -> BaseGeometry:
    points = _points(element, what)
    kind = (element.get("Type") or "").lower()
    if kind in _AREAS:
        polygon, note = valid_polygon(ring(points, what), [], what)
        notes += [note] if note else []
        return polygon
    if kind == "dot":
        return Point(points[0])
    if kind == "pointset":
        return MultiPoint(points)
    if kind == "measurement" and len(points) > 1:
        return LineString(points)
    raise AnnotationError(f"{what} has the type '{element.get('Type')}', which is not read")


def _points(element: Element, what: str) -> npt.NDArray[np.float64]:
    try:
        rows = [
            (int(point.get("Order", index)), _number(point.get("X")), _number(point.get("Y")))
            for index, point in enumerate(element.iter("Coordinate"))
        ]
    except (TypeError, ValueError):
        raise AnnotationError(f"{what} has a coordinate that is not a number") from None
    points = np.array([row[1:] for row in sorted(rows, key=lambda row: row[0])], dtype=np.float64)
    if not points.size:
        raise AnnotationError(f"{what} has no coordinates")
    if not np.isfinite(points).all() or np.abs(points).max() > MAX_COORDINATE:
        raise AnnotationError(f"{what} has a coordinate that no slide can have")
    return points


def _number(text: str | None) -> float:
    """A coordinate; some versions write a decimal comma."""
    return float((text or "").replace(",", "."))
