"""The recipe of sets of questions and conversations: pictures with their talks as rows of `dialogues`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.file_edges import telling_edges
from voxtile.stages.ingest.picture import Picture, PictureError, read_picture
from voxtile_datasets.recipes.download import not_a_folder, still_packed, tell_incomplete
from voxtile_datasets.recipes.recipe import DataSet, MissingFileError, Recipe, Record
from voxtile_datasets.recipes.talks import instruction_sets, layouts
from voxtile_datasets.recipes.talks.entry import TalkEntry, dialogue_rows

_LAYOUTS: Mapping[str, Callable[..., Iterator[TalkEntry]]] = {
    "vqa-rad": layouts.vqa_rad, "slake": layouts.slake, "path-vqa": layouts.path_vqa, "rsvqa": layouts.rsvqa,
    "conversations": layouts.conversations, "path-mmu": instruction_sets.path_mmu, "gmai-vl": instruction_sets.gmai_vl,
    "medmax": instruction_sets.medmax,
}  # fmt: skip


@dataclass(frozen=True)
class Talks(Recipe):
    """A set of questions or conversations.

    Attributes:
        data: what is known of it.
        layout: how it lies in its folder.
        modality: of pictures of which the set does not say it.
        instructions: name of the file of conversations, where the layout has one.
    """

    data: DataSet
    layout: str
    modality: str
    instructions: str | None = None

    lists_apart: ClassVar[bool] = True

    def check(self, root: Path) -> None:
        """Refuse what is no folder."""
        if not root.is_dir():
            raise InputError(not_a_folder(root, self.data.title, self.data.source))

    def config(self) -> dict[str, Any]:
        """How it is read."""
        return {"layout": self.layout, "modality": self.modality}

    def items(self, root: Path) -> Iterator[Item]:
        """One item a picture that anything is asked about."""
        missing: list[str] = []
        found = 0
        more = {"instructions": self.instructions} if self.layout == "conversations" else {}
        try:
            for entry in _LAYOUTS[self.layout](root, **more):
                path = root / entry.file
                inside = path.resolve().is_relative_to(root.resolve())
                edges = telling_edges(path) if inside and path.is_file() else None
                found += edges is not None
                missing += [] if edges else [entry.file]
                inputs = {"entry": entry.to_inputs(), "edges": edges[1] if edges else None}
                yield Item(f"{self.data.name}/{entry.key}", inputs, cost=max(1, edges[0] if edges else 1))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"'{root}' is not laid out as {self.data.title} ({type(error).__name__}: {error}); {self.data.source}"
            ) from error
        if not found:
            example = f" such as '{missing[0]}'" if missing else ""
            raise InputError(f"'{root}' has no picture of {self.data.title}{example}{still_packed(root)}")
        tell_incomplete(root, self.data.title, found, missing)

    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The picture with its talks and boxes."""
        entry = TalkEntry.from_inputs(item.inputs["entry"])
        if item.inputs["edges"] is None:
            raise MissingFileError(f"'{entry.file}' is not in the folder")
        data = (root / entry.file).read_bytes()
        picture = _tiff(data) if data[:4] in (b"II*\0", b"MM\0*") else read_picture(data)
        name = f"{self.data.name}/{entry.key}"
        uid = sample_uid(hashlib.sha256(data).hexdigest(), region=name)
        tables: dict[str, list[Row]] = {"dialogues": [], "regions": _boxes(uid, entry, f"{self.data.name}@1")}
        for dialogue, regions in dialogue_rows(uid, entry, self.data.name, picture.shape):
            tables["dialogues"] += dialogue
            tables["regions"] += regions
        row = {"kind": "image", "modality": entry.modality or self.modality, **picture.columns()}
        yield Record(uid, name, name, picture.payload, row, picture.preview, split=entry.split, tables=tables)


def _boxes(uid: str, entry: TalkEntry, source: str) -> list[Row]:
    return [
        {"region_id": f"{uid[:20]}-{number}", "uid": uid, "phrase": phrase.replace("_", " "),
         "box": [top, left, top + height, left + width], "source": source}
        for number, (phrase, (left, top, width, height)) in enumerate(entry.boxes)
    ]  # fmt: skip


def _tiff(data: bytes) -> Picture:
    """An 8-bit TIFF as an array."""
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError("too-large", f"the picture has {image.width} × {image.height} pixels; tile it first")
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError("decode-error", f"the TIFF does not decode ({error}); replace the file") from error
    return Picture(pixels, "YXC" if pixels.ndim == 3 else "YX", pixels.shape, "uint8", pixels)
