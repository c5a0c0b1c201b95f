"""A tar whose members start at known offsets and whose bytes depend on nothing but names and contents."""

from __future__ import annotations

import tarfile
from functools import cache
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(BLOCK)


class DeterministicTar:
    """Appends members with no time, owner or machine in their headers.

    Args:
        file: opened for writing at position 0; the caller closes it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a member and return the offset of its first content byte."""
        header, padding = _header(name, len(data)), -len(data) % BLOCK
        self._file.write(header)
        self._file.write(data)
        self._file.write(_ZEROS[:padding])
        offset = self._position + len(header)
        self._position = offset + len(data) + padding
        return offset

    def finish(self) -> None:
        """Write the end marker: two empty blocks."""
        self._file.write(bytes(2 * BLOCK))
        self._file.flush()


def _header(name: str, size: int) -> bytes:
    """A member's header in GNU format, as `tarfile` writes it; tile by tile that would cost as much as hashing it.

    Fields of one block: name 0-99, size 124-135 and checksum 148-155 in octal; the rest is the same for all members.
    """
    encoded = name.encode("ascii", "replace")
    if len(encoded) > 99 or not name.isascii() or size >= 8**11:
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(format=tarfile.GNU_FORMAT)
    template, total = _template()
    digits = b"%011o" % size
    checksum = b"%06o\0" % (total + sum(encoded) + sum(digits))
    return b"".join((encoded.ljust(100, b"\0"), template[100:124], digits, template[135:148], checksum, template[155:]))


@cache
def _template() -> tuple[bytes, int]:
    """The header of an empty member without a name, and the sum of its bytes with the size left out.

    The checksum counts its own eight bytes as spaces (POSIX ustar).
    """
    block = tarfile.TarInfo("").tobuf(format=tarfile.GNU_FORMAT)
    return block, sum(block[:124]) + sum(block[135:148]) + sum(block[156:]) + 8 * ord(" ")
