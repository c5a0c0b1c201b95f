"""Whole objects in the cache of remote corpora, for readers that open files: fetched once, and what they must be.

A copy has its name from the object's address and from what the corpus records of it, and gets it when it is complete
and as recorded. So it is used again without asking the store, and another content has another name. Copies take room
and give way as blocks do; who has one open goes on reading it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.drafts import try_lock
from voxtile.corpus.remote.address import Address
from voxtile.corpus.remote.block_cache import CacheSpace, cache_root, disk_error
from voxtile.corpus.remote.objects import Identity
from voxtile.corpus.remote.stores import ChangedError, Store
from voxtile.errors import CorpusError
from voxtile.file_edges import file_edges, file_sha256

_PART_BYTES = 8 << 20  # of one request, as of shards
_AT_ONCE = 16
_LONGEST_NAME = 100
_BEGUN_S = 60.0  # a draft is made and then locked


class RefusedObjectError(CorpusError):
    """The object is not there, or is not what the corpus refers to; the store is well."""


@dataclass(frozen=True)
class Record:
    """What a corpus says of a file that it refers to; None for what it does not say.

    Attributes:
        bytes: its size.
        edges: `voxtile.file_edges.edge_digest` of it.
        sha256: its first hexadecimal digits, or all.
    """

    bytes: int | None = None
    edges: str | None = None
    sha256: str | None = None

    @property
    def names_content(self) -> bool:
        """Whether another content would be noticed by it."""
        return bool(self.edges or self.sha256)

    def is_met(self, path: Path) -> bool:
        """Whether a file is what is recorded."""
        size, edges = file_edges(path)
        if (self.bytes is not None and size != self.bytes) or (self.edges and edges != self.edges):
            return False
        return not self.sha256 or file_sha256(path).startswith(self.sha256)


class ObjectCopies:
    """The copies of one cache.

    Args:
        stores: gives the store of a bucket.
        space: makes room on the disk.
    """

    def __init__(self, stores: Callable[[Address], Store], space: CacheSpace) -> None:
        self._stores, self._space = stores, space
        self._folder = cache_root() / "referenced" / "blocks"  # where CacheSpace counts and removes
        self._drafts = self._folder.with_name("drafts")
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._flying: dict[tuple[str, Record], asyncio.Task[Path]] = {}
        self._identities: dict[str, Identity] = {}
        try:
            for folder in (self._folder.parent, self._folder, self._drafts):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_abandoned(self._drafts)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    async def path(self, url: str, record: Record) -> Path:
        """A copy of an object; whoever asks for one that is under way waits for that.

        Args:
            url: of the object.
            record: what it must be.

        Raises:
            RefusedObjectError: there is none, or it is another one.
            CorpusError: the store does not answer, or the copy has no room.
        """
        key = url, record
        if key not in self._flying:
            self._flying[key] = asyncio.ensure_future(self._found(url, record))
            self._flying[key].add_done_callback(lambda _: self._flying.pop(key, None))
        return await asyncio.shield(self._flying[key])

    async def _found(self, url: str, record: Record) -> Path:
        bucket, name = Address(Address(url).bucket), url.split("/", 3)[3]
        store = self._stores(bucket)
        try:
            if not record.names_content and url not in self._identities:
                self._identities[url] = await store.identity(name)
            path = self._folder / _file_name(url, record, self._identities.get(url))
            with suppress(FileNotFoundError):
                os.utime(path)
                return path
            known = self._identities.get(url) or await store.identity(name)
            if record.bytes is not None and known.size != record.bytes:
                raise RefusedObjectError(
                    f"the referenced file '{url}' has {known.size} bytes instead of {record.bytes}; "
                    "put the old one back, or convert it again"
                )
            await self._fetch(store, name, known, record, path)
        except FileNotFoundError as error:
            raise RefusedObjectError(
                f"the referenced file '{url}' is not in the store; put it there or drop the sample"
            ) from error
        except ChangedError as error:
            raise RefusedObjectError(
                f"the referenced file '{url}' was written again while it was read; put the old one back, or convert it "
                "again"
            ) from error
        return path

    async def _fetch(self, store: Store, name: str, known: Identity, record: Record, path: Path) -> None:
        self._space.make_room(known.size)
        with self._draft() as (draft, handle):

            async def part(start: int) -> None:
                stop = min(known.size, start + _PART_BYTES)
                async with self._slots:
                    data, _ = await store.read(name, known, (start, stop))
                    self._space.on_disk(lambda: _write(handle, data, start))

            await _all(part(start) for start in range(0, known.size, _PART_BYTES))
            if not await asyncio.to_thread(record.is_met, draft):
                raise RefusedObjectError(
                    f"the referenced file '{store.address.url}/{name}' has changed; put the old one back, or convert "
                    "it again"
                )
            self._space.on_disk(lambda: draft.replace(path))

    @contextmanager
    def _draft(self) -> Iterator[tuple[Path, int]]:
        """A file of its own that is locked while it is written, and removed unless it has got its name."""
        path = self._drafts / secrets.token_hex(8)
        handle = self._space.on_disk(lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            try_lock(handle)  # nobody else has its name
            yield path, handle
        finally:
            os.close(handle)
            path.unlink(missing_ok=True)


def _file_name(url: str, record: Record, identity: Identity | None) -> str:
    """Of a copy: it begins with a digest, and ends as the object's own name does, by which readers tell formats."""
    what = repr((url, Address(url).id, *astuple(record), None if record.names_content else identity))
    own = re.sub(r"[^\w.-]", "_", url.rpartition("/")[2])[-_LONGEST_NAME:]
    return f"{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}-{own}"


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do them side by side; where one fails, none goes on writing to a file that is closed."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(handle: int, data: bytes, start: int) -> None:
    view, written = memoryview(data), 0
    while written < len(view):
        written += os.pwrite(handle, view[written:], start + written)


def _remove_abandoned(folder: Path) -> None:
    """Remove what runs that were killed have left; what another one is writing is locked."""
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < _BEGUN_S:
                continue
            handle = os.open(path, os.O_RDWR)
            try:
                if try_lock(handle):
                    path.unlink()
            finally:
                os.close(handle)
