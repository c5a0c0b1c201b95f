"""Annotation files of any kind, told apart by content: QuPath GeoJSON, ASAP XML, ImageScope XML, COCO JSON."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from xml.etree.ElementTree import Element

from shapely.geometry import box

from voxtile_pathology.annotations import asap, imagescope
from voxtile_pathology.annotations.annotation import Annotation, AnnotationError
from voxtile_pathology.annotations.coco import is_coco, parse_coco
from voxtile_pathology.annotations.geojson import is_geojson, parse_geojson, write_geojson
from voxtile_pathology.annotations.source import parse_json, parse_xml, read_source

__all__ = [
    "Annotation", "AnnotationError", "AnnotationFile", "find_annotations", "name_without_ending", "outside",
    "read_annotation_file", "read_annotations", "unused_files", "write_geojson",
]  # fmt: skip

_OME = ".ome"
SUFFIXES = (".geojson", ".geojson.gz", ".json", ".json.gz", ".xml")
_XML: Mapping[str, Callable[[Element, list[str]], Iterator[Annotation]]] = {
    asap.ROOT: asap.parse_asap,
    imagescope.ROOT: imagescope.parse_imagescope,
}


@dataclass(frozen=True)
class AnnotationFile:
    """What a file holds.

    Attributes:
        annotations: in the order of the file.
        notes: one sentence for each annotation that was repaired or left out.
    """

    annotations: tuple[Annotation, ...]
    notes: tuple[str, ...]


def read_annotations(path: Path, *, image: str | None = None) -> list[Annotation]:
    """Read the annotations of a slide.

    Args:
        path: QuPath GeoJSON (also gzipped), ASAP XML, ImageScope XML or COCO JSON.
        image: name of the slide, for COCO files of several images.

    Raises:
        AnnotationError: the file is missing, damaged, hostile, or of another kind.
    """
    return list(read_annotation_file(path, image=image).annotations)


def read_annotation_file(path: Path, *, image: str | None = None) -> AnnotationFile:
    """Read the annotations of a slide, and what had to be repaired or left out; see `read_annotations`."""
    data = read_source(path)
    notes: list[str] = []
    try:
        parse = _parse_xml if data.lstrip()[:1] == b"<" else _parse_json
        annotations = tuple(parse(data, path, notes, image))
    except AnnotationError as error:
        if str(path) in str(error):
            raise
        raise AnnotationError(f"annotations '{path}' cannot be read: {error}") from None
    return AnnotationFile(annotations, tuple(notes))


def find_annotations(folder: Path, slide: Path) -> Path | None:
    """The annotation file of a slide in a folder: the slide's name, or what is left of it, with one of `SUFFIXES`.

    QuPath calls an image of a file that can hold several `FILE - IMAGE`: it is the slide's where there is one such.
    """
    names = (slide.name, slide.stem, name_without_ending(slide.name))
    candidates = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        images = [p for s in SUFFIXES for p in folder.glob(f"{glob.escape(slide.name)} - *{s}")]
        return images[0] if len(images) == 1 else None
    return found


def name_without_ending(slide: str) -> str:
    """A slide's file name without its ending, which OME-TIFF writes in two parts: `case` for `case.ome.tif`."""
    stem = PurePath(slide).stem
    return stem[: -len(_OME)] if stem.lower().endswith(_OME) else stem


def unused_files(folder: Path, used: Iterable[Path]) -> str:
    """A sentence on the annotation files of a folder that belong to no slide; empty where there is none.

    Args:
        folder: of annotation files; a file alone has none beside it.
        used: those that were found for slides.
    """
    if not folder.is_dir():
        return ""
    names = sorted(path.name for path in {*folder.iterdir()} - {*used} if path.name.endswith(SUFFIXES))
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"annotations of no slide here, and not read: '{names[0]}'{more}; such a file has the name of its slide "
        "(case-1.geojson for case-1.svs)"
    )


def outside(annotations: Sequence[Annotation], size: tuple[int, int]) -> tuple[list[Annotation], list[str]]:
    """Separate the annotations that touch a slide from those that lie beside it.

    Args:
        annotations: of the slide.
        size: (width, height) of level 0 in pixels.

    Returns:
        The annotations that touch the slide, unchanged, and a sentence for each one that does not, or only in part.
    """
    slide = box(0, 0, *size)
    kept: list[Annotation] = []
    notes: list[str] = []
    for number, annotation in enumerate(annotations, start=1):
        what = f"annotation {number} ('{annotation.label}')"
        if not annotation.polygon.intersects(slide):
            notes.append(f"{what} lies outside the slide of {size[0]} × {size[1]} pixels; it is left out")
            continue
        if not slide.covers(annotation.polygon):
            notes.append(f"{what} reaches beyond the slide of {size[0]} × {size[1]} pixels; the part inside counts")
        kept.append(annotation)
    return kept, notes


def _parse_xml(data: bytes, path: Path, notes: list[str], image: str | None) -> Iterator[Annotation]:
    root = parse_xml(data, path)
    if root.tag not in _XML:
        raise AnnotationError(
            f"'{path}' is XML with the root '{root.tag}'; annotations have {' (ASAP) or '.join(_XML)} (ImageScope)"
        )
    return _XML[root.tag](root, notes)


def _parse_json(data: bytes, path: Path, notes: list[str], image: str | None) -> Iterator[Annotation]:
    content = parse_json(data, path)
    if is_coco(content):
        return parse_coco(content, notes, image)
    if is_geojson(content):
        return parse_geojson(content, notes)
    raise AnnotationError(f"'{path}' is JSON, but neither GeoJSON nor COCO; export the annotations as GeoJSON")
