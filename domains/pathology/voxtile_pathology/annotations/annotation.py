"""One annotation of a slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from shapely.geometry.base import BaseGeometry

from voxtile.errors import InputError

Kind: TypeAlias = Literal["polygon", "box", "line", "point"]
_KINDS: Mapping[str, Kind] = {
    "Polygon": "polygon", "MultiPolygon": "polygon", "Point": "point", "MultiPoint": "point",
    "LineString": "line", "MultiLineString": "line",
}  # fmt: skip


class AnnotationError(InputError):
    """An annotation file cannot be read."""


@dataclass(frozen=True)
class Annotation:
    """What somebody drew on a slide.

    Attributes:
        label: its class, e.g. "Tumor"; its name where it has no class; empty where it has neither.
        polygon: the shape in level-0 pixels, (x, y) from the slide's top left corner, y downwards; always valid, with
            rings that do not cross.
        attributes: JSON-able rest of what the file says of it (id, colour, measurements, …).
    """

    label: str
    polygon: BaseGeometry
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What it is: `box` is a rectangle with sides along the axes."""
        kind = _KINDS[self.polygon.geom_type]
        return "box" if kind == "polygon" and _is_box(self.polygon) else kind

    @property
    def has_area(self) -> bool:
        """Whether it covers pixels: polygons and boxes do, lines and points do not."""
        return self.kind in ("polygon", "box")


def _is_box(geometry: BaseGeometry) -> bool:
    if geometry.geom_type != "Polygon" or geometry.interiors or len(geometry.exterior.coords) != 5:
        return False
    x0, y0, x1, y1 = geometry.bounds
    return {tuple(point[:2]) for point in geometry.exterior.coords} == {(x0, y0), (x1, y0), (x1, y1), (x0, y1)}
