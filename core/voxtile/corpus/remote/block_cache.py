"""Blocks of remote objects on the local disk: a sparse file of the object's size, and a checksum for each block in it.

A block without a checksum is not there. Each is compared with its checksum whenever it is read, so that a cache on a
damaged disk, or one that a power cut left half-written, gives the block again instead of other bytes. Files are only
ever removed, never cut or changed in place: whoever reads one goes on reading what was in it.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from voxtile.errors import CorpusError
from voxtile.folders import cache_folder

BLOCK = 1 << 14  # bytes; a multiple of the usual page sizes, and less than a picture, so that little is read in vain
LIMIT_VARIABLE = "VOXTILE_REMOTE_CACHE_GB"
DEFAULT_LIMIT_GB = 100.0
_SHARE_OF_FREE_DISK = 0.9
_DATA, _SUMS = ".data", ".sums"
_FILE_BYTES = 1 << 13  # that a file of checksums may take more, in pages
_SUM_BYTES = 8  # XXH3-64, as in stored arrays (voxtile.corpus.shards.checksums)
_TOUCHED_EVERY_S = 20.0  # a file that is read counts as used so often, not at every read


T = TypeVar("T")


def cache_root() -> Path:
    """Folder of everything that is kept of remote corpora."""
    return cache_folder("remote")


class BlockFile:
    """The blocks of one object.

    Args:
        path: without suffix.
        size: of the object in bytes.
        create: make it where it is missing.

    Raises:
        FileNotFoundError: it is missing and not to be made.
        OSError: it cannot be opened or made.
    """

    def __init__(self, path: Path, size: int, *, create: bool = False) -> None:
        self.size = size
        self.path = path
        self.blocks = -(-size // BLOCK)
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        self._data = FileIO(os.open(f"{path}{_DATA}", flags, 0o600), "r+")
        self._sums = FileIO(os.open(f"{path}{_SUMS}", flags, 0o600), "r+")
        self._closing = weakref.finalize(self, _close, self._data, self._sums)
        self._inode = os.fstat(self._data.fileno()).st_ino
        self._touched = 0.0
        if create:
            for file, length in ((self._data, size), (self._sums, self.blocks * _SUM_BYTES)):
                if os.fstat(file.fileno()).st_size != length:
                    os.ftruncate(file.fileno(), length)
        elif os.fstat(self._data.fileno()).st_size != size:
            raise FileNotFoundError(path)  # it is being made

    @property
    def is_current(self) -> bool:
        """Whether the file is still the one that is found by its name."""
        try:
            return os.stat(f"{self.path}{_DATA}").st_ino == self._inode
        except OSError:
            return False

    def missing(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Numbers of the blocks of a range of bytes that are not there, ascending."""
        first, last = start // BLOCK, -(-stop // BLOCK)
        return first + np.flatnonzero(self._checksums(first, last) == 0)

    def write(self, first: int, data: bytes | memoryview) -> None:
        """Store whole blocks.

        Args:
            first: number of the first one.
            data: of one or more; only the object's last block is shorter than `BLOCK`.

        Raises:
            OSError: the disk is full.
        """
        view = memoryview(data)
        sums = [_checksum(view[at : at + BLOCK]) for at in range(0, len(view), BLOCK)]
        written = 0
        while written < len(view):
            written += os.pwrite(self._data.fileno(), view[written:], first * BLOCK + written)
        os.pwrite(self._sums.fileno(), np.array(sums, "<u8").tobytes(), first * _SUM_BYTES)

    def view(self, offset: int, nbytes: int) -> memoryview | None:
        """Bytes in place, compared with their checksums; None where a block is missing or damaged.

        Args:
            offset: of the first byte.
            nbytes: how many there are; the range lies inside the object.
        """
        if nbytes == 0:
            return memoryview(b"")
        first, last = offset // BLOCK, -(-(offset + nbytes) // BLOCK)
        sums = self._checksums(first, last)
        if not sums.all():
            return None
        start, stop = first * BLOCK, min(last * BLOCK, self.size)
        mapped = memoryview(mmap.mmap(self._data.fileno(), stop - start, access=mmap.ACCESS_READ, offset=start))
        found = [_checksum(mapped[at : at + BLOCK]) for at in range(0, len(mapped), BLOCK)]
        if damaged := [number for number, known in enumerate(sums.tolist()) if found[number] != known]:
            for number in damaged:
                os.pwrite(self._sums.fileno(), bytes(_SUM_BYTES), (first + number) * _SUM_BYTES)
            return None
        self._touch()
        return mapped[offset - start : offset - start + nbytes]

    def _checksums(self, first: int, last: int) -> npt.NDArray[np.uint64]:
        raw = os.pread(self._sums.fileno(), (last - first) * _SUM_BYTES, first * _SUM_BYTES)
        sums = np.zeros(last - first, "<u8")
        sums[: len(raw) // _SUM_BYTES] = np.frombuffer(raw, "<u8", len(raw) // _SUM_BYTES)
        return sums

    def _touch(self) -> None:
        now = time.monotonic()
        if now - self._touched > _TOUCHED_EVERY_S:
            self._touched = now
            with suppress(OSError):
                os.utime(self._sums.fileno())


def _close(*files: FileIO) -> None:
    for file in files:
        file.close()


def _checksum(block: memoryview) -> int:
    return xxhash.xxh3_64_intdigest(block) or 1  # 0 stands for a block that is not there


def limit_bytes(used: int) -> int:
    """How much the cache may hold: what the environment allows, and no more than the disk has.

    Args:
        used: bytes that it holds.

    Raises:
        CorpusError: the environment holds no number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = -1.0
    if not 0 < limit < float("inf"):
        raise CorpusError(f"{LIMIT_VARIABLE} is '{text}', which is no number of gigabytes above 0")
    root = cache_root()
    while not root.exists():
        root = root.parent
    free = shutil.disk_usage(root).free
    return int(min(limit, used + _SHARE_OF_FREE_DISK * free))


class CacheSpace:
    """Keeps the block files of a cache folder below the limit by removing those that were not used for longest.

    Args:
        root: of the cache; it must exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used = self._measure()

    @property
    def limit(self) -> int:
        """Bytes that the cache may hold now."""
        return limit_bytes(self._used)

    def make_room(self, wanted: int) -> None:
        """Let `wanted` more bytes have place.

        Raises:
            CorpusError: they have none even in an empty cache.
        """
        wanted = -(-wanted // BLOCK) * BLOCK + _FILE_BYTES
        self._used += wanted
        if self._used <= (limit := self.limit):
            return
        self._used = self._measure()
        limit = self.limit
        if wanted > limit:
            raise CorpusError(
                f"the cache of remote corpora at '{self._root}' may hold {limit / 1e6:,.1f} MB, "
                f"and {wanted / 1e6:,.1f} MB are to be read at once; raise {LIMIT_VARIABLE}, free space on that disk, "
                "or name another folder by VOXTILE_CACHE"
            )
        self._remove(self._used + wanted - limit)
        self._used = self._measure() + wanted

    def on_disk(self, work: Callable[[], T]) -> T:
        """Do something that takes room on the disk; once more, in an emptied cache, where there was none.

        Raises:
            CorpusError: the disk is full all the same, or cannot be written.
        """
        try:
            return work()
        except OSError as error:
            if not _is_full(error):
                raise disk_error(self._root, error) from error
        self._remove(1 << 62)
        self._used = self._measure()
        try:
            return work()
        except OSError as error:
            raise disk_error(self._root, error) from error

    def _remove(self, nbytes: int) -> None:
        files = sorted(self._files(), key=lambda file: file.stat().st_mtime_ns)
        for sums in files:
            if nbytes <= 0:
                return
            nbytes -= _on_disk(sums)
            for path in (sums, sums.with_suffix(_DATA)):  # without its checksums a file counts as empty
                with suppress(FileNotFoundError):
                    path.unlink()

    def _measure(self) -> int:
        return sum(_on_disk(sums) for sums in self._files())

    def _files(self) -> Iterable[Path]:
        return list(self._root.glob(f"*/blocks/*{_SUMS}"))


def _on_disk(sums: Path) -> int:
    total = 0
    for path in (sums, sums.with_suffix(_DATA)):
        with suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def disk_error(root: Path, error: OSError) -> CorpusError:
    """What the system says of the cache's disk, as a sentence."""
    what = "is full" if _is_full(error) else f"cannot be written to ({error.strerror or error})"
    return CorpusError(
        f"the disk of the cache of remote corpora, '{root}', {what}; free space there, lower {LIMIT_VARIABLE}, or name "
        "another folder by VOXTILE_CACHE"
    )


def _is_full(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def runs_of(blocks: Sequence[int], gap: int, most: int) -> list[tuple[int, int]]:
    """Join numbers of blocks into runs, each to be read by one request.

    Args:
        blocks: ascending.
        gap: so many blocks between two of them are read along.
        most: blocks of the longest run.

    Returns:
        First block and the one behind the last, of each run.
    """
    runs: list[tuple[int, int]] = []
    for block in blocks:
        if runs and block - runs[-1][1] <= gap and block + 1 - runs[-1][0] <= most:
            runs[-1] = (runs[-1][0], block + 1)
        else:
            runs.append((block, block + 1))
    return runs
