"""The room that blocks of remote objects take on the local disk: a limit, and who goes when it is reached."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from voxtile.corpus.remote.extents import BLOCK
from voxtile.errors import CorpusError
from voxtile.folders import cache_folder

LIMIT_VARIABLE = "VOXTILE_REMOTE_CACHE_GB"
DEFAULT_LIMIT_GB = 100.0
_SHARE_OF_FREE_DISK = 0.9
_FILE_BYTES = 1 << 13  # that an extent may take more, in pages
_ROOM_AT_ONCE = 32  # so much of the limit is freed at a time, since looking at all files costs more the more there are

T = TypeVar("T")


def cache_root() -> Path:
    """Folder of everything that is kept of remote corpora."""
    return cache_folder("remote")


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
        self._remove(self._used + wanted - limit + limit // _ROOM_AT_ONCE)
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
        """Remove extents that were not used for longest, until so many bytes are free."""
        for _, size, path in sorted(self._files()):
            if nbytes <= 0:
                return
            nbytes -= size
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _measure(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _files(self) -> Iterable[tuple[int, int, str]]:
        """When each file was used, what it takes on the disk, and its path."""
        for folder in self._root.glob("*/blocks"):
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another run made room
                        found = entry.stat()
                        yield found.st_mtime_ns, found.st_blocks * 512, entry.path


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
