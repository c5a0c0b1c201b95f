"""A tar whose members start at known offsets and whose bytes depend on nothing but names and contents."""

from __future__ import annotations

import tarfile
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE


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
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = info.tobuf(format=tarfile.GNU_FORMAT)
        self._file.write(header)
        self._file.write(data)
        self._file.write(bytes(-len(data) % BLOCK))
        offset = self._position + len(header)
        self._position = offset + len(data) + -len(data) % BLOCK
        return offset

    def finish(self) -> None:
        """Write the end marker: two empty blocks."""
        self._file.write(bytes(2 * BLOCK))
        self._file.flush()
