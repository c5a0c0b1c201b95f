"""Recipes whose samples are files: a list of entries, of which those that are not there are told and dropped."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.file_edges import telling_edges
from voxtile_datasets.recipes.download import not_a_folder, still_packed, such_as, tell_classes, tell_incomplete
from voxtile_datasets.recipes.recipe import MissingFileError, Recipe, Record

_PART_COST = 1 << 16  # of an entry that is a part of a file


@dataclass(frozen=True)
class Box:
    """A phrase and where in the picture it holds.

    Attributes:
        phrase: expression or class.
        box: min row, min column, max row, max column, in pixel edges.
        angle: degrees counter-clockwise by which the box is turned about its centre; None for an upright one.
        note: what distinguishes it, e.g. the split of the expression.
    """

    phrase: str
    box: tuple[float, float, float, float]
    angle: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """One sample to be, before a pixel is read; all values are JSON-able.

    Attributes:
        key: unique in the dataset, also the ledger's name.
        files: its files, relative to the dataset's folder.
        split: train, val or test where the dataset says; None for a keyed choice by subject.
        labels: vocabulary → concepts that are present; the others of the dataset's list are absent.
        texts: captions.
        boxes: regions.
        subject: the unit of splitting; the key where there is none.
        study: samples that belong together (dates of a place, sensors, parts of a figure).
        part: where in the file it lies (offset, index), if not all of it.
        row: columns of the samples table that are known.
        attributes: facts for the row's `attributes`.
        caption_kind: of its captions where it is not the dataset's.
        questions: (question, answer) about it, which are no captions.
        is_missing: a table names it, and the listing did not find it; its files are not looked for.
    """

    key: str
    files: tuple[str, ...]
    split: str | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    subject: str | None = None
    study: str | None = None
    part: Mapping[str, Any] = field(default_factory=dict)
    row: Row = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    caption_kind: str | None = None
    questions: tuple[tuple[str, str], ...] = ()
    is_missing: bool = False

    def to_inputs(self) -> dict[str, Any]:
        """As JSON-able values; kind and questions only where they are given, so that samples keep their jobs."""
        left_out = {"is_missing", *(name for name in ("caption_kind", "questions") if not getattr(self, name))}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @classmethod
    def from_inputs(cls, values: Mapping[str, Any]) -> Entry:
        """Back from `to_inputs`, also after a trip through JSON."""
        boxes = tuple(Box(b["phrase"], tuple(b["box"]), b["angle"], b["note"]) for b in values["boxes"])
        labels = {name: tuple(concepts) for name, concepts in values["labels"].items()}
        rest = {k: v for k, v in values.items() if k not in ("boxes", "labels", "files", "texts", "questions")}
        questions = tuple((question, answer) for question, answer in values.get("questions", ()))
        files, texts = tuple(values["files"]), tuple(values["texts"])
        return cls(files=files, texts=texts, boxes=boxes, labels=labels, questions=questions, **rest)


class FileRecipe(Recipe):
    """A recipe that lists its samples as entries, each of one or more files."""

    lists_apart: ClassVar[bool] = True

    @abstractmethod
    def entries(self, root: Path) -> Iterator[Entry]:
        """The samples, in a fixed order.

        Raises:
            InputError: the folder is not laid out so; the sentence says what was expected where.
        """

    @abstractmethod
    def record(self, root: Path, entry: Entry, item: Item) -> Iterator[Record | Part]:
        """The sample of an entry; also a `Part` for what of it cannot be read.

        Raises:
            InputError: a file is damaged.
        """

    def check(self, root: Path) -> None:
        """Refuse what is no folder."""
        if not root.is_dir():
            raise InputError(not_a_folder(root, self.data.title, self.data.source))

    def items(self, root: Path) -> Iterator[Item]:
        """The entries; one whose file is missing becomes a dropped row, unless all are."""
        edges: dict[str, tuple[int, str] | None] = {}
        found, missing = 0, list[str]()
        seen: dict[str, set[str]] = {name: set() for name in self.vocabularies}
        for entry in self.entries(root):
            for file in () if entry.is_missing else entry.files:
                if file not in edges:
                    path = root / file
                    edges[file] = telling_edges(path) if path.is_file() else None
            own = [None if entry.is_missing else edges[file] for file in entry.files]
            if all(own):
                found += 1
                for name, concepts in entry.labels.items():
                    seen.setdefault(name, set()).update(concepts)
            else:
                missing.append(entry.files[own.index(None)])
            yield self.item(entry, own)
        title = self.data.title
        if not found:
            raise InputError(
                f"'{root}' holds no picture of {title}{such_as(missing)}{still_packed(root)}; give the "
                f"folder that the download is unpacked to ({self.data.source})"
            )
        tell_incomplete(root, title, found, missing)
        for name, classes in self.vocabularies.items():
            tell_classes(root, title, classes, seen[name])

    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The sample of the item's entry."""
        entry = self.entry_of(item)
        if entry.is_missing:
            raise MissingFileError(f"'{entry.files[0]}' is not in the folder")
        yield from self.record(root, entry, item)

    def item(self, entry: Entry, edges: Sequence[tuple[int, str] | None]) -> Item:
        """An entry as work to do.

        Args:
            entry: any.
            edges: size and hash of the edges of each of its files; None for one that is not there.
        """
        inputs = {"entry": entry.to_inputs(), "edges": [edge[1] if edge else None for edge in edges]}
        cost = _PART_COST if entry.part else sum(edge[0] for edge in edges if edge)
        return Item(f"{self.data.name}/{entry.key}", inputs, cost=max(1, cost))

    def entry_of(self, item: Item) -> Entry:
        """Back from `item`; missing where a file was, which is then the first of its files."""
        entry = Entry.from_inputs(item.inputs["entry"])
        missing = [file for file, edge in zip(entry.files, item.inputs["edges"], strict=True) if edge is None]
        return Entry(entry.key, tuple(missing), is_missing=True) if missing else entry
