"""Pairs in Parquet files: img2dataset's layout, Hugging Face's image columns, or paths beside the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.edges import edge_digest
from voxtile.corpus.ingest.pairs import NO_IMAGE, Pair, PairTask, files_under
from voxtile.corpus.ingest.paths import local_file
from voxtile.corpus.ingest.picture import PictureError
from voxtile.corpus.ingest.table import column_key
from voxtile.errors import InputError

IMAGE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "image_bytes", "bytes", "img")
PATH_COLUMNS = ("filepath", "path", "file", "file_name", "filename", "image_path", "image")
URL_COLUMNS = ("url", "image_url")
TEXT_COLUMNS = ("caption", "captions", "text", "texts", "txt", "title", "sentence", "report")


@dataclass(frozen=True)
class Columns:
    """Which columns of one file are used; exactly one of `image`, `path` and `url` is not None."""

    image: str | None
    path: str | None
    url: str | None
    text: str


@dataclass(frozen=True)
class ParquetTask(PairTask):
    """Reads rows of Parquet files. `image_column` and `text_column` override the search by name."""

    image_column: str | None = None
    text_column: str | None = None

    @property
    def name(self) -> str:
        """Short name of the format."""
        return "parquet"

    def config(self) -> Mapping[str, Any]:
        """The options and the columns."""
        return {**super().config(), "image_column": self.image_column, "text_column": self.text_column}

    def pairs(self) -> Iterator[Pair]:
        """List every row; a file that cannot be read gives one broken pair."""
        root = Path(self.root)
        for path in files_under(root, frozenset({".parquet"})):
            name = path.name if path == root else path.relative_to(root).as_posix()
            try:
                yield from self._rows_of(path, name)
            except (pa.ArrowException, OSError) as error:
                sentence = (
                    f"'{name}' is not a readable Parquet file ({' '.join(str(error).split())[:150]}); download it again"
                )
                yield Pair(name, {"file": name, "nbytes": path.stat().st_size}, broken=sentence)
            except InputError as error:
                yield Pair(
                    name, {"file": name, "nbytes": path.stat().st_size}, broken=str(error).replace(str(path), name)
                )

    def image(self, where: Mapping[str, Any]) -> bytes:
        """The image's bytes, from the row or from the file that it names."""
        path, columns = self._open(where)
        if columns.image is not None:
            data = _image_bytes(_row_group(path, where["group"], columns)[columns.image][where["row"]].as_py())
            if data is not None:
                return data
        elif columns.path is not None and where["path"] is not None:
            return local_file(path.parent, where["path"]).read_bytes()
        note = "only a URL, and import never uses the network" if columns.url else "the row is empty"
        raise PictureError(NO_IMAGE, f"no image bytes ({note}); download the images first, e.g. with img2dataset")

    def texts(self, where: Mapping[str, Any]) -> list[str | bytes]:
        """The row's text, or texts where the column holds lists."""
        path, columns = self._open(where)
        value = _row_group(path, where["group"], columns)[columns.text][where["row"]].as_py()
        return [text for text in (value if isinstance(value, list) else [value]) if text is not None]

    def _open(self, where: Mapping[str, Any]) -> tuple[Path, Columns]:
        root = Path(self.root)
        path = root if root.is_file() else root / where["file"]
        return path, find_columns(path, self.image_column, self.text_column)

    def _rows_of(self, path: Path, name: str) -> Iterator[Pair]:
        columns = find_columns(path, self.image_column, self.text_column)
        for group in range(pq.read_metadata(path).num_row_groups):
            table = _row_group(path, group, columns)
            for row in range(table.num_rows):
                where: dict[str, Any] = {"file": name, "group": group, "row": row, "path": None}
                source = f"{name}/{group}/{row}"
                try:
                    data = self._planned(path, columns, table, row, where)
                except (PictureError, OSError) as error:
                    yield Pair(source, {**where, "unreadable": str(error).replace(str(path.parent), ".")})
                    continue
                if data is None:
                    yield Pair(source, where)
                    continue
                digest = hashlib.sha256(data).hexdigest()
                yield Pair(source, where, len(data), edge_digest(len(data), data, data), partial(str, digest))

    def _planned(self, path: Path, columns: Columns, table: pa.Table, row: int, where: dict[str, Any]) -> bytes | None:
        if columns.image is not None:
            return _image_bytes(table[columns.image][row].as_py())
        if columns.path is not None:
            where["path"] = table[columns.path][row].as_py()
            return local_file(path.parent, where["path"]).read_bytes() if where["path"] else None
        return None


@lru_cache(maxsize=256)
def find_columns(path: Path, image_column: str | None, text_column: str | None) -> Columns:
    """Choose the columns by their names and types.

    Raises:
        InputError: no text or no image column; the message lists the columns.
    """
    schema = pq.read_schema(path)
    by_key = {column_key(name): name for name in reversed(schema.names)}

    def find(names: tuple[str, ...], wanted: str | None, *, binary: bool) -> str | None:
        keys = [wanted] if wanted else [by_key[column_key(n)] for n in names if column_key(n) in by_key]
        return next((k for k in keys if k in schema.names and _is_image_type(schema.field(k).type) == binary), None)

    text = find(TEXT_COLUMNS, text_column, binary=False)
    image = find(IMAGE_COLUMNS, image_column, binary=True)
    path_column = None if image else find(PATH_COLUMNS, image_column, binary=False)
    url = None if image or path_column else find(URL_COLUMNS, None, binary=False)
    what = "text" if text is None else "image bytes, path or URL"
    if text is None or not (image or path_column or url):
        option = "text" if text is None else "image"
        raise InputError(
            f"'{path}' has no column with the {what}; name it with --{option}-column; "
            f"its columns are: {', '.join(schema.names)}"
        )
    return Columns(image, path_column, url, text)


@lru_cache(maxsize=1)
def _row_group(path: Path, group: int, columns: Columns) -> pa.Table:
    wanted = [name for name in (columns.image, columns.path, columns.text) if name is not None]
    return pq.ParquetFile(path).read_row_group(group, columns=wanted)


def _is_image_type(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_bytes(value: bytes | dict[str, bytes | None] | None) -> bytes | None:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data or None
