"""Pairs in Parquet files: img2dataset's layout, Hugging Face's image columns, or paths beside the file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.identity import edge_digest
from voxtile.corpus.splits import SPLIT_NAMES, splits_of_files
from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.errors import InputError
from voxtile.stages.ingest.pairs import NO_IMAGE, Pair, PairTask, files_under, of_one_split, placed
from voxtile.stages.ingest.paths import local_file
from voxtile.stages.ingest.picture import PictureError
from voxtile.stages.ingest.table import SUBJECT_COLUMNS, as_text, column_key, composed, is_missing

IMAGE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "image_bytes", "bytes", "img")
PATH_COLUMNS = ("filepath", "path", "file", "file_name", "filename", "image_path", "image")
URL_COLUMNS = ("url", "image_url")
TEXT_COLUMNS = ("caption", "captions", "text", "texts", "txt", "title", "sentence", "report")
SPLIT_COLUMNS = ("split",)


MAX_FOOTER_BYTES = 1 << 20  # that the planning process parses itself; a thousand columns and groups have less


@dataclass(frozen=True)
class Columns:
    """Which columns of one file are used; exactly one of `image`, `path` and `url` is not None."""

    image: str | None
    path: str | None
    url: str | None
    text: str
    subject: str | None = None
    split: str | None = None


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
        """List every row; a file, or a part of one, that cannot be read gives one broken pair."""
        root = Path(self.root)
        files = files_under(root, frozenset({".parquet"}))
        names = [path.name if path == root else path.relative_to(root).as_posix() for path in files]
        return of_one_split(placed(self._rows_of(files, names), splits_of_files(names)))

    def _rows_of(self, files: Sequence[Path], names: Sequence[str]) -> Iterator[Pair]:
        groups: list[Group] = []
        for path, name, found in zip(files, names, self._outlines(files), strict=True):
            if isinstance(found, Outline):
                groups += [Group(path, name, number, found.columns) for number in range(found.groups)]
            else:
                sentence = found.replace(str(path), name) if isinstance(found, str) else _lost(name, found)
                groups.append(Group(path, name, -1, broken=sentence))
        readable = [group for group in groups if group.columns is not None]
        read = iter(self.reader.map(rows_of, readable, title="reading rows"))
        for group in groups:
            if group.broken is not None:
                nbytes = group.path.stat().st_size
                yield Pair(group.name, {"file": group.name, "nbytes": nbytes}, broken=group.broken)
            elif isinstance(rows := next(read), Failure):
                where = {"file": group.name, "nbytes": group.path.stat().st_size, "group": group.number}
                yield Pair(f"{group.name}/{group.number}", where, broken=_lost(group.name, rows))
            else:
                yield from rows

    def _outlines(self, files: Sequence[Path]) -> list[Outline | str | Failure]:
        """Short footers are read here, which is bounded by their length; long ones in supervised processes."""
        find = partial(outline, image_column=self.image_column, text_column=self.text_column)
        long = [path for path in files if _footer_bytes(path) > MAX_FOOTER_BYTES]
        apart = dict(zip(long, self.reader.map(find, long, title="reading footers"), strict=True))
        return [apart[path] if path in apart else find(path) for path in files]

    def image(self, where: Mapping[str, Any]) -> bytes:
        """The image's bytes, from the row or from the file that it names.

        Raises:
            PictureError: the row has no bytes and names no file.
        """
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
        return _texts(_row_group(path, where["group"], columns)[columns.text][where["row"]])

    def _open(self, where: Mapping[str, Any]) -> tuple[Path, Columns]:
        root = Path(self.root)
        path = root if root.is_file() else root / where["file"]
        return path, find_columns(path, self.image_column, self.text_column)


@dataclass(frozen=True)
class Outline:
    """What a file's footer says."""

    columns: Columns
    groups: int


@dataclass(frozen=True)
class Group:
    """One row group of a file, or (with a number below 0) a file that is broken as a whole."""

    path: Path
    name: str
    number: int
    columns: Columns | None = None
    broken: str | None = None


def outline(path: Path, image_column: str | None, text_column: str | None) -> Outline | str:
    """The columns and the number of row groups of a file, or why it cannot be read; in a supervised process."""
    try:
        return Outline(find_columns(path, image_column, text_column), pq.read_metadata(path).num_row_groups)
    except InputError as error:
        return str(error)
    except MemoryError:  # Arrow's own is an ArrowException, too
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return _unreadable(path.name, error)


def _footer_bytes(path: Path) -> int:
    """Length of the footer as the last eight bytes state it (Parquet format, file layout); 0 where there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read(8)
    return int.from_bytes(end[:4], "little") if end[4:] == b"PAR1" else 0


def rows_of(group: Group) -> Iterator[Pair]:
    """The pairs of a row group, in a supervised process."""
    columns = group.columns
    if columns is None:
        return
    table = _row_group(group.path, group.number, columns)
    for row in range(table.num_rows):
        where: dict[str, Any] = {"file": group.name, "group": group.number, "row": row, "path": None}
        source = f"{group.name}/{group.number}/{row}"
        where |= _placing(columns, table, row)
        try:
            data = _planned(group.path, columns, table, row, where)
        except UnicodeDecodeError:
            yield Pair(source, where, broken=f"{source}: the path of its image is not UTF-8; mend the file")
        except (PictureError, OSError) as error:
            yield Pair(source, {**where, "unreadable": str(error).replace(str(group.path.parent), ".")})
        else:
            yield _pair(source, where, data, _told(table[columns.text][row]))


def _placing(columns: Columns, table: pa.Table, row: int) -> dict[str, str]:
    """What the row says of its subject and its split; nothing where it has no such columns or they are blank."""
    found: dict[str, str] = {}
    for key, column in (("subject", columns.subject), ("split", columns.split)):
        value = None if column is None else as_text(table[column][row].as_py())
        if value is not None and not is_missing(value):
            found[key] = SPLIT_NAMES.get(value.lower(), value) if key == "split" else composed(value)
    return found


def _pair(source: str, where: dict[str, Any], data: bytes | None, told: str) -> Pair:
    if data is None:
        return Pair(source, where, told=told)
    digest = hashlib.sha256(data).hexdigest()
    return Pair(source, where, len(data), edge_digest(len(data), data, data), partial(str, digest), told=told)


def _told(value: pa.Scalar) -> str:
    return hashlib.sha256(repr(_texts(value)).encode("utf-8", "surrogateescape")).hexdigest()


def _planned(path: Path, columns: Columns, table: pa.Table, row: int, where: dict[str, Any]) -> bytes | None:
    if columns.image is not None:
        return _image_bytes(table[columns.image][row].as_py())
    if columns.path is not None:
        where["path"] = table[columns.path][row].as_py()
        return local_file(path.parent, where["path"]).read_bytes() if where["path"] else None
    return None


def _unreadable(name: str, error: Exception) -> str:
    return f"'{name}' is not a readable Parquet file ({' '.join(str(error).split())[:150]}); download it again"


def _lost(name: str, failure: Failure) -> str:
    if failure.reason in LOST:
        return f"reading '{name}' {how_lost(failure)}, for what its few bytes unpack to; check where it is from"
    return f"'{name}' is not a readable Parquet file ({' '.join(failure.sentence.split())[:150]}); download it again"


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
    return Columns(
        image, path_column, url, text, *(_plain(schema, by_key, n) for n in (SUBJECT_COLUMNS, SPLIT_COLUMNS))
    )


def _plain(schema: pa.Schema, by_key: Mapping[str, str], names: Sequence[str]) -> str | None:
    """The column of one of the names whose cells are texts or numbers."""
    found = (by_key[column_key(name)] for name in names if column_key(name) in by_key)
    return next((name for name in found if _is_plain(schema.field(name).type)), None)


def _is_plain(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return any(test(kind) for test in tests)


def _row_group(path: Path, group: int, columns: Columns) -> pa.Table:
    stated = path.stat()
    return _read_group(path, group, columns, (stated.st_ino, stated.st_size, stated.st_ctime_ns))


@lru_cache(maxsize=1)
def _read_group(path: Path, group: int, columns: Columns, _state: tuple[int, ...]) -> pa.Table:
    used = (columns.image, columns.path, columns.text, columns.subject, columns.split)
    wanted = [name for name in used if name is not None]
    return pq.ParquetFile(path).read_row_group(group, columns=wanted)


def _is_image_type(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_bytes(value: bytes | dict[str, bytes | None] | None) -> bytes | None:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data or None


def _texts(value: pa.Scalar) -> list[str | bytes]:
    """A text or the texts of a list; one that is not UTF-8 as its bytes, to be judged with the others."""
    if not value.is_valid:
        return []
    if isinstance(value, pa.ListScalar | pa.LargeListScalar):
        return [text for element in value.values for text in _texts(element)]
    try:
        text = value.as_py()
    except UnicodeDecodeError:
        return [value.as_buffer().to_pybytes()]
    return [text] if text is not None else []
