"""OpenStreetMap's own files (.osm.pbf, .osm, .osm.bz2, .o5m) through pyosmium, which puts multipolygons together."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import LineString, MultiLineString, Point
from shapely.geometry.base import BaseGeometry

from voxtile.errors import InputError, required
from voxtile_remote_sensing.osm.features import Feature, FeatureFile, Keep

_UNSET_BEFORE = datetime(2004, 1, 1, tzinfo=UTC)  # OpenStreetMap began in August 2004; 1970 stands for "not stated"
IN_MEMORY_BYTES = 1 << 28  # of a compressed file; it holds about 30 million nodes, half a gigabyte of places
_POLYGON_RELATIONS = frozenset({"multipolygon", "boundary"})


def read_pbf(path: Path, keys: Collection[str], keep: Keep | None = None) -> FeatureFile:
    """Read the features that have any of some keys.

    A closed way gives both an area and a line; the tag table decides which of them is meant. A multipolygon that does
    not close, crosses itself or lacks members is counted as `broken-multipolygon` and left out, and a way whose nodes
    are not in the file as `incomplete-way`.

    Args:
        path: the file.
        keys: keys of the tag table.
        keep: what is held of a feature; the rest of an extract goes by without taking memory.

    Raises:
        InputError: the file is damaged.
        MissingExtraError: pyosmium is not installed.
    """
    with required("osmium", "remote-sensing"):
        import osmium
    wanted = osmium.filter.KeyFilter(*sorted(keys))
    try:
        header = osmium.io.Reader(str(path)).header()
        box = header.box()
        coverage = None
        if box.valid():
            low, high = box.bottom_left, box.top_right
            coverage = shapely.box(low.lon, low.lat, high.lon, high.lat)
        found = FeatureFile(crs="EPSG:4326", coverage=coverage, is_whole_map=True)
        found.snapshot = header.get("osmosis_replication_timestamp") or None
        with _locations(path) as storage:
            objects = osmium.FileProcessor(str(path)).with_locations(storage).with_areas(wanted).with_filter(wanted)
            _collect(objects, found, osmium, keep)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as OpenStreetMap data ({error}); download it again") from error
    return found


@contextmanager
def _locations(path: Path) -> Iterator[str]:
    """Where the places of nodes are kept, 16 bytes each: in memory, and on disk for large files."""
    if path.stat().st_size < IN_MEMORY_BYTES:
        yield "flex_mem"
        return
    with tempfile.TemporaryDirectory(prefix="voxtile-osm-nodes-") as folder:
        yield f"sparse_file_array,{folder}/nodes"


def _collect(objects: Any, found: FeatureFile, osmium: Any, keep: Keep | None) -> None:  # noqa: ANN401
    factory = osmium.geom.WKBFactory()
    polygons: set[int] = set()
    made: set[int] = set()
    for item in objects:
        if item.is_relation():
            if item.tags.get("type") in _POLYGON_RELATIONS:
                polygons.add(item.id)
        elif item.is_way():
            line = _line(item)
            if line is None:
                found.skipped["incomplete-way"] += 1
                continue
            found.skipped["cut-way"] += line.geom_type == "MultiLineString"
            found.take(Feature(f"way/{item.id}", dict(item.tags), line, _date(item)), keep)
        elif item.is_node():
            point = Point(item.location.lon, item.location.lat)
            found.take(Feature(f"node/{item.id}", dict(item.tags), point, _date(item)), keep)
        else:
            if not item.from_way():
                made.add(item.orig_id())
            area = _area(item, factory, osmium)
            if area is None:
                found.skipped["broken-multipolygon"] += 1
                continue
            name = f"{'way' if item.from_way() else 'relation'}/{item.orig_id()}"
            found.take(Feature(name, dict(item.tags), area, _date(item)), keep)
    found.skipped["broken-multipolygon"] += len(polygons - made)


def _area(item: Any, factory: Any, osmium: Any) -> BaseGeometry | None:  # noqa: ANN401
    """A multipolygon, as a polygon where it has one part; None where it is invalid."""
    try:
        geometry = shapely.from_wkb(bytes.fromhex(factory.create_multipolygon(item)))
    except (osmium.InvalidLocationError, RuntimeError):
        return None
    if geometry.is_empty or not geometry.is_valid:
        return None
    return geometry.geoms[0] if len(geometry.geoms) == 1 else geometry


def _line(way: Any) -> LineString | MultiLineString | None:  # noqa: ANN401
    """A way as a line; where nodes are missing, the runs of nodes that are there."""
    runs: list[list[tuple[float, float]]] = [[]]
    for node in way.nodes:
        if node.location.valid():
            runs[-1].append((node.location.lon, node.location.lat))
        elif runs[-1]:
            runs.append([])
    whole = len(runs) == 1 and len(runs[0]) == len(way.nodes)
    lines = [run for run in runs if len(set(run)) > 1]
    if not lines:
        return None
    return LineString(lines[0]) if whole else MultiLineString(lines)


def _date(item: Any) -> str | None:  # noqa: ANN401
    date = item.timestamp
    return date.isoformat() if date is not None and date >= _UNSET_BEFORE else None
