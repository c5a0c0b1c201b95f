"""Layout: CSV tables of picture paths with captions or class labels, one table a split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.table import read_table
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import read_lines


@dataclass
class _Picture:
    """What the tables say of one picture."""

    folder: str
    split: str | None
    is_rewritten: bool
    label: str | None = None
    texts: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class PairTables:
    """Tables with a column of paths.

    Attributes:
        patterns: globs of the tables, relative to the dataset's folder; all that match are read, unless `one_a_split`.
        text_columns: columns with captions; each that exists gives one.
        label_column: column with the class, by name or number; empty if there is none.
        class_names: file with the class names in order, beside the table.
        vocabulary: name of the labels.
        split: of all tables, where their names do not say.
        subject: regular expression whose first group, in a path's file name, is the subject; the picture without it.
        roots: where paths begin, relative to the dataset's folder.
        one_a_split: tables of one split are choices of the same pictures, so that one is read, never their union.
        chosen: names of the tables that the user wants; a split of which none is named takes its only table.
        rewritten: in the names of tables whose captions a language model has written.
    """

    patterns: tuple[str, ...]
    text_columns: tuple[str, ...] = ()
    label_column: str = ""
    class_names: str = "classnames.txt"
    vocabulary: str = ""
    split: str | None = None
    subject: str = ""
    roots: tuple[str, ...] = (".", "images")
    one_a_split: bool = False
    chosen: tuple[str, ...] = ()
    rewritten: str = ""

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the tables; a picture in several tables is one with all their captions.

        A subject that is in the test set stays out of the others, and one in validation out of training: a place that
        was photographed twice must not be on both sides.

        Raises:
            InputError: no table, several of a split of which one is to be chosen, or one without the columns.
            ConfigError: a chosen table is not there.
        """
        pictures: dict[str, _Picture] = {}
        for path in self._tables(root):
            self._read(path, root, pictures)
        rank = {"test": 2, "val": 1, "train": 0, None: -1}
        claimed: dict[str, str | None] = {}
        for name, picture in pictures.items():
            subject = self._subject(name)
            claimed[subject] = max(claimed.get(subject), picture.split, key=lambda s: rank[s])
        for name, picture in pictures.items():
            subject = self._subject(name)
            if claimed[subject] == picture.split:
                labels = {self.vocabulary: (picture.label,)} if picture.label else {}
                yield Entry(
                    name, (self._file(root, picture.folder, name),), picture.split, labels, tuple(picture.texts),
                    subject=subject, caption_kind="rewrite" if picture.is_rewritten else None,
                )  # fmt: skip

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())

    def _tables(self, root: Path) -> list[Path]:
        found = sorted({path for pattern in self.patterns for path in root.glob(pattern)})
        if not found:
            raise InputError(f"'{root}' has no table {' or '.join(self.patterns)}; download it beside the pictures")
        if not self.one_a_split:
            return found
        names = {path: path.relative_to(root).with_suffix("").as_posix() for path in found}
        wanted = {path for path, name in names.items() if {name, path.stem} & set(self.chosen)}
        unknown = set(self.chosen) - {name for path in found for name in (names[path], path.stem)}
        if unknown:
            raise ConfigError(f"'{root}' has no table '{min(unknown)}'; it has {', '.join(sorted(names.values()))}")
        chosen = []
        for split in dict.fromkeys(map(self._split, found)):
            of_split = [path for path in found if self._split(path) == split]
            picked = [path for path in of_split if path in wanted] or of_split
            if len(picked) > 1:
                raise InputError(
                    f"'{root}' has {len(picked)} tables of the split {split or 'all'} that choose among the same "
                    f"pictures, and one is read: name it with --tables ({', '.join(names[path] for path in picked)})"
                )
            chosen += picked
        lacking = [split for split in ("train", "val", "test") if split not in set(map(self._split, found))]
        if lacking:
            tell(f"'{root}' has no table of the split {some_of(lacking)}; download it if it is to be there")
        return chosen

    def _split(self, table: Path) -> str | None:
        words = re.split(r"[^a-z]+", table.stem.casefold())
        return self.split or next((SPLITS[word] for word in words if word in SPLITS), None)

    def _read(self, path: Path, root: Path, pictures: dict[str, _Picture]) -> None:
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
        folder, split = path.parent.relative_to(root).as_posix(), self._split(path)
        is_rewritten = bool(self.rewritten) and self.rewritten in path.stem
        for number, name in enumerate(names):
            if name:
                picture = pictures.setdefault(name, _Picture(folder, split, is_rewritten))
                picture.texts.update(dict.fromkeys(c[number] or "" for c in captions if c[number]))
                picture.label = classes[number] or picture.label

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
