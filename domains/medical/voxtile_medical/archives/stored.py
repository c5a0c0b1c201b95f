"""Files as they are stored: by themselves, or as members of an archive through which their path runs.

A path through a file (`study.zip/CT/IM0001`) cannot be opened, and the system says so; only then is the archive
looked for, so that files by themselves cost what they cost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol

from voxtile_medical.archives.entries import ArchiveFault, Entry, runs_through
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from voxtile_medical.archives.tar_archive import TarMembers
    from voxtile_medical.archives.zip_archive import ZipMembers

_KEPT_BYTES = 64 << 20  # of the member that was read last: its header is often read before its pixels
_BLOCK_BYTES = 1 << 20


class StoredFile(Protocol):
    """A file that is open for reading."""

    size: int

    def __enter__(self) -> StoredFile:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close it."""

    def read(self, length: int, offset: int = 0) -> bytes:
        """Bytes from an offset on; fewer at the end of the file."""

    def stream(self) -> BinaryIO:
        """The file from its start; closed by the caller."""


def open_stored(path: Path | str) -> StoredFile:
    """Open a file, or a member of an archive, for reading.

    Raises:
        OSError: it is not there or cannot be read.
        Verdict: the archive is damaged, or has changed.
    """
    try:
        return _Plain(path)
    except NotADirectoryError:
        return _Member(path)


def stored(path: Path) -> BinaryIO:
    """What pydicom reads a file by, or a member; it closes itself when nobody holds it any more.

    Raises:
        OSError, Verdict: as `open_stored`.
    """
    with open_stored(path) as file:
        return file.stream()


def stream_of(path: Path) -> BufferedReader | BytesIO:
    """A file, or a member of an archive, from its start; closed by the caller.

    Raises:
        OSError, Verdict: as `open_stored`.
    """
    try:
        return path.open("rb")
    except NotADirectoryError:
        return _Member(path).stream()


def stored_size(path: Path) -> int:
    """Bytes of a file, or of a member of an archive, unpacked.

    Raises:
        OSError, Verdict: as `open_stored`.
    """
    with open_stored(path) as file:
        return file.size


def telling(path: Path) -> str | None:
    """What tells a member of an archive from another of its name and size, without unpacking it; None of a plain file.

    Raises:
        OSError, Verdict: as `open_stored`.
    """
    with open_stored(path) as file:
        return file.telling() if isinstance(file, _Member) else None


def is_stored(path: Path) -> bool:
    """There is such a file, or such a member of an archive."""
    return path.is_file() or (runs_through(f"{path}/") and path.name in names_in(path.parent))


def names_in(folder: Path) -> list[str]:
    """Names of the files that lie in a folder itself, or in one within an archive."""
    if folder.is_dir():
        return sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    try:
        archive, path = (folder, "") if folder.is_file() else _parts(folder)
        found = _opened(archive, _state(archive)).paths()
    except (OSError, ArchiveFault):
        return []
    start = f"{path}/" if path else ""
    return sorted(own for one in found if one.startswith(start) and "/" not in (own := one[len(start) :]))


def list_archive(path: Path) -> Iterator[Entry]:
    """Members of an archive, those that are not read with their reasons: for a supervised process.

    An archive that cannot be read, or not to its end, is an entry without a path.
    """
    try:
        yield from _open(path).list()
    except ArchiveFault as fault:
        yield Entry("", path.stat().st_size, fault.reason, fault.detail)


def same_bytes(one: Path, other: Path) -> bool:
    """Two files hold the same bytes."""
    with open_stored(one) as first, open_stored(other) as second:
        if first.size != second.size:
            return False
        steps = range(0, first.size, _BLOCK_BYTES)
        return all(first.read(_BLOCK_BYTES, at) == second.read(_BLOCK_BYTES, at) for at in steps)


class _BoundedReader(BufferedReader):
    """A file by itself, from its start.

    Python takes the memory of a read before it looks how much there is, and any element of a header may claim 4 GiB.
    """

    def __init__(self, path: Path | str) -> None:
        file = FileIO(path)
        self._size = os.fstat(file.fileno()).st_size
        super().__init__(file)

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's, for no more than is left."""
        if size is not None and size > _BLOCK_BYTES:
            size = max(0, min(size, self._size - self.tell()))
        return super().read(size)

    def __del__(self) -> None:
        self.close()


class _Plain:
    """A file by itself."""

    __slots__ = ("_descriptor", "_path", "size")

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, length: int, offset: int = 0) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def stream(self) -> BinaryIO:
        return _BoundedReader(self._path)


class _Member:
    """A member of an archive; its first bytes are unpacked alone, the rest only where it is asked for."""

    __slots__ = ("_archive", "_path", "_whole", "size")

    def __init__(self, path: Path | str) -> None:
        archive, self._path = _parts(Path(path))
        state = _state(archive)
        self._whole: bytes | None = None
        try:
            self._archive = _opened(archive, state)
            self.size = self._archive.size(self._path)
        except ArchiveFault as fault:
            raise Verdict(fault.reason, fault.detail) from fault
        except KeyError as error:
            raise Verdict(
                "changed-during-run", "the archive has changed since the plan; run the command again"
            ) from error

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *_: object) -> None:
        self._whole = None

    def telling(self) -> str:
        try:
            return self._archive.telling(self._path)
        except ArchiveFault as fault:
            raise Verdict(fault.reason, fault.detail) from fault

    def read(self, length: int, offset: int = 0) -> bytes:
        if offset == 0 and length < self.size and self._whole is None:
            return self._unpack(length)
        return self._all()[offset : offset + length]

    def stream(self) -> BytesIO:
        return BytesIO(self._all())

    def _all(self) -> bytes:
        if self._whole is None:
            self._whole = _last.get(self._archive, self._path) or self._unpack()
            _last.keep(self._archive, self._path, self._whole)
        return self._whole

    def _unpack(self, length: int = -1) -> bytes:
        try:
            return self._archive.read(self._path, length)
        except ArchiveFault as fault:
            raise Verdict(fault.reason, fault.detail) from fault


class _Last:
    """The member of this process that was unpacked last."""

    def __init__(self) -> None:
        self._key: tuple[object, str] | None = None
        self._bytes = b""

    def get(self, archive: ZipMembers | TarMembers, path: str) -> bytes:
        return self._bytes if self._key == (archive, path) else b""

    def keep(self, archive: ZipMembers | TarMembers, path: str, content: bytes) -> None:
        if len(content) <= _KEPT_BYTES:
            self._key, self._bytes = (archive, path), content


_last = _Last()


def _parts(path: Path) -> tuple[Path, str]:
    archive = next((parent for parent in path.parents if parent.is_file()), None)
    if archive is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return archive, path.relative_to(archive).as_posix()


def _state(archive: Path) -> tuple[int, ...]:
    """What changes with a file; nobody can set the time of its last change (ctime) to an old one."""
    stated = archive.stat()
    return stated.st_ino, stated.st_size, stated.st_mtime_ns, stated.st_ctime_ns


@lru_cache(maxsize=4)
def _opened(archive: Path, _state: tuple[int, ...]) -> ZipMembers | TarMembers:
    return _open(archive)


def _open(archive: Path) -> ZipMembers | TarMembers:
    if archive.name.lower().endswith(".zip"):
        from voxtile_medical.archives.zip_archive import ZipMembers

        return ZipMembers(archive)
    from voxtile_medical.archives.tar_archive import TarMembers

    return TarMembers(archive)
