"""Blocks of remote objects on the local disk, in files of an extent each, with a checksum for each block.

A block without a checksum is not there. Each is compared with its checksum whenever it is read, so that a cache on a
damaged disk, or one that a power cut left half-written, gives the block again instead of other bytes. Files are only
ever removed, never cut or changed in place: whoever reads one goes on reading what was in it. An extent is what is
removed at once: small beside the cache, so that what was announced and not yet read is not in it.
"""

from __future__ import annotations

import mmap
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import Lock

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
_MOST_OPEN = 128  # extents, each with a file descriptor
_MOST_OPEN_BYTES = 16 * _LARGEST  # one that was removed takes room on the disk until it is closed


def extent_bytes(size: int) -> int:
    """Length of the extents of an object: a power of two, the same for all who share a cache.

    Args:
        size: of the object in bytes.
    """
    return min(_LARGEST, max(_SMALLEST, 1 << (max(1, size // _EXTENTS) - 1).bit_length()))


class Extent:
    """A file with the blocks of a part of an object, and behind them their checksums.

    Args:
        path: of the file.
        length: of the part in bytes.
        create: make it where it is missing.

    Raises:
        FileNotFoundError: it is missing and not to be made, or is being made.
        OSError: it cannot be opened or made.
    """

    def __init__(self, path: str, length: int, *, create: bool = False) -> None:
        self.path, self.length = path, length
        self._sums_at = -(-length // _PAGE) * _PAGE
        whole = self._sums_at + -(-length // BLOCK) * _SUM_BYTES
        self._file = FileIO(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600), "r+")
        self._closing = weakref.finalize(self, self._file.close)
        found = os.fstat(self._file.fileno())
        self._inode, self._touched = found.st_ino, 0.0
        if found.st_size != whole:
            if not create:
                raise FileNotFoundError(path)
            os.ftruncate(self._file.fileno(), whole)
        # All of it, once: to map each read took as long as to compare its checksums.
        self._mapped = memoryview(mmap.mmap(self._file.fileno(), whole, access=mmap.ACCESS_READ))

    @property
    def is_current(self) -> bool:
        """Whether the file is still the one that is found by its name."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    def sums(self, first: int, last: int) -> npt.NDArray[np.uint64]:
        """Checksums of blocks; 0 for one that is not there."""
        return np.frombuffer(self._mapped, "<u8", last - first, self._sums_at + first * _SUM_BYTES)

    def write(self, first: int, data: memoryview) -> None:
        """Store whole blocks.

        Args:
            first: number of the first one in the extent.
            data: of one or more; only the object's last block is shorter than `BLOCK`.

        Raises:
            OSError: the disk is full.
        """
        sums = [_checksum(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
        written = 0
        while written < len(data):
            written += os.pwrite(self._file.fileno(), data[written:], first * BLOCK + written)
        os.pwrite(self._file.fileno(), np.array(sums, "<u8").tobytes(), self._sums_at + first * _SUM_BYTES)

    def view(self, offset: int, nbytes: int) -> memoryview | None:
        """Bytes in place, compared with their checksums; None where a block is missing or damaged."""
        first, last = offset // BLOCK, -(-(offset + nbytes) // BLOCK)
        sums = self.sums(first, last).tolist()
        if 0 in sums:
            return None
        start, stop = first * BLOCK, min(last * BLOCK, self.length)
        mapped = self._mapped[start:stop]
        found = [_checksum(mapped[at : at + BLOCK]) for at in range(0, len(mapped), BLOCK)]
        if damaged := [number for number, known in enumerate(sums) if found[number] != known]:
            for number in damaged:
                place = self._sums_at + (first + number) * _SUM_BYTES
                os.pwrite(self._file.fileno(), bytes(_SUM_BYTES), place)
            return None
        self._touch()
        return mapped[offset - start : offset - start + nbytes]

    def _touch(self) -> None:
        now = time.monotonic()
        if now - self._touched > _TOUCHED_EVERY_S:
            self._touched = now
            with suppress(OSError):
                os.utime(self._file.fileno())


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
            try:
                sums = self._opened(number).sums(first, last)
            except FileNotFoundError:
                sums = np.zeros(last - first, "<u8")
            found.append(number * (self._extent // BLOCK) + first + np.flatnonzero(sums == 0))
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
            self._opened(number, create=True).write(low // BLOCK, view[begin : begin + high - low])

    def view(self, offset: int, nbytes: int) -> memoryview | None:
        """Bytes, in place where they are in one extent; None where a block is missing or damaged.

        Args:
            offset: of the first byte.
            nbytes: how many there are; the range lies inside the object.
        """
        if nbytes == 0:
            return memoryview(b"")
        found = []
        for number, low, high in self._parts(offset, offset + nbytes):
            try:
                part = self._opened(number).view(low, high - low)
            except FileNotFoundError:
                part = None
            if part is None:
                return None
            found.append(part)
        return found[0] if len(found) == 1 else memoryview(b"".join(found))

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Number of each extent that a range touches, and the part of it, in its own bytes."""
        for number in range(start // self._extent, -(-stop // self._extent)):
            begin = number * self._extent
            yield number, max(0, start - begin), min(self._extent, stop - begin)

    def _opened(self, number: int, *, create: bool = False) -> Extent:
        length = min(self._extent, self.size - number * self._extent)
        return _EXTENTS_OPEN.get(f"{self._name}-{number:x}{SUFFIX}", length, create=create)


class _OpenExtents:
    """Extents that this process has open; one that falls out closes with its last reader."""

    def __init__(self) -> None:
        self._extents: OrderedDict[str, Extent] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, path: str, length: int, *, create: bool) -> Extent:
        with self._lock:
            held = self._extents.get(path)
            if held is None or not held.is_current:
                if held is not None:  # a removed file takes room until it is closed
                    self._bytes -= self._extents.pop(path).length
                held = self._extents[path] = Extent(path, length, create=create)
                self._bytes += length
                while len(self._extents) > _MOST_OPEN or self._bytes > _MOST_OPEN_BYTES:
                    self._bytes -= self._extents.popitem(last=False)[1].length
            self._extents.move_to_end(path)
            return held


_EXTENTS_OPEN = _OpenExtents()


def _checksum(block: memoryview) -> int:
    return xxhash.xxh3_64_intdigest(block) or 1  # 0 stands for a block that is not there
