"""Members of a zip archive."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from voxtile_medical.archives.entries import DAMAGED, ArchiveFault, Entry, EntryNames, refuse_bomb

_ENCRYPTED = 0x1  # general purpose bit 0 (APPNOTE 4.4.4)
_UTF8 = 0x800
_DAMAGED = "the archive is damaged; copy it again from its source"
# Python unpacks these two alone within a limit of bytes.
_METHODS = {ZIP_STORED, ZIP_DEFLATED}


class ZipMembers:
    """A zip archive that is open for reading.

    Raises:
        ArchiveFault: `unreadable-archive`, or `too-large`.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = ZipFile(path)
        except (BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError) as error:
            raise ArchiveFault("unreadable-archive", _DAMAGED) from error
        infos = self._zip.infolist()
        size = path.stat().st_size
        refuse_bomb(size, sum(info.file_size for info in infos))
        if sum(info.compress_size for info in infos) > size:
            raise ArchiveFault("unreadable-archive", "its members overlap each other; check where it is from")
        names = EntryNames()
        found = [
            (_entry(info, names), info) for info in infos if not info.filename.endswith("/")
        ]  # is_dir trips over no name
        self.entries = tuple(entry for entry, _ in found)
        self._infos = {entry.path: info for entry, info in found if not entry.reason}

    def list(self) -> Iterator[Entry]:
        """All members that are no folders."""
        yield from self.entries

    def paths(self) -> Iterable[str]:
        """Paths of the members that are read."""
        return self._infos

    def size(self, path: str) -> int:
        """Bytes of a member.

        Raises:
            KeyError: it is not there.
        """
        return self._infos[path].file_size

    def telling(self, path: str) -> str:
        """What tells a member from another of its name and size: its checksum, which the archive states.

        Raises:
            KeyError: it is not there.
        """
        return f"crc32-{self._infos[path].CRC:08x}"

    def read(self, path: str, length: int = -1) -> bytes:
        """The first bytes of a member; all of them, held against its checksum, where no length is given.

        Raises:
            KeyError: it is not there.
            ArchiveFault: `damaged-member`.
        """
        try:
            with self._zip.open(self._infos[path]) as stream:
                return stream.read(length) if length >= 0 else stream.read()
        except (BadZipFile, EOFError, zlib.error, OSError, NotImplementedError, RuntimeError, ValueError) as error:
            detail = "the archive is damaged where this member is; copy it again from its source"
            raise ArchiveFault(DAMAGED, detail) from error


def _entry(info: ZipInfo, names: EntryNames) -> Entry:
    name = _name(info)
    if info.flag_bits & _ENCRYPTED:
        return Entry(name, info.file_size, "encrypted", "it is encrypted; unpack the archive with its password")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return Entry(name, info.file_size, "not-a-file", "a link or a device within an archive; give the file itself")
    if info.compress_type not in _METHODS:
        detail = f"it is compressed by method {info.compress_type}, which is not read; unpack the archive"
        return Entry(name, info.file_size, "unsupported-archive", detail)
    return names.entry(name, info.file_size)


def _name(info: ZipInfo) -> str:
    """The name as it was meant: macOS writes UTF-8 without saying so, some of Windows part folders by backslashes."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        try:
            name = info.orig_filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    return name.replace("\\", "/")
