"""Layout: CSV tables of picture paths with captions or class labels, one table a split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtile.corpus.ingest.table import read_table
from voxtile.errors import InputError
from voxtile_remote_sensing.recipes.dataset import SPLITS, Entry, Pixels
from voxtile_remote_sensing.recipes.pixels import picture_pixels
from voxtile_remote_sensing.recipes.reading import read_lines


@dataclass(frozen=True)
class PairTables:
    """Tables with a column of paths.

    Attributes:
        patterns: globs of the tables, relative to the dataset's folder; all that match are read.
        text_columns: columns with captions; each that exists gives one.
        label_column: column with the class, by name or number; empty if there is none.
        class_names: file with the class names in order, beside the table.
        vocabulary: name of the labels.
        split: of all tables, where their names do not say.
        subject: regular expression whose first group, in a path's file name, is the subject; the picture without it.
        roots: where paths begin, relative to the dataset's folder.
    """

    patterns: tuple[str, ...]
    text_columns: tuple[str, ...] = ()
    label_column: str = ""
    class_names: str = "classnames.txt"
    vocabulary: str = ""
    split: str | None = None
    subject: str = ""
    roots: tuple[str, ...] = (".", "images")

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the tables; a picture in several tables is one with all their captions.

        A subject that is in the test set stays out of the others, and one in validation out of training: a place that
        was photographed twice must not be on both sides.

        Raises:
            InputError: no table, or one without the columns.
        """
        tables = sorted({path for pattern in self.patterns for path in root.glob(pattern)})
        if not tables:
            raise InputError(f"'{root}' has no table {' or '.join(self.patterns)}; download it beside the pictures")
        texts: dict[str, dict[str, None]] = {}
        splits: dict[str, str | None] = {}
        labels: dict[str, str] = {}
        bases: dict[str, str] = {}
        for path in tables:
            self._read(path, root, texts, splits, labels, bases)
        rank = {"test": 2, "val": 1, "train": 0, None: -1}
        claimed: dict[str, str | None] = {}
        for name, split in splits.items():
            subject = self._subject(name)
            claimed[subject] = max(claimed.get(subject), split, key=lambda s: rank[s])
        for name, split in splits.items():
            subject = self._subject(name)
            if claimed[subject] != split:
                continue
            concepts = {self.vocabulary: (labels[name],)} if name in labels else {}
            yield Entry(
                name, (self._file(root, bases[name], name),), split, concepts, tuple(texts[name]), subject=subject
            )

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())

    def _read(
        self,
        path: Path,
        root: Path,
        texts: dict[str, dict[str, None]],
        splits: dict[str, str | None],
        labels: dict[str, str],
        bases: dict[str, str],
    ) -> None:
        table = read_table(path)
        names = table.column(table.need(("filepath", "file", "image", "filename"), "picture paths"))
        known = [column for column in self.text_columns if table.find((column,))]
        if self.text_columns and not known and not self.label_column:
            table.need(self.text_columns, "captions")
        captions = [table.column(table.need((column,), "captions")) for column in known]
        classes: list[str | None] = [None] * len(names)
        if self.label_column:
            classes = table.column(table.need((self.label_column,), "classes"))
            classes = [self._class(path, value) for value in classes]
        words = re.split(r"[^a-z]+", path.stem.casefold())
        split = self.split or next((SPLITS[word] for word in words if word in SPLITS), None)
        for number, name in enumerate(names):
            if not name:
                continue
            splits.setdefault(name, split)
            bases.setdefault(name, path.parent.relative_to(root).as_posix())
            texts.setdefault(name, {}).update(dict.fromkeys(c[number] or "" for c in captions if c[number]))
            if classes[number]:
                labels[name] = classes[number] or ""

    def _class(self, table: Path, value: str | None) -> str | None:
        if value is None or not value.isdigit():
            return value
        names = read_lines(table.parent / self.class_names)
        if int(value) >= len(names):
            raise InputError(f"'{table}' has the class {value}, but '{self.class_names}' names {len(names)}")
        return names[int(value)]

    def _subject(self, name: str) -> str:
        match = re.search(self.subject, Path(name).name) if self.subject else None
        return match.group(1) if match else name

    def _file(self, root: Path, base: str, name: str) -> str:
        for folder in (*self.roots, base):
            candidate = Path(folder) / name
            if (root / candidate).is_file():
                return candidate.as_posix()
        return name
