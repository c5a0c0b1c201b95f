"""The engine task of all recipes, and the function behind `voxtile build NAME SOURCE CORPUS`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_datasets.recipes.download import such_as, tell_classes, tell_incomplete
from voxtile_remote_sensing.recipes.dataset import Box, Dataset, Entry, Pixels


@dataclass(frozen=True)
class RecipeTask:
    """One item a sample.

    Attributes:
        root: the dataset's folder; no part of the identity.
        dataset: what is known of it.
        fractions: split → share, for samples without an official split.
    """

    root: str
    dataset: Dataset
    fractions: Mapping[str, float]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return self.dataset.name

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, and where the dataset is from."""
        return {
            "dataset": self.dataset.name,
            "source": self.dataset.source,
            "licence": self.dataset.licence,
            "fractions": dict(self.fractions),
        }

    def items(self) -> Iterator[Item]:
        """The layout's entries; a file that is missing becomes a dropped row, unless all are."""
        root = Path(self.root)
        sizes: dict[str, tuple[int, str] | None] = {}
        splits: dict[str, str] = {}
        found, missing = 0, list[str]()
        seen: dict[str, set[str]] = {name: set() for name in self.dataset.vocabularies}
        for entry in self.dataset.layout.entries(root):
            for file in entry.files:
                if file not in sizes:
                    path = root / file
                    sizes[file] = file_edges(path) if path.is_file() else None
            edges = [sizes[file] for file in entry.files]
            subject = entry.subject or entry.key
            if entry.split and splits.setdefault(subject, entry.split) != entry.split:
                raise InputError(
                    f"{self.dataset.title}: '{subject}' is in the splits {splits[subject]} and {entry.split}; "
                    "take the split files of one release"
                )
            if all(edges):
                found += 1
                for name, concepts in entry.labels.items():
                    seen.setdefault(name, set()).update(concepts)
            else:
                missing.append(entry.files[edges.index(None)])
            cost = sum(edge[0] for edge in edges if edge) if not entry.part else 1 << 16
            inputs = {"entry": entry.to_inputs(), "edges": [edge[1] if edge else None for edge in edges]}
            yield Item(f"{self.dataset.name}/{entry.key}", inputs, cost=max(1, cost))
        if not found:
            raise InputError(
                f"'{root}' holds no file of {self.dataset.title} where its tables say{such_as(missing)}; give the "
                f"folder that the download is unpacked to ({self.dataset.source})"
            )
        tell_incomplete(root, self.dataset.title, found, missing)
        for name, concepts in self.dataset.vocabularies.items():
            tell_classes(root, self.dataset.title, concepts, seen[name])

    def process(self, item: Item) -> Outcome:
        """Read one sample and store what is known of it."""
        entry = Entry.from_inputs(item.inputs["entry"])
        missing = [f for f, edge in zip(entry.files, item.inputs["edges"], strict=True) if edge is None]
        if missing:
            return Outcome("dropped", "missing-file", f"'{missing[0]}' is not in the folder")
        try:
            pixels = self.dataset.layout.read(Path(self.root), entry)
        except PictureError as error:
            return Outcome("failed", error.reason, f"{entry.key}: {error}")
        sample = self._sample(entry, pixels)
        return Outcome("used", samples=(sample,), tables=self._tables(entry, pixels, sample.row["uid"]))

    def _sample(self, entry: Entry, pixels: Pixels) -> Sample:
        payload = pixels.payload
        content = (
            payload if isinstance(payload, bytes) else f"{payload.shape}{payload.dtype}".encode() + payload.tobytes()
        )
        region = f"{self.dataset.name}/{entry.key}"
        row: Row = {
            "kind": "image",
            "modality": self.dataset.modality,
            "gsd_m": self.dataset.gsd_m,
            **pixels.row,
            **entry.row,
            "uid": sample_uid(hashlib.sha256(content).hexdigest(), region=region),
            "subject": f"{self.dataset.name}/{entry.subject or entry.key}",
            "study": f"{self.dataset.name}/{entry.study}" if entry.study else None,
            "source": region,
            "licence": self.dataset.licence,
            "attributes": json.dumps(dict(entry.attributes), sort_keys=True, default=str) if entry.attributes else None,
        }
        array = isinstance(payload, np.ndarray)
        return Sample(row, np.ascontiguousarray(payload) if array else payload, pixels.preview)

    def _tables(self, entry: Entry, pixels: Pixels, uid: str) -> dict[str, list[Row]]:
        rule = f"{self.dataset.name}@{self.version}"
        subject = f"{self.dataset.name}/{entry.subject or entry.key}"
        split = entry.split or split_of(subject, self.fractions)
        texts = check_texts(entry.texts)
        kind = entry.caption_kind or self.dataset.caption_kind
        tables: dict[str, list[Row]] = {
            "captions": caption_rows(uid, texts.accepted, source=entry.key, kind=kind, provider=self.dataset.name),
            "facts": [
                {"uid": uid, "concept": concept, "polarity": "present", "source": rule}
                for concepts in entry.labels.values()
                for concept in concepts
            ],
            "scopes": [
                {"uid": uid, "vocabulary": name, "closed": True, "concepts": list(self.dataset.vocabularies[name])}
                for name in entry.labels
                if name in self.dataset.vocabularies
            ],
            "regions": [_region(uid, n, box, rule) for n, box in enumerate((*entry.boxes, *pixels.boxes))],
            "splits": [{"scheme": "default", "subject": subject, "split": split}],
        }
        for name, rows in pixels.tables.items():
            tables.setdefault(name, []).extend({**row, "uid": uid} for row in rows)
        return {name: rows for name, rows in tables.items() if rows}


def build(
    dataset: Dataset,
    source: Path,
    corpus: Path,
    split_fractions: str,
    run: RunOptions,
) -> None:
    """Build a corpus from a dataset's folder.

    Args:
        dataset: what is known of it.
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: how to run.

    Raises:
        InputError: the folder is not laid out like the dataset.
        RunFailedError: some samples could not be read; the rest is stored.
    """
    if not source.is_dir():
        raise InputError(f"'{source}' is not a folder; give the folder that {dataset.title} is unpacked to")
    task = RecipeTask(str(source), dataset, parse_fractions(split_fractions))
    run_task(task, corpus, run, plan_apart=True).raise_if_failed()


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
