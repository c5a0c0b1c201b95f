"""The proof: every byte of a folder searched for what was of a subject, compressed parts decompressed."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile_datasets.forgetting.needles import Needles

_BLOCK = 1 << 24


@dataclass
class Searched:
    """What was looked through, and what was found.

    Attributes:
        files, nbytes: as they lie on the disk.
        unpacked: bytes of what was decompressed.
        found: where → kinds of what was found there.
        patterns: what was found.
        closed: files that could not be decompressed.
    """

    files: int = 0
    nbytes: int = 0
    unpacked: int = 0
    found: dict[str, set[str]] = field(default_factory=dict)
    patterns: set[bytes] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)

    def search_tree(self, root: Path, needles: Needles, *, shown: Path | None = None) -> None:
        """Search the names and bytes of all files below a folder.

        Args:
            root: the folder.
            needles: what to look for.
            shown: what the folder is called in `found`.
        """
        for path in sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink()):
            self.search_file(path, needles, shown=(shown or root) / path.relative_to(root))
            self._note((shown or root) / path.relative_to(root), needles, needles.found_in(path.name.encode()))

    def search_file(self, path: Path, needles: Needles, *, shown: Path | None = None) -> None:
        """Search one file, also what it compresses where that is Parquet, gzip or zip (with `.npz`)."""
        if not path.is_file():
            return
        self.files += 1
        self.nbytes += path.stat().st_size
        self._note(shown or path, needles, needles.found_in_file(path))
        try:
            for piece, values in unpacked(path):
                self.unpacked += len(piece)
                self._note(shown or path, needles, needles.found_in(piece))
                if not needles.short.isdisjoint(values):
                    self.found.setdefault(str(shown or path), set()).add("subjects")
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError, pa.ArrowException):
            self.closed.append(str(shown or path))

    def search_pieces(self, where: str, pieces: Iterator[bytes], needles: Needles) -> None:
        """Search what somebody else has decompressed."""
        for piece in pieces:
            self.unpacked += len(piece)
            self._note(where, needles, needles.found_in(piece))

    def _note(self, where: Path | str, needles: Needles, patterns: set[bytes]) -> None:
        for pattern in patterns:
            self.found.setdefault(str(where), set()).add(needles.kind(pattern))
            self.patterns.add(pattern)


def unpacked(path: Path) -> Iterator[tuple[bytes, Sequence[str]]]:
    """What a file compresses, in pieces, each with the short texts that are whole values of a table.

    Raises:
        OSError, ValueError, …: it is not what its name says.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for column in batch.columns:
                    for texts in _texts_in(column):
                        yield _joined(texts), _short(texts)
    elif suffix == ".gz":
        with gzip.open(path) as stream:
            yield from ((block, ()) for block in iter(lambda: stream.read(_BLOCK), b""))
    elif suffix in (".zip", ".npz"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as stream:
                    yield from ((block, ()) for block in iter(lambda: stream.read(_BLOCK), b""))


def _texts_in(values: pa.Array) -> Iterator[pa.Array]:
    """The texts and bytes of a column, however deep in lists and structures."""
    kind = values.type
    if pa.types.is_struct(kind):
        for column in values.flatten():
            yield from _texts_in(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _texts_in(values.flatten())
    elif pa.types.is_map(kind):
        yield from _texts_in(values.keys)
        yield from _texts_in(values.items)
    elif pa.types.is_dictionary(kind):
        yield from _texts_in(values.dictionary)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield values.drop_null().cast(pa.large_string())
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        yield values.drop_null().cast(pa.large_binary())


def _joined(texts: pa.Array) -> bytes:
    """All values with a zero byte between them, so that none runs into the next."""
    if not len(texts):
        return b""
    binary = texts.cast(pa.large_binary())
    listed = pa.ListArray.from_arrays(pa.array([0, len(binary)], pa.int32()), binary)
    whole = pc.binary_join(listed, pa.scalar(b"\0", pa.large_binary()))
    joined: bytes = whole[0].as_py()
    return joined


def _short(texts: pa.Array) -> list[str]:
    if not pa.types.is_large_string(texts.type) or not len(texts):
        return []
    short: list[str] = pc.unique(texts.filter(pc.less(pc.binary_length(texts), 6))).to_pylist()
    return short
