"""Recipes whose pictures are files: checked and stored, with the regions of their label masks."""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile_datasets.recipes.entries import Entry, FileRecipe
from voxtile_datasets.recipes.recipe import Record
from voxtile_pathology.annotations.regions import mask_region
from voxtile_pathology.recipes.collection import Collection, picture
from voxtile_pathology.recipes.masks import class_masks, read_indices


@dataclass(frozen=True)
class PictureFiles(FileRecipe):
    """A data set of patches, each a picture file.

    Attributes:
        data: what is known of the data set.
        listing: "module:function" that lists its pictures; called where the plan is made, not in workers.
    """

    data: Collection
    listing: str

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """Those of the data set."""
        return self.data.vocabularies

    def config(self) -> dict[str, Any]:
        """Classes, and what masks mean."""
        held: dict[str, Any] = {"classes": {name: dict(known) for name, known in self.data.classes.items()}}
        if self.data.mask_classes:
            held["masks"] = [dict(self.data.mask_classes), self.data.mask_threshold]
        return held

    def entries(self, root: Path) -> Iterator[Entry]:
        """What the listing finds."""
        module, _, function = self.listing.partition(":")
        yield from getattr(importlib.import_module(module), function)(root)

    def item(self, entry: Entry, edges: Sequence[tuple[int, str] | None]) -> Item:
        """In the form that these data sets have had from the first, so that corpora begun then go on."""
        source, picture_edges = f"{self.data.name}/{entry.key}", edges[0]
        if picture_edges is None or None in edges:
            return Item(source, {"path": entry.key, "missing": True})
        mask = entry.files[1] if len(entry.files) > 1 else None
        about = {
            "path": entry.key,
            "labels": {name: list(classes) for name, classes in entry.labels.items()},
            "texts": list(entry.texts),
            "subject": entry.subject,
            "study": entry.study,
            "split": entry.split,
            "mpp": entry.row["mpp"][0] if entry.row else None,
            "attributes": dict(entry.attributes),
            "mask": mask,
        }
        inputs = {"path": entry.key, "edges": picture_edges[1], "about": about}
        if mask and edges[1]:
            inputs["mask_edges"] = edges[1][1]
        return Item(source, inputs, cost=max(1, picture_edges[0]))

    def entry_of(self, item: Item) -> Entry:
        """Back from `item`."""
        if "missing" in item.inputs:
            return picture(item.inputs["path"], is_missing=True)
        return picture(**item.inputs["about"])

    def record(self, root: Path, entry: Entry, item: Item) -> Iterator[Record | Part]:
        """The picture as it is, with its facts, and the regions of its mask."""
        data, name = (root / entry.key).read_bytes(), self.data.name
        found = read_picture(as_stored(data))
        uid = sample_uid(hashlib.sha256(data).hexdigest(), region=name)
        unreadable: list[Part] = []
        masks: tuple[Mask, ...] = ()
        if len(entry.files) > 1:
            try:
                masks = self._regions(root, entry.files[1], uid, found.columns()["shape"])
            except InputError as error:
                unreadable.append(Part(uid, "failed", "unreadable-mask", str(error)))
        mpp = entry.row.get("mpp") or ([self.data.mpp] * 2 if self.data.mpp else None)
        study = f"{name}-{entry.study}" if entry.study else None
        yield Record(
            uid,
            f"{name}-{entry.subject or entry.key}",
            item.source,
            found.payload,
            {"study": study, "kind": "patch", "modality": "SM", **found.columns(), "mpp": mpp},
            found.preview,
            split=entry.split,
            labels=entry.labels,
            texts=entry.texts,
            text_source=item.source,
            attributes={**entry.attributes, **self.data.place},
            masks=masks,
        )
        yield from unreadable

    def _regions(self, root: Path, path: str, uid: str, shape: Sequence[int]) -> tuple[Mask, ...]:
        indices = read_indices(root / path, self.data)
        if list(indices.shape) != list(shape[:2]):
            height, width = indices.shape
            raise InputError(f"'{path}' has {width} x {height} pixels, and its picture has others; replace the file")
        rule = f"{self.data.name}@{self.version}"
        found = (mask_region(uid, name, mask, rule) for name, mask in class_masks(indices, self.data))
        return tuple(region for region in found if region is not None)


def as_stored(data: bytes) -> bytes:
    """JPEG and PNG as they are; TIFF and BMP as PNG with the same pixels.

    Raises:
        PictureError: the file is not a picture, or not an 8-bit one.
    """
    if not data.startswith((b"II*\0", b"MM\0*", b"BM")):
        return data
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF", "BMP"]) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError("too-large", f"the picture has {image.width} × {image.height} pixels; tile it first")
            if image.mode not in ("L", "RGB", "RGBA", "P"):
                raise PictureError("bit-depth", f"the picture has the mode {image.mode}; convert it to 8-bit RGB")
            out = io.BytesIO()
            image.convert("L" if image.mode == "L" else "RGB").save(out, "PNG", compress_level=3)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PictureError("decode-error", f"the picture does not decode ({reason}); replace the file") from error
    return out.getvalue()
