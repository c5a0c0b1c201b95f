"""QuPath's GeoJSON: https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html and RFC 7946.

QuPath writes level-0 pixels with y downwards where RFC 7946 has degrees; the class is `properties.classification.name`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import GeometryCollection, LineString, MultiLineString, MultiPoint, Point, mapping
from shapely.geometry.base import BaseGeometry

from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.repair import MAX_COORDINATE, ring, valid_polygon

_CLASS_KEYS = ("name", "names")
_COMPUTED = ("detection", "cell", "tile")  # https://qupath.readthedocs.io/en/stable/docs/concepts/objects.html
_IGNORED = "Ignore*"


def is_geojson(content: object) -> bool:
    """Whether parsed JSON looks like GeoJSON: a collection, a feature, or a list of features."""
    if isinstance(content, list):
        return all(isinstance(item, dict) and item.get("type") == "Feature" for item in content)
    return isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")


def parse_geojson(content: Any, notes: list[str]) -> Iterator[Annotation]:  # noqa: ANN401
    """Annotations of parsed GeoJSON; a feature that cannot be used becomes a note.

    What QuPath computed (cells, tiles) was not drawn, and what is called `Ignore*` does not count: neither is read.
    """
    computed = ignored = 0
    for number, feature in enumerate(_features(content), start=1):
        try:
            if _object_type(feature) in _COMPUTED:
                computed += 1
                continue
            annotation = _annotation(feature, f"annotation {number}", notes)
        except AnnotationError as error:
            notes.append(f"{error}; it is left out")
            continue
        if annotation.label == _IGNORED:
            ignored += 1
        else:
            yield annotation
    if computed:
        notes.append(
            f"{computed:,} of the objects are cells, tiles or other detections, which QuPath computed and nobody drew: "
            "left out; make annotations of them in QuPath if they are to be regions"
        )
    if ignored:
        what = "annotation" if ignored == 1 else "annotations"
        notes.append(f"{ignored:,} {what} called '{_IGNORED}', as QuPath calls what does not count: left out")


def write_geojson(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write annotations so that QuPath opens them; reading them back gives the same, to the last bit."""
    features = [_feature(annotation) for annotation in annotations]
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")


def _features(content: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(content, dict):
        content = content.get("features") if content["type"] == "FeatureCollection" else [content]
    if not isinstance(content, list):
        raise AnnotationError("the FeatureCollection has no list 'features'")
    return content


def _object_type(feature: Any) -> object:  # noqa: ANN401
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties.get("objectType") if isinstance(properties, dict) else None


def _annotation(feature: Any, what: str, notes: list[str]) -> Annotation:  # noqa: ANN401
    if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
        raise AnnotationError(f"{what} has no geometry")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise AnnotationError(f"{what} has properties that are not a mapping")
    attributes = {key: value for key, value in properties.items() if key != "classification"}
    classification = properties.get("classification")
    label = ""
    if isinstance(classification, dict):
        label = _class_name(classification)
        attributes |= {f"class_{key}": value for key, value in classification.items() if key not in _CLASS_KEYS}
    elif isinstance(classification, str):
        label = classification
    if "id" in feature:
        attributes["id"] = feature["id"]
    return Annotation(label or _text(properties.get("name")), _geometry(feature["geometry"], what, notes), attributes)


def _class_name(classification: Mapping[str, Any]) -> str:
    names = classification.get("names")  # derived classes, such as ["Tumor", "Positive"]
    if isinstance(names, list) and names:
        return ": ".join(str(name) for name in names)
    return _text(classification.get("name"))


def _text(name: object) -> str:
    """A name as text; a name may be a number, 0 too."""
    return "" if name is None else str(name)


def _geometry(content: Mapping[str, Any], what: str, notes: list[str]) -> BaseGeometry:
    kind, coordinates = str(content.get("type")), content.get("coordinates")
    if kind == "GeometryCollection":
        parts = [_geometry(part, what, notes) for part in content.get("geometries") or [] if isinstance(part, dict)]
        return _homogeneous(parts, what)
    if kind == "Polygon":
        return _polygon(coordinates, what, notes)
    if kind == "MultiPolygon" and isinstance(coordinates, list) and coordinates:
        return _multi_polygon([_polygon(part, what, notes) for part in coordinates], what, notes)
    builders = {"Point": Point, "MultiPoint": MultiPoint, "LineString": LineString, "MultiLineString": MultiLineString}
    if kind not in builders or not isinstance(coordinates, list) or not coordinates:
        raise AnnotationError(f"{what} has a geometry of the type '{kind}', which is not read")
    try:
        geometry = shapely.force_2d(builders[kind](coordinates))
    except (ValueError, TypeError, shapely.errors.ShapelyError):
        raise AnnotationError(f"{what} has coordinates that are not pairs of x and y") from None
    points = shapely.get_coordinates(geometry)
    if not points.size or not np.isfinite(points).all() or np.abs(points).max() > MAX_COORDINATE:
        raise AnnotationError(f"{what} has a coordinate that no slide can have")
    return geometry


def _polygon(rings: Any, what: str, notes: list[str]) -> BaseGeometry:  # noqa: ANN401
    if not isinstance(rings, list) or not rings:
        raise AnnotationError(f"{what} is a polygon without rings")
    shell, *holes = (ring(points, what) for points in rings)
    polygon, note = valid_polygon(shell, holes, what)
    notes += [note] if note else []
    return polygon


def _multi_polygon(parts: list[BaseGeometry], what: str, notes: list[str]) -> BaseGeometry:
    polygons = [polygon for part in parts for polygon in getattr(part, "geoms", [part])]
    merged = shapely.MultiPolygon(polygons)
    if merged.is_valid:
        return merged
    notes.append(f"{what} has parts that overlap; they are joined")
    return shapely.union_all(polygons)


def _homogeneous(parts: list[BaseGeometry], what: str) -> BaseGeometry:
    """Parts of a collection as one geometry; what has no area is left out where something has."""
    areas = [part for part in parts if part.area > 0]
    merged = shapely.union_all(areas or parts)
    if merged.is_empty or isinstance(merged, GeometryCollection):
        raise AnnotationError(f"{what} is a collection without an area")
    return merged


def _feature(annotation: Annotation) -> dict[str, Any]:
    rest = dict(annotation.attributes)
    feature: dict[str, Any] = {"type": "Feature"}
    if "id" in rest:
        feature["id"] = rest.pop("id")
    classification = {key[6:]: rest.pop(key) for key in list(rest) if key.startswith("class_")}
    properties = {"objectType": "annotation", **rest} if "objectType" not in rest else rest
    if annotation.label:
        properties["classification"] = {"name": annotation.label, **classification}
    elif classification:
        properties["classification"] = classification
    return feature | {"geometry": mapping(annotation.polygon), "properties": properties}
