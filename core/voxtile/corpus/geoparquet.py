"""GeoParquet 1.1 metadata for table parts that hold geometry.

Source: https://geoparquet.org/releases/v1.1.0/ (file and column metadata). Geometry is WKB in longitude and latitude on
WGS 84; the column states no `crs`, which the specification defines as OGC:CRS84 (x = longitude).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable

GEO_KEY = b"geo"
_TYPES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}  # OGC 06-103r4, table 7


def geo_metadata(geometries: Iterable[bytes], column: str = "geometry") -> bytes:
    """Build the value of the `geo` key for a part.

    Args:
        geometries: the non-null WKB values of the column.
        column: its name.

    Raises:
        ValueError: a value is not two-dimensional WKB.
    """
    types: set[str] = set()
    box = [math.inf, math.inf, -math.inf, -math.inf]
    for wkb in geometries:
        kind, end = _scan(wkb, 0, box)
        if end != len(wkb):
            raise ValueError("a WKB geometry has bytes after its end")
        types.add(kind)
    description: dict[str, object] = {"encoding": "WKB", "geometry_types": sorted(types)}
    if box[0] <= box[2]:
        description["bbox"] = box
    return json.dumps({"version": "1.1.0", "primary_column": column, "columns": {column: description}}).encode()


def _scan(wkb: bytes, start: int, box: list[float]) -> tuple[str, int]:
    """Widen `box` by the geometry at `start`; return its type and where it ends."""
    try:
        order = {0: ">", 1: "<"}[wkb[start]]
        (code,) = struct.unpack_from(f"{order}I", wkb, start + 1)
        kind = _TYPES[code]
        position = start + 5
        if kind == "Point":
            return kind, _points(wkb, position, 1, order, box)
        (count,) = struct.unpack_from(f"{order}I", wkb, position)
        position += 4
        if kind == "LineString":
            return kind, _points(wkb, position, count, order, box)
        for _ in range(count):
            if kind == "Polygon":
                (size,) = struct.unpack_from(f"{order}I", wkb, position)
                position = _points(wkb, position + 4, size, order, box)
            else:
                _, position = _scan(wkb, position, box)
    except (KeyError, IndexError, struct.error) as error:
        raise ValueError(f"a geometry of {len(wkb)} bytes is not two-dimensional WKB") from error
    return kind, position


def _points(wkb: bytes, start: int, count: int, order: str, box: list[float]) -> int:
    if count > (len(wkb) - start) // 16:
        raise ValueError(f"a WKB geometry claims {count} points in {len(wkb) - start} bytes")
    numbers = struct.unpack_from(f"{order}{2 * count}d", wkb, start)
    xs, ys = numbers[::2], numbers[1::2]
    finite = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]  # NaN: empty point
    for x, y in finite:
        box[:] = min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y)
    return start + 16 * count
