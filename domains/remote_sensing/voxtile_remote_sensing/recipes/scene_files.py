"""The recipe of all datasets of remote sensing: what a layout lists and reads becomes samples with regions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile.engine.task import Item
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.text import question_rows
from voxtile_datasets.recipes.entries import Box, Entry, FileRecipe
from voxtile_datasets.recipes.recipe import Record
from voxtile_remote_sensing.recipes.dataset import Dataset


@dataclass(frozen=True)
class SceneFiles(FileRecipe):
    """A dataset in its layout."""

    data: Dataset

    @property
    def vocabularies(self) -> Mapping[str, Sequence[str]]:
        """Those of the dataset."""
        return self.data.vocabularies

    def config(self) -> dict[str, Any]:
        """Which dataset it is, and where it is from."""
        return {"dataset": self.data.name, "source": self.data.source}

    def entries(self, root: Path) -> Iterator[Entry]:
        """Those of the layout, each subject in one split."""
        splits: dict[str, str] = {}
        for entry in self.data.layout.entries(root):
            subject = entry.subject or entry.key
            if entry.split and splits.setdefault(subject, entry.split) != entry.split:
                raise InputError(
                    f"{self.data.title}: '{subject}' is in the splits {splits[subject]} and {entry.split}; "
                    "take the split files of one release"
                )
            yield entry

    def record(self, root: Path, entry: Entry, item: Item) -> Iterator[Record]:
        """The pixels, with captions, facts and regions."""
        data = self.data
        try:
            pixels = data.layout.read(root, entry)
        except PictureError as error:
            raise PictureError(error.reason, f"{entry.key}: {error}") from error
        payload, name = pixels.payload, f"{data.name}/{entry.key}"
        content = (
            payload if isinstance(payload, bytes) else f"{payload.shape}{payload.dtype}".encode() + payload.tobytes()
        )
        uid = sample_uid(hashlib.sha256(content).hexdigest(), region=name)
        rule = f"{data.name}@{self.version}"
        regions = [_region(uid, n, box, rule) for n, box in enumerate((*entry.boxes, *pixels.boxes))]
        rows = {table: [{**row, "uid": uid} for row in rows] for table, rows in pixels.tables.items()}
        if entry.questions:
            rows |= question_rows(uid, entry.questions, source=entry.key, provider=data.name)
        yield Record(
            uid,
            f"{data.name}/{entry.subject or entry.key}",
            name,
            payload,
            {
                "kind": "image",
                "modality": data.modality,
                "gsd_m": data.gsd_m,
                **pixels.row,
                **entry.row,
                "study": f"{data.name}/{entry.study}" if entry.study else None,
            },
            pixels.preview,
            split=entry.split,
            labels=entry.labels,
            texts=entry.texts,
            text_source=entry.key,
            text_kind=entry.caption_kind or data.caption_kind,
            text_provider=data.name,
            attributes=entry.attributes,
            tables=rows | {"regions": [*regions, *rows.get("regions", [])]},
        )


def _region(uid: str, number: int, box: Box, rule: str) -> Row:
    key = hashlib.sha256(f"{uid}\0{number}\0{box.phrase}\0{box.box}".encode()).hexdigest()[:24]
    return {
        "region_id": key,
        "uid": uid,
        "phrase": box.phrase,
        "box": list(box.box),
        "angle": box.angle,
        "source": f"{rule}/{box.note}" if box.note else rule,
    }
