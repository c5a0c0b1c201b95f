"""MedTrinity-25M as a whole: pictures in tars packed by Zstandard, captions in Parquet files beside them.

The layout is that of the loaders in public repositories: `25M_accessible/*.tar.zst` holds the pictures that may be
passed on, and `25M_full/*.parquet` a row a picture with `file_name`, `caption` and `source`, of the others too.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.corpus.identity import file_edges, printable, sample_uid
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.file_edges import probe_digest
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile_datasets.recipes.recipe import Recipe, Record
from voxtile_medical.recipes.pictures.parquet_rows import ParquetSet

SHARDS = "*.tar.zst"
_NAME, _CAPTION, _SOURCE = "file_name", "caption", "source"
_ENDINGS = (".jpg", ".jpeg", ".png")
_LARGEST = 256 << 20  # bytes of a picture
_ROWS = 1 << 16  # of the tables that are read at once

Told: TypeAlias = dict[str, tuple[str | None, str | None]]
"""File name → caption and the set that the picture is from."""


@dataclass(frozen=True)
class ZstdShards(Recipe):
    """Pictures in packed tars; an item is a tar, which is read in its order and never unpacked to disk.

    Attributes:
        data: what its YAML file says.
    """

    lists_apart: ClassVar[bool] = True

    data: ParquetSet

    def config(self) -> dict[str, Any]:
        """Which set it is, where it is from, and what its makers ask for."""
        return {"set": self.data.name, "source": self.data.source, "access": self.data.access, "files": SHARDS}

    def items(self, root: Path) -> Iterator[Item]:
        """The tars."""
        if not self._tables(root):
            raise InputError(
                f"'{root}' has tars of {self.data.title} and no Parquet file with the columns {_NAME} and {_CAPTION}; "
                f"download its tables (25M_full) beside them from {self.data.source}"
            )
        tables = [probe_digest(path) for path in self._tables(root)]  # what they say of the pictures may be corrected
        for path in sorted(root.rglob(SHARDS)):
            name = path.relative_to(root).as_posix()
            inputs = {"file": name, "edges": file_edges(path)[1], "tables": tables}
            yield Item(f"{self.data.name}/{name}", inputs, cost=max(1, path.stat().st_size))

    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The pictures of a tar; one that cannot be read is a row of the ledger beside the others.

        The tar is read twice, for the tables have many more rows than it has pictures.
        """
        name = item.inputs["file"]
        with _opened(root / name, name) as tar:
            names = {PurePosixPath(member.name).name for member in tar if member.isfile()}
        told = self._told(root, names)
        with _opened(root / name, name) as tar:
            for number, member in enumerate(tar):
                if member.isdir():
                    continue
                yield self._record(tar, member, told, f"{name}/{number}", f"{item.source}#{number}")

    def _record(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, told: Told, place: str, source: str
    ) -> Record | Part:
        data, path = self.data, PurePosixPath(member.name)
        uid = sample_uid(hashlib.sha256(b"").hexdigest(), region=f"{data.name}/{place}")
        if not member.isfile():
            return Part(uid, "dropped", "not-a-file", f"member {place} is a link or a device", source)
        if path.is_absolute() or ".." in path.parts:
            return Part(uid, "dropped", "unsafe-name", f"member {place} leads out of the folder", source)
        if path.suffix.lower() not in _ENDINGS:
            return Part(
                uid, "dropped", "not-a-picture", f"member {place} ends with none of {', '.join(_ENDINGS)}", source
            )
        if path.name not in told:
            return Part(uid, "dropped", "not-listed", f"no table has the picture of member {place}", source)
        if member.size > _LARGEST:
            return Part(uid, "failed", "too-large", f"member {place} has more than {_LARGEST >> 20} MiB", source)
        file = tar.extractfile(member)
        encoded = file.read() if file is not None else b""
        key = printable(path.name)
        uid = sample_uid(hashlib.sha256(encoded).hexdigest(), region=f"{data.name}/{key}")
        try:
            found = read_picture(encoded)
        except PictureError as error:
            return Part(uid, "failed", error.reason, f"member {place}: {error}", source)
        caption, origin = told[path.name]
        return Record(
            uid,
            f"{data.name}-{key}",
            f"{data.name}/{key}",
            found.payload,
            {"kind": "image", "modality": data.modality, **found.columns()},
            found.preview,
            texts=(caption,) if caption else (),
            text_source=place,
            text_kind=data.caption_kind,
            text_provider=data.name,
            attributes={_SOURCE: origin} if origin else {},
        )

    def _tables(self, root: Path) -> list[Path]:
        """Parquet files with captions by file name; those that hold pictures themselves are not."""
        paths = [path for path in sorted(root.rglob(self.data.files)) if path.is_file()]
        return [path for path in paths if {_NAME, _CAPTION} <= set(_schema(path, root).names)]

    def _told(self, root: Path, names: set[str]) -> Told:
        """What the tables say of some pictures; the first row of a picture counts."""
        wanted = pa.array(sorted(names), pa.string())
        told: Told = {}
        for path in self._tables(root):
            columns = [name for name in (_NAME, _CAPTION, _SOURCE) if name in _schema(path, root).names]
            try:
                for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=columns):
                    kept = batch.filter(pc.is_in(batch.column(_NAME).cast(pa.string()), value_set=wanted))
                    for row in kept.to_pylist():
                        told.setdefault(str(row[_NAME]), (_text(row, _CAPTION), _text(row, _SOURCE)))
            except (pa.ArrowException, OSError) as error:
                place = path.relative_to(root).as_posix()
                raise PictureError("decode-error", f"'{place}' is damaged; download it again") from error
        return told


def _text(row: Mapping[str, Any], column: str) -> str | None:
    return str(row[column]) if row.get(column) is not None else None


def _schema(path: Path, root: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        name = path.relative_to(root).as_posix()
        raise InputError(f"'{name}' is no Parquet file ({type(error).__name__}); download it again") from error


@contextmanager
def _opened(path: Path, name: str) -> Iterator[tarfile.TarFile]:
    """A packed tar as a stream.

    Raises:
        PictureError: it is cut off or damaged.
    """
    try:
        with pa.input_stream(str(path), compression="zstd") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            yield tar
    except (tarfile.TarError, pa.ArrowException, OSError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise PictureError("truncated", f"'{name}' is damaged or cut off; download it again") from error
