"""Members of a tar archive, compressed by gzip or not."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from indexed_gzip import IndexedGzipFile, ZranError

from voxtile.corpus.identity import printable
from voxtile.file_edges import probe_bytes, probe_digest
from voxtile_medical.archives import entries
from voxtile_medical.archives.entries import DAMAGED, ArchiveFault, Entry, EntryNames, refuse_bomb

_GZIP = b"\x1f\x8b"
_POINTS_EVERY = 8 << 20  # bytes, unpacked, between the points at which decompression can start
_FAULTS = (tarfile.TarError, OSError, EOFError, zlib.error, ZranError, ValueError)
_DAMAGED = "the archive is damaged; copy it again from its source"


class TarMembers:
    """A tar archive that is open for reading; its members are found as they are listed.

    Raises:
        ArchiveFault: `unreadable-archive`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as stream:
                self._packed = stream.read(2) == _GZIP
            self._size = path.stat().st_size
            self._stream = cast(
                BinaryIO, IndexedGzipFile(str(path), spacing=_POINTS_EVERY) if self._packed else path.open("rb")
            )
        except _FAULTS as error:
            raise ArchiveFault("unreadable-archive", _DAMAGED) from error
        self._places: dict[str, tuple[int, int]] = {}
        self._listed = False

    def __del__(self) -> None:
        """Close the archive, as ZipFile does."""
        if hasattr(self, "_stream"):
            self._stream.close()

    def list(self) -> Iterator[Entry]:
        """All members that are no folders, as they are found.

        Raises:
            ArchiveFault: `unreadable-archive` or `too-large`.
        """
        names = EntryNames()
        self._stream.seek(0)
        try:
            # Python's own way into a compressed tar cannot go back to a member without starting again.
            with tarfile.open(fileobj=self._stream, mode="r:", ignore_zeros=False) as tar:
                while (member := tar.next()) is not None:
                    self._check_size(member.offset_data + member.size)
                    cast(Any, tar).members = []  # else it keeps all of them
                    if member.isdir():
                        continue
                    entry = tar_entry(member, names)
                    if not entry.reason:
                        self._places[entry.path] = member.offset_data, member.size
                    yield entry
                self._check_end(tar.offset)
        except _FAULTS as error:
            raise ArchiveFault("unreadable-archive", _DAMAGED) from error
        self._listed = True

    def paths(self) -> Iterable[str]:
        """Paths of the members that are read.

        Raises:
            ArchiveFault: as `list`.
        """
        if not self._listed:
            for _ in self.list():
                pass
        return self._places

    def size(self, path: str) -> int:
        """Bytes of a member.

        Raises:
            KeyError: it is not there.
        """
        return self._place(path)[1]

    def telling(self, path: str) -> str:
        """What tells a member from another of its name and size: places of it, or of the archive where that is packed.

        Raises:
            KeyError: it is not there.
            ArchiveFault: `damaged-member`.
        """
        if self._packed:  # to look into each member would be to unpack it once more
            return probe_digest(self._path)
        start, size = self._place(path)
        return probe_bytes(lambda offset, length: self._bytes(start + offset, length), size)

    def read(self, path: str, length: int = -1) -> bytes:
        """The first bytes of a member; all of them where no length is given.

        Raises:
            KeyError: it is not there.
            ArchiveFault: `damaged-member`.
        """
        offset, size = self._place(path)
        return self._bytes(offset, size if length < 0 else min(length, size))

    def _bytes(self, offset: int, wanted: int) -> bytes:
        try:
            self._stream.seek(offset)
            found = self._stream.read(wanted)
        except _FAULTS as error:
            raise ArchiveFault(DAMAGED, _DAMAGED) from error
        if len(found) < wanted:
            raise ArchiveFault(DAMAGED, _DAMAGED)
        return found

    def _place(self, path: str) -> tuple[int, int]:
        self.paths()
        return self._places[path]

    def _check_end(self, offset: int) -> None:
        """Python takes a damaged header for the end; the end is a block of zeros, and a compressed tar has a checksum.

        Raises:
            ArchiveFault: `unreadable-archive`.
        """
        self._stream.seek(offset)
        if self._stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ArchiveFault("unreadable-archive", _DAMAGED)
        if self._packed:
            while self._stream.read(1 << 20):
                self._check_size(self._stream.tell())

    def _check_size(self, unpacked: int) -> None:
        if self._packed:
            refuse_bomb(self._size, unpacked)
            if unpacked > entries.MAX_GZIP_BYTES:
                limit = entries.MAX_GZIP_BYTES >> 30
                raise ArchiveFault("too-large", f"a compressed tar of more than {limit} GiB; unpack it, or use zip")
        elif unpacked > self._size:
            raise ArchiveFault("unreadable-archive", "the archive ends before its last member; copy it again")


def tar_entry(member: tarfile.TarInfo, names: EntryNames) -> Entry:
    """The member of a tar, refused where it is no plain file or its name leads out of the archive."""
    name = member.name
    if printable(name) != name:  # not UTF-8: each byte a character, so that the name is one
        name = name.encode("utf-8", "surrogateescape").decode("latin-1")
    if not member.isreg() or member.issparse():
        detail = "a link, a device or a sparse file within an archive; give the file itself"
        return Entry(name, member.size, "not-a-file", detail)
    return names.entry(name, member.size)
