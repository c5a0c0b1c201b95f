"""A map file of any format, reduced to what the tag table asks for and kept where workers can read it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from voxtile.errors import InputError
from voxtile_remote_sensing.osm.features import Feature, FeatureFile
from voxtile_remote_sensing.osm.read_pbf import read_pbf
from voxtile_remote_sensing.osm.read_vector import read_geojson, read_geopackage
from voxtile_remote_sensing.osm.tag_table import TagTable

_OSM_SUFFIXES = (".osm.pbf", ".pbf", ".osm", ".osm.bz2", ".osm.gz", ".o5m")
_GEOJSON_SUFFIXES = (".geojson", ".json", ".geojsonl")
_GDAL_SUFFIXES = (".gpkg", ".fgb", ".shp")


class Near:
    """Keeps the features that any rule matches and whose bounds meet one of some places.

    Args:
        table: of the rules.
        assumed: tags of features that do not have their keys.
        places: in longitude and latitude.

    Attributes:
        matched: any rule matches any feature of the file, wherever it is.
    """

    def __init__(self, table: TagTable, assumed: Mapping[str, str], places: Sequence[BaseGeometry]) -> None:
        self._table, self._assumed = table, assumed
        self._bounds = shapely.total_bounds(list(places)) if places else (0.0, 0.0, -1.0, -1.0)
        self._tree = shapely.STRtree(list(places))
        self.matched = False

    def __call__(self, feature: Feature) -> Feature | None:
        """The feature, or None where it is of no use."""
        here = self._is_here(feature.geometry)
        if not here and self.matched:
            return None  # tags of a country are not matched in vain
        matches = bool(self._table.match({**self._assumed, **feature.tags}))
        self.matched = self.matched or matches
        return feature if here and matches else None

    def _is_here(self, geometry: BaseGeometry) -> bool:
        west, south, east, north = geometry.bounds
        low_x, low_y, high_x, high_y = self._bounds
        if west > high_x or east < low_x or south > high_y or north < low_y:
            return False
        return bool(len(self._tree.query(geometry)))


def read_map(path: Path, table: TagTable, vector_crs: str | None = None, near: Near | None = None) -> FeatureFile:
    """Read a map file by its suffix.

    Args:
        path: `.osm.pbf` (or `.osm`, `.osm.bz2`), `.geojson` or `.gpkg`.
        table: decides which features are kept.
        vector_crs: CRS of a file that does not state it.
        near: of OpenStreetMap's own files, which may hold a country: keep what lies at one of these places alone.

    Raises:
        InputError: the file is missing, of another kind, damaged, or its CRS is unknown.
    """
    if not path.is_file():
        raise InputError(f"the map file '{path}' does not exist; give an .osm.pbf, .geojson or .gpkg file")
    name = path.name.lower()
    if name.endswith(_OSM_SUFFIXES):
        return read_pbf(path, table.keys, near)
    if name.endswith(_GEOJSON_SUFFIXES):
        return read_geojson(path, vector_crs)
    if name.endswith(_GDAL_SUFFIXES):
        return read_geopackage(path, vector_crs)
    raise InputError(f"'{path}' is no map file that is read here; give an .osm.pbf, .geojson or .gpkg file")


def matching(found: FeatureFile, table: TagTable, assumed: dict[str, str]) -> Iterator[Feature]:
    """The features that any rule matches; `assumed` are tags of all features that do not have their keys."""
    for feature in found.features:
        tags = {**assumed, **feature.tags}
        if table.match(tags):
            yield Feature(feature.osm_id, tags, feature.geometry, feature.date)


def write_features(path: Path, features: Sequence[Feature]) -> None:
    """Write features to a Parquet file for the workers."""
    columns = {
        "osm_id": [f.osm_id for f in features],
        "date": [f.date for f in features],
        "tags": [json.dumps(dict(f.tags), sort_keys=True) for f in features],
        "wkb": [shapely.to_wkb(f.geometry) for f in features],
    }
    schema = pa.schema([("osm_id", pa.string()), ("date", pa.string()), ("tags", pa.string()), ("wkb", pa.binary())])
    pq.write_table(pa.table(columns, schema=schema), path)


@dataclass(frozen=True)
class FeatureIndex:
    """Features that can be asked for by place."""

    features: tuple[Feature, ...]
    tree: shapely.STRtree

    def near(self, footprint: BaseGeometry) -> list[Feature]:
        """Features whose bounds meet those of a footprint (in the features' CRS), in file order."""
        return [self.features[i] for i in sorted(int(i) for i in self.tree.query(footprint))]


@lru_cache(maxsize=2)
def load_index(path: str) -> FeatureIndex:
    """Read what `write_features` wrote; once a worker."""
    rows = pq.read_table(path).to_pylist()
    features = tuple(
        Feature(row["osm_id"], json.loads(row["tags"]), geometry, row["date"])
        for row, geometry in zip(rows, shapely.from_wkb(np.array([r["wkb"] for r in rows], dtype=object)), strict=True)
    )
    return FeatureIndex(features, shapely.STRtree([f.geometry for f in features]))


def concepts_of(features: Sequence[Feature], table: TagTable) -> Counter[str]:
    """Number of features a concept."""
    return Counter(rule.concept for f in features for rule in table.match(f.tags) if f.form in rule.forms)
