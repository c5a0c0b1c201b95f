"""Blocks of remote objects on the local disk, in files of an extent each, with a checksum for each block.

A block without a checksum is not there. Each is compared with its checksum whenever it is read, so that a cache on a
damaged disk, or one that a power cut left half-written, gives the block again instead of other bytes. Files are only
ever removed, never cut or changed in place: whoever reads one goes on reading what was in it. An extent is what is
removed at once: small beside the cache, so that what was announced and not yet read is not in it. No file is kept open:
an epoch in random order touches so many that to open and read one has to cost little anyway.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

BLOCK = 1 << 14  # bytes; a multiple of the usual page sizes, and less than a picture, so that little is read in vain
SUFFIX = ".extent"
_SMALLEST, _LARGEST = 1 << 19, 1 << 22  # bytes of an extent
_EXTENTS = 256  # of a shard, between these bounds
_PAGE = 1 << 12
_SUM_BYTES = 8  # XXH3-64, as in stored arrays (voxtile.corpus.shards.checksums)
_TOUCHED_EVERY_S = 20.0  # a file that is read counts as used so often, not at every read


def extent_bytes(size: int) -> int:
    """Length of the extents of an object: a power of two, the same for all who share a cache.

    Args:
        size: of the object in bytes.
    """
    return min(_LARGEST, max(_SMALLEST, 1 << (max(1, size // _EXTENTS) - 1).bit_length()))


class ObjectBlocks:
    """The blocks of one object.

    Args:
        path: of its extents, without their numbers.
        size: of the object in bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._name, self.size = os.fspath(path), size  # text: making paths took as long as reading checksums
        self._extent = extent_bytes(size)

    def missing(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Numbers of the blocks of a range of bytes that are not there, ascending."""
        found = []
        for number, low, high in self._parts(start, stop):
            first, last = low // BLOCK, -(-high // BLOCK)
            sums = bytes((last - first) * _SUM_BYTES)
            with suppress(FileNotFoundError), self._opened(number, os.O_RDONLY) as file:
                sums = self._sums(file, number, first, last) or sums
            found.append(number * (self._extent // BLOCK) + first + np.flatnonzero(np.frombuffer(sums, "<u8") == 0))
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def write(self, first: int, data: bytes | memoryview) -> None:
        """Store whole blocks.

        Args:
            first: number of the first one in the object.
            data: of one or more; only the object's last block is shorter than `BLOCK`.

        Raises:
            OSError: the disk is full, or the files cannot be made.
        """
        view, start = memoryview(data), first * BLOCK
        for number, low, high in self._parts(start, start + len(view)):
            begin = number * self._extent + low - start
            part = view[begin : begin + high - low]
            with self._opened(number, os.O_RDWR | os.O_CREAT) as file:
                whole = self._sums_at(number) + -(-self._length(number) // BLOCK) * _SUM_BYTES
                if os.fstat(file).st_size != whole:
                    os.ftruncate(file, whole)
                written = 0
                while written < len(part):
                    written += os.pwrite(file, part[written:], low + written)
                sums = [_checksum(part[at : at + BLOCK]) for at in range(0, len(part), BLOCK)]
                os.pwrite(file, _packed(sums), self._sums_at(number) + low // BLOCK * _SUM_BYTES)

    def forget(self, start: int, stop: int) -> None:
        """Take blocks of a range of bytes for missing, though they are as they were stored.

        Raises:
            OSError: the files cannot be written to.
        """
        for number, low, high in self._parts(start, stop):
            first, last = low // BLOCK, -(-high // BLOCK)
            with suppress(FileNotFoundError), self._opened(number, os.O_RDWR) as file:
                if self._sums(file, number, first, last) is not None:  # else the file is only being made
                    os.pwrite(file, bytes((last - first) * _SUM_BYTES), self._sums_at(number) + first * _SUM_BYTES)

    def view(self, offset: int, nbytes: int) -> memoryview | None:
        """Bytes, compared with their checksums; None where a block is missing or damaged.

        Args:
            offset: of the first byte.
            nbytes: how many there are; the range lies inside the object.
        """
        start, stop = offset // BLOCK * BLOCK, min(self.size, -(-(offset + nbytes) // BLOCK) * BLOCK)
        found = np.empty(stop - start, np.uint8).data
        for number, low, high in self._parts(start, stop):
            begin = number * self._extent + low - start
            try:
                with self._opened(number, os.O_RDONLY) as file:
                    if not self._read(file, number, low, found[begin : begin + high - low]):
                        return None
            except FileNotFoundError:
                return None
        return found[offset - start : offset - start + nbytes].toreadonly()

    def _read(self, file: int, number: int, low: int, into: memoryview) -> bool:
        """Read whole blocks of an extent; whether they are there, and as they were written."""
        first, last = low // BLOCK, -(-(low + len(into)) // BLOCK)
        packed = self._sums(file, number, first, last)
        if packed is None or 0 in (known := struct.unpack(f"<{last - first}Q", packed)):
            return False
        os.preadv(file, [into], low)  # of a file that is cut meanwhile less, which is no sound block
        sums = [_checksum(into[at : at + BLOCK]) for at in range(0, len(into), BLOCK)]
        if damaged := [place for place, is_found in enumerate(sums) if is_found != known[place]]:
            with self._opened(number, os.O_RDWR) as writable:
                for place in damaged:
                    os.pwrite(writable, bytes(_SUM_BYTES), self._sums_at(number) + (first + place) * _SUM_BYTES)
            return False
        if abs(time.time() - os.fstat(file).st_mtime) > _TOUCHED_EVERY_S:
            with suppress(OSError):
                os.utime(file)
        return True

    def _sums(self, file: int, number: int, first: int, last: int) -> bytes | None:
        """Checksums of blocks of an extent, 0 for one that is not there; None where the file is only being made."""
        nbytes = (last - first) * _SUM_BYTES
        sums = os.pread(file, nbytes, self._sums_at(number) + first * _SUM_BYTES)
        return sums if len(sums) == nbytes else None

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Number of each extent that a range touches, and the part of it, in its own bytes."""
        for number in range(start // self._extent, -(-stop // self._extent)):
            begin = number * self._extent
            yield number, max(0, start - begin), min(self._extent, stop - begin)

    def _length(self, number: int) -> int:
        """Bytes of the object in an extent."""
        return min(self._extent, self.size - number * self._extent)

    def _sums_at(self, number: int) -> int:
        """Where the checksums of an extent begin in its file."""
        return -(-self._length(number) // _PAGE) * _PAGE

    @contextmanager
    def _opened(self, number: int, flags: int) -> Iterator[int]:
        file = os.open(f"{self._name}-{number:x}{SUFFIX}", flags, 0o600)
        try:
            yield file
        finally:
            os.close(file)


def _packed(sums: list[int]) -> bytes:
    return struct.pack(f"<{len(sums)}Q", *sums)


def _checksum(block: memoryview) -> int:
    return xxhash.xxh3_64_intdigest(block) or 1  # 0 stands for a block that is not there
