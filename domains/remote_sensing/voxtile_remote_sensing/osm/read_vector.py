"""GeoJSON and GeoPackage exports of OpenStreetMap: tags as columns, as `other_tags` or as a `tags` text.

Known spellings of ids and dates are those of osmium export, Overpass, osmnx, and GDAL's OSM driver.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from voxtile.bounded_text import load_json
from voxtile.errors import ConfigError, InputError, required
from voxtile.stages.ingest.table import as_text
from voxtile_remote_sensing.osm.features import Feature, FeatureFile
from voxtile_remote_sensing.vector_files import check_vector_file

_ID_KEYS = ("@id", "osm_id", "osm_way_id", "osmid", "osm_ID", "id")
_DATE_KEYS = ("@timestamp", "osm_timestamp", "timestamp", "osm_date")
_TYPE_KEYS = ("@type", "osm_type", "element", "element_type", "type")
_TAG_TEXTS = ("other_tags", "tags")
_HSTORE = re.compile(r'(?<![^,\s])"((?:[^"\\]|\\.)*+)"=>"((?:[^"\\]|\\.)*+)"')
_KINDS = {"n": "node", "w": "way", "r": "relation", "node": "node", "way": "way", "relation": "relation"}
# Shapefile-born columns are cut to ten characters (the names of osm2pgsql's default style).
_CUT_KEYS = {"admin_leve": "admin_level", "constructi": "construction", "denominati": "denomination"} | {
    "embankment": "embankment", "generator_": "generator:source", "intermitte": "intermittent",
    "power_sour": "power_source", "public_tra": "public_transport",
}  # fmt: skip


def read_geojson(path: Path, vector_crs: str | None) -> FeatureFile:
    """Read a GeoJSON FeatureCollection.

    The CRS is the one that the file names (`crs`, GeoJSON 2008), or else longitude and latitude (RFC 7946), which the
    coordinates must then be.

    Raises:
        InputError: not GeoJSON, or coordinates that are no degrees while no CRS is stated or given.
        ConfigError: `vector_crs` contradicts the file.
    """
    try:
        content = load_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not readable GeoJSON ({error}); export it again") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise InputError(f"'{path}' is no GeoJSON FeatureCollection; export it as one")
    stated = content.get("crs")
    named = _mapping(_mapping(stated).get("properties")).get("name")
    found = FeatureFile(crs="")
    for index, item in enumerate(features):
        if not isinstance(item, dict):
            found.skipped["no-geometry"] += 1
            continue
        try:
            geometry = shape(item["geometry"]) if item.get("geometry") else None
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.errors.ShapelyError):
            geometry = None
        properties = dict(_mapping(item.get("properties")))
        if "id" in item and not any(key in properties for key in _ID_KEYS):
            properties["id"] = item["id"]
        _add(found, index, properties, geometry)
    found.crs = _decide_crs(path, str(named) if named else None, vector_crs, found.features)
    box = content.get("bbox")
    if isinstance(box, list) and len(box) in (4, 6) and all(isinstance(value, int | float) for value in box):
        found.coverage = shapely.box(box[0], box[1], box[len(box) // 2], box[len(box) // 2 + 1])
    return found


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, dict) else {}


def read_geopackage(path: Path, vector_crs: str | None) -> FeatureFile:
    """Read all layers of a GeoPackage, Shapefile or FlatGeobuf.

    Raises:
        InputError: it cannot be read, states no CRS, or its layers differ in CRS.
        ConfigError: `vector_crs` contradicts the file.
        MissingExtraError: geopandas is not installed.
    """
    with required("geopandas", "remote-sensing"):
        import geopandas
        import pyogrio
    check_vector_file(path)
    found = FeatureFile(crs="")
    named: set[str] = set()
    try:
        for layer, kind in pyogrio.list_layers(path):
            if kind is None:
                continue
            frame = geopandas.read_file(path, layer=layer)
            named.add(frame.crs.to_wkt() if frame.crs is not None else "")
            columns = [c for c in frame.columns if c != frame.geometry.name]
            for geometry, values in zip(frame.geometry, frame[columns].itertuples(index=False, name=None), strict=True):
                _add(found, len(found.features), dict(zip(columns, values, strict=True)), geometry)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError, RuntimeError) as error:
        raise InputError(f"'{path}' cannot be read ({' '.join(str(error).split())}); export it again") from error
    if len(named) > 1:
        raise InputError(f"the layers of '{path}' differ in CRS; give one layer a file")
    found.crs = _decide_crs(path, next(iter(named), "") or None, vector_crs, found.features)
    return found


def _decide_crs(path: Path, named: str | None, given: str | None, features: list[Feature]) -> str:
    if named is not None:
        if given is not None and CRS.from_user_input(given) != _crs(named, path):
            raise ConfigError(f"'{path}' states the CRS '{_crs(named, path).name}'; leave --vector-crs out")
        return _crs(named, path).to_wkt() if not _crs(named, path).to_authority() else _authority(_crs(named, path))
    if given is not None:
        return given
    for feature in features:
        x0, y0, x1, y1 = feature.geometry.bounds
        if min(x0, x1) < -180.0001 or max(x0, x1) > 180.0001 or y0 < -90.0001 or y1 > 90.0001:
            raise InputError(
                f"'{path}' does not state its CRS, and its coordinates (such as {x0:.0f}, {y0:.0f}) are no longitudes "
                "and latitudes; give the CRS with --vector-crs EPSG:…, or --vector-crs tiles if it is that of the tiles"
            )
    return "EPSG:4326"


def _authority(crs: CRS) -> str:
    authority = crs.to_authority()
    if authority is None:
        raise InputError(f"the CRS '{crs.name}' has no code")
    return "EPSG:4326" if authority[1] in ("CRS84", "4326") else ":".join(authority)


def _crs(text: str, path: Path) -> CRS:
    try:
        return CRS.from_user_input(text)
    except (CRSError, UnicodeError) as error:
        raise InputError(f"'{path}' states the unknown CRS {text[:80]!r}; give it with --vector-crs EPSG:…") from error


def _add(found: FeatureFile, index: int, columns: Mapping[str, Any], geometry: BaseGeometry | None) -> None:
    if geometry is None or geometry.is_empty:
        found.skipped["no-geometry"] += 1
        return
    if not geometry.is_valid:
        found.skipped["broken-multipolygon" if geometry.geom_type.endswith("Polygon") else "broken-geometry"] += 1
        return
    properties = {str(k): v for k, v in columns.items() if not _is_blank(v)}
    tags = dict(_tags(properties))
    date = next((str(properties[k]) for k in _DATE_KEYS if k in properties), None)
    name = _osm_id(properties, geometry) or f"feature/{index}"
    found.take(Feature(name, tags, shapely.force_2d(geometry), date))


def _osm_id(properties: Mapping[str, Any], geometry: BaseGeometry) -> str | None:
    for key in _ID_KEYS:
        if key not in properties:
            continue
        text = str(properties[key]).split(".")[0] if isinstance(properties[key], float) else str(properties[key])
        if re.fullmatch(r"(node|way|relation)/-?\d+", text):
            return text
        if re.fullmatch(r"[nwr]-?\d+", text):
            return f"{_KINDS[text[0]]}/{text[1:]}"
        if re.fullmatch(r"-?\d+", text):
            kind = next((_KINDS[str(properties[k])] for k in _TYPE_KEYS if str(properties.get(k)) in _KINDS), None)
            if key == "osm_way_id" or (kind is None and geometry.geom_type != "Point"):
                kind = kind or ("relation" if text.startswith("-") else "way")
            return f"{kind or 'node'}/{text.lstrip('-')}"
    return None


def _tags(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    nested: dict[str, str] = {}
    for key, value in properties.items():
        if key in _TAG_TEXTS and isinstance(value, str) and "=>" in value:
            nested |= {k.replace('\\"', '"'): v.replace('\\"', '"') for k, v in _HSTORE.findall(value)}
        elif key in _TAG_TEXTS and isinstance(value, dict):
            nested |= {str(k): as_text(v) or "" for k, v in value.items()}
        elif key not in (*_ID_KEYS, *_DATE_KEYS):
            yield _CUT_KEYS.get(key, key), as_text(value) or ""
    yield from nested.items()


def _is_blank(value: Any) -> bool:  # noqa: ANN401
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"
