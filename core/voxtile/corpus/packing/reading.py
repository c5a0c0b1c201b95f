"""Packed parts of tables: many parts of one table in one Parquet file, each still a part of its own.

`voxtile compact` writes them, `tables/samples/packed-….parquet` for instance. Each part is a run of row groups, and the
file's metadata say where it begins and what the part was as a file of its own: its size, its hash, and what compiled
views know it by. So a part has the same name, the same rows in the same place, and the same standing with stages and
views as before; only its file is another. A path of a part that is no file any more is looked up in the packed files
of its folder, and a file of that name comes before what is packed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from voxtile.bounded_text import load_json
from voxtile.errors import CorpusError
from voxtile.file_edges import open_ordinary

if TYPE_CHECKING:
    import pyarrow.dataset as ds

PREFIX = "packed-"
MEMBERS_KEY = b"voxtile_packed"


@dataclass(frozen=True)
class Member:
    """A part within a packed file.

    Attributes:
        stem: its name without the suffix.
        group: number of its first row group.
        groups: how many row groups it has; none where it has no rows.
        rows: of it.
        nbytes: size of the file that it was.
        sha256: of the file that it was, hex.
        fingerprint: by which keys of compiled views know it, see `voxtile.corpus.view.key`.
    """

    stem: str
    group: int
    groups: int
    rows: int
    nbytes: int
    sha256: str
    fingerprint: str

    @property
    def row_groups(self) -> list[int]:
        """Numbers of its row groups."""
        return list(range(self.group, self.group + self.groups))


@dataclass(frozen=True)
class PackedFile:
    """A packed file and its parts by name."""

    path: Path
    members: Mapping[str, Member]


@dataclass(frozen=True)
class Located:
    """Where the rows of a part are.

    Attributes:
        path: the file.
        member: the part within it, or None where the file is the part.
    """

    path: Path
    member: Member | None = None


def is_packed_name(name: str) -> bool:
    """Whether a file of this name holds several parts."""
    return name.startswith(PREFIX) and name.endswith(".parquet")


def packed_files(folder: Path) -> list[PackedFile]:
    """The packed files of a table's folder, in the order of their names.

    Raises:
        CorpusError: one is damaged.
    """
    names = _packed_names(folder)
    while (again := _packed_names(folder)) != names:  # files are exchanged now: a new one comes before an old one goes
        names = again
    return [packed for name in names if (packed := _opened(folder / name)) is not None]


def packed_members(folder: Path) -> dict[str, Located]:
    """Parts within the packed files of a folder, by name; where several files hold one, the first counts."""
    found: dict[str, Located] = {}
    for packed in packed_files(folder):
        for stem, member in packed.members.items():
            found.setdefault(stem, Located(packed.path, member))
    return found


def locate(part: Path) -> Located:
    """Where the rows of a part are; the path itself where there is no such part.

    Raises:
        CorpusError: a packed file is damaged.
        OSError: it is a pipe or a device.
    """
    if part.is_file():
        return Located(part)
    for packed in packed_files(part.parent):
        member = packed.members.get(part.stem)
        if member is not None:
            return Located(packed.path, member)
    if part.exists():
        open_ordinary(part).close()
    return Located(part)


def read_members(path: Path) -> dict[str, Member]:
    """What a packed file says of its parts.

    Raises:
        CorpusError: it is damaged, or says what its row groups do not hold.
    """
    try:
        metadata = pq.read_metadata(path)
        listed = load_json((metadata.metadata or {})[MEMBERS_KEY])
        members = [Member(**entry) for entry in listed]
        _check(members, metadata)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"'{path}' is not a readable packed file of a table ({type(error).__name__}); restore it from a copy, then "
            "run 'voxtile verify' on the corpus"
        ) from error
    return {member.stem: member for member in members}


def members_metadata(members: Sequence[Member]) -> dict[bytes, bytes]:
    """The entry of the file's metadata that names its parts."""
    return {MEMBERS_KEY: json.dumps([asdict(member) for member in members], separators=(",", ":")).encode()}


def fragments(parts: Sequence[Path]) -> Iterator[ds.ParquetFileFragment]:
    """The parts as pieces of a data set, in their order; neighbours within a packed file are one piece."""
    import pyarrow.dataset as ds  # late: it imports pandas, and workers read no tables

    kind, disk = ds.ParquetFileFormat(), LocalFileSystem()
    places: dict[Path, dict[str, Located]] = {}
    held: tuple[Path, list[int]] | None = None
    for part in parts:
        if part.parent not in places:
            places[part.parent] = packed_members(part.parent)
        place = Located(part) if part.is_file() else places[part.parent].get(part.stem, Located(part))
        groups = None if place.member is None else place.member.row_groups
        if held is not None and (groups is None or held[0] != place.path):
            yield kind.make_fragment(str(held[0]), disk, row_groups=held[1])
            held = None
        if groups is None:
            yield kind.make_fragment(str(place.path), disk)
        elif groups:
            held = (place.path, (held[1] if held else []) + groups)
    if held is not None:
        yield kind.make_fragment(str(held[0]), disk, row_groups=held[1])


def _packed_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_packed_name(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _opened(path: Path) -> PackedFile | None:
    try:
        stat = path.stat()
    except FileNotFoundError:  # exchanged for another one this moment, which was listed too
        return None
    return _remembered(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _remembered(path: Path, _size: int, _mtime_ns: int) -> PackedFile:
    return PackedFile(path, read_members(path))


def _check(members: Sequence[Member], metadata: Any) -> None:  # noqa: ANN401 - pyarrow gives the class no public name
    group = 0
    for member in members:
        counted = (member.group, member.groups, member.rows, member.nbytes)
        if not all(type(number) is int and number >= 0 for number in counted) or "/" in member.stem or not member.stem:
            raise ValueError(member.stem)
        rows = sum(metadata.row_group(number).num_rows for number in member.row_groups)
        if member.group != group or rows != member.rows:
            raise ValueError(member.stem)
        group += member.groups
    if group != metadata.num_row_groups or len({member.stem for member in members}) != len(members):
        raise ValueError("row groups of no part")
