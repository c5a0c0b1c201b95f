"""GeoParquet 1.1 metadata for table parts that hold geometry.

Source: https://geoparquet.org/releases/v1.1.0/ (file and column metadata). Geometry is WKB in longitude and latitude on
WGS 84; the column states no `crs`, which the specification defines as OGC:CRS84 (x = longitude).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

GEO_KEY = b"geo"
BBOX_COLUMN = "bbox"
Ring = list[tuple[float, float]]
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_TYPES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}  # OGC 06-103r4, table 7


@dataclass
class GeometryColumn:
    """What the metadata of a column says; grows as geometries are added.

    Attributes:
        types: names of the geometry types seen.
        box: xmin, ymin, xmax, ymax of all; infinite where there was none.
    """

    types: set[str] = field(default_factory=set)
    box: list[float] = field(default_factory=lambda: [math.inf, math.inf, -math.inf, -math.inf])

    def add(self, wkb: bytes) -> tuple[float, float, float, float] | None:
        """Count a geometry; its own box, or None where it is empty.

        Raises:
            ValueError: the value is not two-dimensional WKB.
        """
        kind, rings = _scan(wkb)
        self.types.add(kind)
        points = [(x, y) for ring in rings for x, y in ring if math.isfinite(x) and math.isfinite(y)]
        if not points:  # an empty point is NaN
            return None
        xs, ys = zip(*points, strict=True)
        low_x, low_y, high_x, high_y = min(xs), min(ys), max(xs), max(ys)
        box = self.box
        box[:] = min(box[0], low_x), min(box[1], low_y), max(box[2], high_x), max(box[3], high_y)
        return low_x, low_y, high_x, high_y

    def metadata(self, *, has_boxes: bool = False) -> bytes:
        """The value of the `geo` key.

        Args:
            has_boxes: a struct column `bbox` gives the box of each row.
        """
        description: dict[str, object] = {"encoding": "WKB", "geometry_types": sorted(self.types)}
        if self.box[0] <= self.box[2]:
            description["bbox"] = self.box
        if has_boxes:
            description["covering"] = {"bbox": {side: [BBOX_COLUMN, side] for side in _SIDES}}
        columns = {"geometry": description}
        return json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": columns}).encode()


def geo_metadata(geometries: Iterable[bytes]) -> bytes:
    """Build the value of the `geo` key for a part.

    Args:
        geometries: the non-null WKB values of its column `geometry`.

    Raises:
        ValueError: a value is not two-dimensional WKB.
    """
    found = GeometryColumn()
    for wkb in geometries:
        found.add(wkb)
    return found.metadata()


def outlines(wkb: bytes) -> list[Ring]:
    """All rings, lines and points of a geometry as lists of (x, y).

    Raises:
        ValueError: the value is not two-dimensional WKB.
    """
    return _scan(wkb)[1]


def latitude_of(wkb: bytes) -> float | None:
    """Latitude halfway between the northernmost and southernmost points of a footprint, degrees; None of an empty one.

    Raises:
        ValueError: the value is not two-dimensional WKB.
    """
    latitudes = [y for ring in outlines(wkb) for _, y in ring]
    return (min(latitudes) + max(latitudes)) / 2 if latitudes else None


def _scan(wkb: bytes) -> tuple[str, list[Ring]]:
    rings: list[Ring] = []
    kind, end = _walk(wkb, 0, rings)
    if end != len(wkb):
        raise ValueError("a WKB geometry has bytes after its end")
    return kind, rings


def _walk(wkb: bytes, start: int, rings: list[Ring]) -> tuple[str, int]:
    """Collect the rings of the geometry at `start`; its type and where it ends."""
    try:
        order = {0: ">", 1: "<"}[wkb[start]]
        (code,) = struct.unpack_from(f"{order}I", wkb, start + 1)
        kind = _TYPES[code]
        position = start + 5
        if kind == "Point":
            return kind, _points(wkb, position, 1, order, rings)
        (count,) = struct.unpack_from(f"{order}I", wkb, position)
        position += 4
        if kind == "LineString":
            return kind, _points(wkb, position, count, order, rings)
        for _ in range(count):
            if kind == "Polygon":
                (size,) = struct.unpack_from(f"{order}I", wkb, position)
                position = _points(wkb, position + 4, size, order, rings)
            else:
                _, position = _walk(wkb, position, rings)
    except (KeyError, IndexError, struct.error) as error:
        raise ValueError(f"a geometry of {len(wkb)} bytes is not two-dimensional WKB") from error
    return kind, position


def _points(wkb: bytes, start: int, count: int, order: str, rings: list[Ring]) -> int:
    if count > (len(wkb) - start) // 16:
        raise ValueError(f"a WKB geometry claims {count} points in {len(wkb) - start} bytes")
    numbers = struct.unpack_from(f"{order}{2 * count}d", wkb, start)
    rings.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return start + 16 * count
