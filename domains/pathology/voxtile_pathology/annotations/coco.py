"""COCO's JSON (https://cocodataset.org/#format-data): polygons, run-length masks and boxes in pixels of the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.repair import MAX_COORDINATE, ring, valid_polygon
from voxtile_pathology.annotations.run_lengths import mask_shape

_KEPT = ("id", "iscrowd", "attributes")


def is_coco(content: object) -> bool:
    """Whether parsed JSON looks like COCO annotations."""
    return isinstance(content, dict) and isinstance(content.get("annotations"), list) and "categories" in content


def parse_coco(content: Mapping[str, Any], notes: list[str], image: str | None) -> Iterator[Annotation]:
    """Annotations of parsed COCO; one that cannot be used becomes a note.

    Args:
        content: the parsed file.
        notes: sentences about what was repaired or left out are added.
        image: name of the slide, with or without its suffix; needed where the file has several images.

    Raises:
        AnnotationError: the file has several images and `image` names none of them, or its tables are malformed.
    """
    try:
        categories = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        images = {entry["id"]: str(entry.get("file_name", "")) for entry in content.get("images") or []}
    except (TypeError, KeyError, AttributeError):
        raise AnnotationError("the lists 'categories' and 'images' of a COCO file need 'id' and 'name'") from None
    wanted = _wanted(images, image)
    for number, entry in enumerate(content["annotations"], start=1):
        what = f"annotation {number}"
        try:
            if not isinstance(entry, dict):
                raise AnnotationError(f"{what} is not a mapping")
            if wanted is not None and _id(entry, "image_id") not in wanted:
                continue
            label = categories.get(_id(entry, "category_id"), "")
            kept = {key: entry[key] for key in _KEPT if key in entry}
            yield Annotation(label, _geometry(entry, what, notes), kept)
        except AnnotationError as error:
            notes.append(f"{error}; it is left out")


def _id(entry: Mapping[str, Any], name: str) -> int | str | None:
    value = entry.get(name)
    return value if isinstance(value, int | str) else None


def _wanted(images: Mapping[Any, str], image: str | None) -> frozenset[Any] | None:
    """Ids of the images to take; None for all."""
    if len(images) < 2:
        return None
    if image is None:
        raise AnnotationError(f"the COCO file has {len(images)} images; say which one is the slide")
    names = {image, PurePosixPath(image).stem}
    found = frozenset(k for k, name in images.items() if {PurePosixPath(name).name, PurePosixPath(name).stem} & names)
    if not found:
        raise AnnotationError(f"the COCO file has {len(images)} images, none of them '{image}'")
    return found


def _geometry(entry: Mapping[str, Any], what: str, notes: list[str]) -> BaseGeometry:
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return mask_shape(segmentation, what)
    if isinstance(segmentation, list) and segmentation:
        polygons = []
        for flat in segmentation:
            if not isinstance(flat, list) or len(flat) % 2:
                raise AnnotationError(f"{what} has an odd number of coordinates")
            polygon, note = valid_polygon(ring([*zip(flat[::2], flat[1::2], strict=True)], what), [], what)
            notes += [note] if note else []
            polygons.append(polygon)
        return polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)
    return _box(entry.get("bbox"), what)


def _box(bbox: Any, what: str) -> Polygon:  # noqa: ANN401
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        raise AnnotationError(f"{what} has neither a polygon nor a box of four numbers") from None
    if not np.isfinite([x, y, width, height]).all() or max(abs(x), abs(y), width, height) > MAX_COORDINATE:
        raise AnnotationError(f"{what} has a coordinate that no slide can have")
    if width <= 0 or height <= 0:
        raise AnnotationError(f"{what} encloses no area")
    return Polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
