"""One block of patches: pixels to JPEG or PNG, native tiles as they are, or references; with scores and regions."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Mask, Row, Sample
from voxtile.engine.task import Item, Outcome, Part
from voxtile_datasets.intake.planner import SPLIT_SCHEME
from voxtile_datasets.intake.reports_file import raw_captions
from voxtile_pathology.annotations.model import read_annotations
from voxtile_pathology.annotations.regions import AnnotationIndex
from voxtile_pathology.convert.plan import canonical
from voxtile_pathology.convert.settings import WsiSettings
from voxtile_pathology.convert.survey import SHARE_DIGITS, Patch
from voxtile_pathology.slides.icc import icc_profile, to_srgb
from voxtile_pathology.slides.protocol import Picture, Slide, SlideError, TileGrid
from voxtile_pathology.slides.scale import PatchScale, read_patch
from voxtile_pathology.tissue.quality import sharpness

PRODUCER = "wsi@1"
READER = "wsi"
_CHROMA = "420"


@dataclass(frozen=True)
class _Block:
    """What all patches of an item share."""

    slide: Slide
    path: Path
    inputs: Mapping[str, Any]
    source: str
    scale: PatchScale
    settings: WsiSettings
    tiles: TileGrid | None
    attributes: str
    reference: Mapping[str, Any] | None
    to_srgb: Callable[[Picture], Picture] | None


def make_patches(slide: Slide, path: Path, item: Item, settings: WsiSettings, annotations: Path | None) -> Outcome:
    """Store the patches of one item; a patch that cannot be read costs only itself.

    Args:
        slide: open.
        path: of the slide.
        item: from the plan.
        settings: of the conversion.
        annotations: folder of annotation files, if any.
    """
    block = _block(slide, path, item, settings)
    samples: list[Sample] = []
    parts: list[Part] = []
    tables: dict[str, list[Row]] = {"scores": [], "regions": [], "captions": [], "splits": [_split(item)]}
    masks: list[Mask] = []
    index = _annotation_index(annotations, item)
    for values in item.inputs["patches"]:
        patch = Patch(*values)
        row = _row(block, patch)
        try:
            payload, pixels = _payload(block, patch)
        except SlideError as error:
            parts.append(Part(row["uid"], "failed", "unreadable-patch", str(error)))
            continue
        focus = sharpness(pixels) if pixels is not None else None
        if focus is not None and focus < settings.min_sharpness:
            sentence = f"the patch at {patch.x}, {patch.y} has a sharpness of {focus:.1f}"
            parts.append(Part(row["uid"], "dropped", "out-of-focus", sentence))
            continue
        samples.append(Sample(row, payload))
        tables["scores"] += _scores(row["uid"], patch, focus)
        if index is not None:
            _add_regions(index, row, block.scale.patch_px, tables["regions"], masks)
    if not samples:
        first = next((part for part in parts if part.status == "failed"), parts[0])
        return Outcome(first.status, first.reason, first.detail)
    tables["captions"] = raw_captions(samples[0].row["uid"], item.inputs.get("texts") or ())
    return Outcome("used", samples=tuple(samples), tables=tables, masks=tuple(masks), parts=tuple(parts))


def _block(slide: Slide, path: Path, item: Item, settings: WsiSettings) -> _Block:
    inputs = item.inputs
    scale = scale_of(inputs["scale"])
    is_tiled = bool(inputs["is_tiled"])
    attributes = dict(inputs["attributes"])
    if not settings.coords_only:
        encoded = f"jpg {settings.quality}" if settings.codec == "jpg" else settings.codec
        attributes["encoding"] = "native" if is_tiled else encoded
    profile = icc_profile(slide) if settings.icc == "srgb" else None
    if profile is not None:
        attributes["icc"] = settings.icc
    return _Block(
        slide=slide,
        path=path,
        inputs=inputs,
        source=item.source.partition("#")[0],
        scale=scale,
        settings=settings,
        tiles=slide.tile_grid(scale.level) if is_tiled else None,
        attributes=canonical(attributes),
        reference=_reference(path, item, settings) if settings.coords_only else None,
        to_srgb=to_srgb(profile) if profile is not None else None,
    )


def scale_of(values: Mapping[str, Any]) -> PatchScale:
    """A scale from its JSON form."""
    return PatchScale(
        mpp=tuple(values["mpp"]),
        patch_px=values["patch_px"],
        extent=tuple(values["extent"]),
        level=values["level"],
        factor=tuple(values["factor"]),
    )


def _reference(path: Path, item: Item, settings: WsiSettings) -> Mapping[str, Any]:
    """What the references of a slide's patches share; where names are hidden, the key map knows the path."""
    source = item.source.partition("#")[0]
    size, edges = file_edges(path)
    scale = item.inputs["scale"]
    return {
        "uri": f"source:{source}" if settings.deidentify else str(path.resolve()),
        "reader": READER,
        "level": scale["level"],
        "factor": scale["factor"],
        "patch_px": scale["patch_px"],
        "bytes": size,
        "edges": edges,
    }


def _row(block: _Block, patch: Patch) -> Row:
    scale, inputs = block.scale, block.inputs
    box = [patch.x, patch.y, round(patch.x + scale.extent[0]), round(patch.y + scale.extent[1])]
    geometry = f"mpp {scale.mpp[0]:.8g} {scale.mpp[1]:.8g} px {scale.patch_px}"
    row: Row = {
        "uid": sample_uid(inputs["content"], f"{patch.x} {patch.y}", geometry),
        "subject": inputs["subject"],
        "study": inputs["study"],
        "kind": "patch",
        "modality": "SM",  # DICOM's term for slide microscopy
        "axes": "YXC",
        "units": "a.u.",
        "mpp": list(scale.mpp),
        "level0_box": box,
        "valid_fraction": 1.0,
        "source": block.source,
        "licence": block.settings.licence,
        "attributes": block.attributes,
    }
    if block.reference is not None:
        fields = {**block.reference, "box": [box[1], box[0], box[3], box[2]]}
        row |= {"ref": canonical(fields), "shape": [scale.patch_px, scale.patch_px, 3], "dtype": "uint8"}
    return row


def _payload(block: _Block, patch: Patch) -> tuple[bytes | None, Picture | None]:
    """Bytes to store, and pixels where they were decoded."""
    settings = block.settings
    pixels = None
    if settings.needs_pixels or (block.reference is None and block.tiles is None):
        pixels = read_patch(block.slide, (patch.x, patch.y), block.scale)
        pixels = block.to_srgb(pixels) if block.to_srgb else pixels
    if block.reference is not None:
        return None, pixels
    if block.tiles is not None:
        return _native_tile(block, block.tiles, patch), pixels
    if pixels is None:
        raise RuntimeError("a patch that is encoded has pixels")
    return encode(pixels, settings.codec, settings.quality), pixels


def _native_tile(block: _Block, tiles: TileGrid, patch: Patch) -> bytes:
    downsample = block.slide.levels[block.scale.level].downsample
    column = round(patch.x / downsample[0] / tiles.tile[0])
    row = round(patch.y / downsample[1] / tiles.tile[1])
    data = tiles.encoded(column, row)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise SlideError(f"{block.path.name}: the tile {column}, {row} is not a sound JPEG ({error})") from error
    if (width, height) != tiles.tile:
        raise SlideError(f"{block.path.name}: the tile {column}, {row} has {width} x {height} pixels, not {tiles.tile}")
    return data


def encode(pixels: Picture, codec: str, quality: int) -> bytes:
    """JPEG (4:2:0) or PNG bytes of a picture [Y, X, 3]."""
    if codec == "jpg":
        data: bytes = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality=quality, colorspace="RGB", colorsubsampling=_CHROMA, fastdct=False
        )
        return data
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _scores(uid: str, patch: Patch, focus: float | None) -> Iterable[Row]:
    values = {"tissue_fraction": patch.tissue, "pen_fraction": patch.pen, "fold_fraction": patch.fold}
    if focus is not None:
        values["sharpness"] = round(focus, SHARE_DIGITS)
    return [{"uid": uid, "name": name, "value": value, "producer": PRODUCER} for name, value in values.items()]


def _split(item: Item) -> Row:
    return {"scheme": SPLIT_SCHEME, "subject": item.inputs["subject"], "split": item.inputs["split"]}


def _annotation_index(folder: Path | None, item: Item) -> AnnotationIndex | None:
    name = item.inputs.get("annotations")
    if folder is None or name is None:
        return None
    path = (folder if folder.is_dir() else folder.parent) / name
    return _read_index(path, Path(item.inputs["path"]).name, item.inputs["annotations_sha256"])


@lru_cache(maxsize=1)
def _read_index(path: Path, image: str, sha256: str) -> AnnotationIndex:
    return AnnotationIndex(read_annotations(path, image=image))


def _add_regions(index: AnnotationIndex, row: Row, side: int, regions: list[Row], masks: list[Mask]) -> None:
    """Annotations that touch a patch, as regions of it; polygons with their mask."""
    for number, found in enumerate(index.regions(tuple(row["level0_box"]), (side, side))):
        region: Row = {
            "region_id": sample_uid(row["uid"], f"annotation {number}", found.phrase),
            "uid": row["uid"],
            "phrase": found.phrase or None,
            "box": [float(edge) for edge in found.box],
            "source": "annotations",
        }
        if found.mask is None:
            regions.append(region)
        else:
            masks.append(Mask(region, found.mask))
