"""Pairs in a delimited file: a column of paths and a column of texts, several rows an image allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import file_edges
from voxtile.corpus.splits import SPLIT_NAMES
from voxtile.errors import InputError
from voxtile.file_edges import file_sha256
from voxtile.stages.ingest.pairs import Pair, PairTask
from voxtile.stages.ingest.paths import local_file
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.rows import PATH_COLUMNS, SPLIT_COLUMNS, TEXT_COLUMNS
from voxtile.stages.ingest.table import SUBJECT_COLUMNS, Table, composed, delimited_rows, is_missing


@dataclass(frozen=True)
class CsvTask(PairTask):
    """Reads a CSV or TSV (open_clip's `filepath` and `title` too). `root` is the folder of the images.

    Attributes:
        table: the CSV file.
        image_column: overrides the search by name.
        text_column: overrides the search by name.
    """

    table: str = ""
    image_column: str | None = None
    text_column: str | None = None

    @property
    def name(self) -> str:
        """Short name of the format."""
        return "csv"

    def config(self) -> Mapping[str, Any]:
        """The options and the columns."""
        return {**super().config(), "image_column": self.image_column, "text_column": self.text_column}

    def pairs(self) -> Iterator[Pair]:
        """One pair an image, in the order of their first rows, with the texts of all its rows."""
        root = Path(self.root)
        for name, where in self._images().items():
            try:
                path = local_file(root, name)
                size, edges = file_edges(path)
            except (PictureError, OSError) as error:
                yield Pair(name, {**where, "unreadable": str(error).replace(self.root, ".")})
                continue
            yield Pair(name, where, size, edges, partial(file_sha256, path))

    def image(self, where: Mapping[str, Any]) -> bytes:
        """The image file's bytes."""
        return local_file(Path(self.root), where["path"]).read_bytes()

    def texts(self, where: Mapping[str, Any]) -> list[str | bytes]:
        """The texts of all rows of the image; a text that is not UTF-8 as its bytes."""
        return [text if isinstance(text, str) else bytes.fromhex(text["hex"]) for text in where["texts"]]

    def _images(self) -> dict[str, dict[str, Any]]:
        if not Path(self.table).is_file():
            raise InputError(f"the table '{self.table}' does not exist; give the path of a CSV or TSV file")
        rows = delimited_rows(Path(self.table), errors="surrogateescape")
        header = Table(Path(self.table), tuple(name.strip() for name in next(rows, [])), ())
        image = header.columns.index(
            header.need([self.image_column] if self.image_column else PATH_COLUMNS, "image path")
        )
        text = header.columns.index(header.need([self.text_column] if self.text_column else TEXT_COLUMNS, "text"))
        extra = {key: header.find(names) for key, names in (("subject", SUBJECT_COLUMNS), ("split", SPLIT_COLUMNS))}
        images: dict[str, dict[str, Any]] = {}
        splits: dict[str, str] = {}
        for number, row in enumerate(rows, start=2):
            if len(row) <= max(image, text):
                raise InputError(
                    f"'{self.table}' has {len(row)} fields in row {number}; the image or the text is missing"
                )
            if any(cell.strip() for cell in row[len(header.columns) :]):
                raise InputError(
                    f"'{self.table}' has {len(row)} fields in row {number} and {len(header.columns)} in its header; "
                    'put texts that hold the delimiter between quotation marks ("…")'
                )
            where = images.setdefault(row[image].strip(), {"path": row[image].strip(), "texts": []})
            where["texts"].append(_json_able(row[text]))
            for key, column in extra.items():
                value = dict(zip(header.columns, row, strict=False)).get(column or "", "").strip()
                value = "" if is_missing(value) else composed(value)
                value = SPLIT_NAMES.get(value.lower(), value) if key == "split" else value
                if value and where.setdefault(key, value) != value:
                    raise InputError(
                        f"'{self.table}' gives the image of row {number} another {key} than an earlier row; "
                        "give it one in all its rows"
                    )
            if where.get("split", "train") not in SPLIT_NAMES.values():
                raise InputError(f"'{self.table}' names another split in row {number}; use train, val or test")
            subject, split = where.get("subject"), where.get("split")
            if subject and split and splits.setdefault(subject, split) != split:
                raise InputError(
                    f"'{self.table}' puts a subject into the split '{split}' in row {number} and into "
                    f"'{splits[subject]}' in an earlier one; put all its images into one"
                )
        return images


def _json_able(text: str) -> str | dict[str, str]:
    """The text itself, or its bytes where it is not UTF-8 (the reader left them as lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"hex": text.encode(errors="surrogateescape").hex()}
    return text
