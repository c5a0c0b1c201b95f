"""A vector file of labelled places: polygons or points with a class, texts or columns of 0 and 1."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
from shapely import GEOSException, make_valid
from shapely.geometry.base import BaseGeometry

from voxtile.bounded_text import load_json
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.table import as_text, composed, is_missing
from voxtile_remote_sensing.vector_files import check_vector_file

EARTH = "EPSG:4326"
_LONGEST_LIST = 20_000  # characters
_CLASS_COLUMNS = ("label", "labels", "class", "category", "landcover", "name")
_GEOJSON_SUFFIXES = (".geojson", ".json")
_TEXT_COLUMNS = ("text", "texts", "caption", "captions", "description")


@dataclass(frozen=True)
class PlaceLabel:
    """One labelled place.

    Attributes:
        geometry: in longitude and latitude.
        labels: classes that are present.
        texts: captions.
    """

    geometry: BaseGeometry
    labels: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """A layer of a file.

    Attributes:
        places: those with a geometry.
        classes: all labels, sorted.
        columns: (class column, text column) that were used.
    """

    places: tuple[PlaceLabel, ...]
    classes: tuple[str, ...]
    columns: tuple[str | None, str | None]


def read_layer(
    path: Path,
    *,
    layer: str | None = None,
    class_column: str | None = None,
    text_column: str | None = None,
    separator: str = "|",
    crs: str | None = None,
) -> Layer:
    """Read GeoJSON, GeoPackage, Shapefile or FlatGeobuf.

    Args:
        path: the file.
        layer: of a file with several.
        class_column: column with the class, or several joined by `separator`; found by its name where not given.
        text_column: column with a caption, or a list of them.
        separator: between classes.
        crs: coordinate system of a file that does not state one.

    Raises:
        InputError: the file cannot be read, has no coordinate system, no places or nothing to say about them.
        ConfigError: a column that does not exist.
    """
    frame = _frame(path, layer)
    if frame.crs is None or _is_misplaced(frame):
        if crs is None:
            raise InputError(f"'{path}' does not say in which coordinate system its places lie; give --vector-crs")
        frame = frame.set_crs(crs, allow_override=True)
    frame = frame.to_crs(EARTH)
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    chosen = _column(path, columns, class_column, _CLASS_COLUMNS), _column(path, columns, text_column, _TEXT_COLUMNS)
    if chosen == (None, None):
        raise InputError(
            f"'{path}' has no column of classes or texts; name one with --class-column or --text-column "
            f"(it has: {', '.join(columns) or 'none'})"
        )
    places = []
    for number, (row, geometry) in enumerate(zip(frame.to_dict("records"), frame.geometry, strict=True), start=1):
        if geometry is None or geometry.is_empty:
            continue
        try:
            place = geometry if geometry.is_valid else make_valid(geometry)
        except GEOSException as error:  # a coordinate that is no number among others
            raise InputError(f"'{path}': the geometry of its feature {number} cannot be used; correct it") from error
        labels = _strings(row.get(chosen[0]), separator) if chosen[0] else ()
        texts = _strings(row.get(chosen[1]), None) if chosen[1] else ()
        places.append(PlaceLabel(place, labels, texts))
    if not places:
        raise InputError(f"'{path}' holds no place with a geometry")
    if not any(place.labels or place.texts for place in places):
        used = " and ".join(f"'{column}'" for column in chosen if column)
        raise InputError(
            f"no place of '{path}' has anything in the column {used}; name another with --class-column or "
            f"--text-column (it has: {', '.join(columns)})"
        )
    return Layer(tuple(places), tuple(sorted({label for place in places for label in place.labels})), chosen)


def _frame(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    if not path.is_file():
        raise InputError(f"'{path}' does not exist; give the vector file with the labelled places")
    try:
        if path.suffix.lower() in _GEOJSON_SUFFIXES:
            return _geojson(load_json(path.read_text("utf-8-sig")))
        check_vector_file(path)
        return gpd.read_file(path, layer=_layer(path, layer))
    except InputError:
        raise
    except Exception as error:  # pyogrio, fiona and pyproj raise many types
        raise InputError(f"'{path}' cannot be read as vectors: {' '.join(str(error).split())[:200]}") from error


def _layer(path: Path, wanted: str | None) -> str:
    """The layer that is asked for, or the only one that has places.

    Raises:
        InputError: there are several, none, or none of this name.
    """
    names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    listed = ", ".join(names) or "none"
    if wanted is not None and wanted not in names:
        raise InputError(f"'{path}' has no layer of places '{wanted}'; it has: {listed}")
    if wanted is None and len(names) != 1:
        raise InputError(f"'{path}' has {len(names)} layers of places ({listed}); choose one with --layer")
    return wanted if wanted is not None else names[0]


def _geojson(content: Any) -> gpd.GeoDataFrame:  # noqa: ANN401 - JSON
    """RFC 7946, with the `crs` of GeoJSON 2008; not by GDAL, which would follow what else a text describes."""
    features = content["features"] if content["type"] == "FeatureCollection" else [content]
    named = content.get("crs")
    crs = named["properties"]["name"] if named else EARTH
    return gpd.GeoDataFrame.from_features(features, crs=crs)


def _is_misplaced(frame: gpd.GeoDataFrame) -> bool:
    """GeoJSON without a `crs` counts as longitude and latitude; numbers beyond ±180 and ±90 betray another one."""
    if not frame.crs.is_geographic:
        return False
    left, bottom, right, top = frame.total_bounds
    return bool(left < -180.5 or right > 360.5 or bottom < -90.5 or top > 90.5)


def _column(path: Path, columns: Sequence[str], wanted: str | None, usual: Sequence[str]) -> str | None:
    if wanted is not None:
        if wanted not in columns:
            raise ConfigError(f"'{path}' has no column '{wanted}'; it has: {', '.join(columns) or 'none'}")
        return wanted
    lower = {name.lower(): name for name in columns}
    return next((lower[name] for name in usual if name in lower), None)


def _strings(value: Any, separator: str | None) -> tuple[str, ...]:  # noqa: ANN401 - a cell of any type
    """A cell as texts: nothing, one, a list (also as JSON or Python write it), or joined ones."""
    if isinstance(value, str):
        listed = _listed(value)
        value = listed if listed is not None else value.split(separator) if separator else [value]
    elif not hasattr(value, "__iter__"):
        value = [value]
    texts = (" ".join(composed(as_text(part) or "").split()) for part in value)
    return tuple(dict.fromkeys(text for text in texts if text.casefold() == "none" or not is_missing(text)))


def _listed(text: str) -> list[Any] | None:
    """The entries of a text that is a list; None where it is none."""
    if not (text.startswith("[") and text.endswith("]") and len(text) < _LONGEST_LIST):
        return None
    try:
        value = ast.literal_eval(text) if "'" in text else load_json(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list) else None
