"""Replies on disk by the key of their request, in LMDB: a reply is stored before anybody sees it.

Writes are grouped: whatever arrives while one group is being synced makes up the next. A process that is killed loses
the replies that it has not yet returned, and nothing else; LMDB needs no repair afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from voxtile.corpus.drafts import try_lock
from voxtile.errors import ConfigError, required
from voxtile_datasets.captions.providers.provider import ProviderError
from voxtile_datasets.captions.providers.request import Reply

CACHE_SUFFIX = ".replies"
_ADDRESSES = 1 << 40  # bytes of address space set aside; the file is as large as what it holds
_LONGEST_VALUE = 64 << 20
_STORED = ("text", "tokens_in", "tokens_out", "cost_usd", "latency_s", "finish", "created")


def cache_of(corpus: Path) -> Path:
    """Where the replies of a corpus are kept: beside it, for they may hold more than may be shared."""
    return corpus.resolve().with_name(corpus.resolve().name + CACHE_SUFFIX)


class ReplyCache:
    """A folder of replies; open it with `ReplyCache.open`, and close it as often.

    One process writes at a time. Providers of one process that name the same folder share it.

    Attributes:
        folder: where it is.
    """

    _shared: dict[str, ReplyCache] = {}  # noqa: RUF012 -- by real path: LMDB must not be opened twice in a process

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self.folder = folder
        self.read_only = read_only
        self._users = 0
        self._lock: IO[str] | None = None if read_only else _locked(folder)
        self._environment, self._replies, self._models = _opened(folder, read_only=read_only)
        self._writer = ThreadPoolExecutor(1, "reply-cache")
        self._pending: list[tuple[bytes, bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> ReplyCache:
        """Open a cache, or share it where this process has it open.

        Args:
            folder: made if it does not exist.
            read_only: never write; the folder must be a cache.

        Raises:
            ConfigError: another process writes to it, or it is no cache.
            MissingExtraError: lmdb is not installed.
        """
        place = os.path.realpath(folder)
        cache = cls._shared.get(place)
        if cache is None:
            cache = cls._shared[place] = cls(folder, read_only=read_only)
        elif cache.read_only and not read_only:
            raise ConfigError(f"the reply cache '{folder}' is open for reading only; close the replay first")
        cache._users += 1
        return cache

    def get(self, key: str) -> Reply | None:
        """The stored reply to a request, or None."""
        with self._environment.begin(db=self._replies) as reading:
            value = reading.get(bytes.fromhex(key))
        if value is None:
            return None
        content = json.loads(_unpacked(value))
        return Reply(cached=True, request_sha=key, **{name: content[name] for name in _STORED})

    async def put(self, reply: Reply) -> Reply:
        """Store a reply; it is on disk when this returns.

        Returns:
            The reply as it was stored.
        """
        content = {name: getattr(reply, name) for name in _STORED}
        value = _packed(json.dumps(content, separators=(",", ":")).encode())
        done = asyncio.get_running_loop().create_future()
        self._pending.append((bytes.fromhex(reply.request_sha), value, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await done
        return replace(reply, cached=False)

    def note_model(self, name: str, **about: Any) -> None:  # noqa: ANN401
        """Remember a model whose replies are kept here, with what a replay needs to ask like it."""
        self._commit([(name.encode(), json.dumps(about).encode())], self._models)

    def models(self) -> dict[str, dict[str, Any]]:
        """What `note_model` was told, by the model's name."""
        with self._environment.begin(db=self._models) as reading:
            return {bytes(name).decode(): json.loads(about) for name, about in reading.cursor()}

    def __len__(self) -> int:
        with self._environment.begin() as reading:
            return int(reading.stat(self._replies)["entries"])

    def keys(self) -> Iterator[str]:
        """Keys of all replies, in order."""
        with self._environment.begin(db=self._replies) as reading:
            yield from (bytes(key).hex() for key in reading.cursor().iternext(keys=True, values=False))

    def copy_to(self, folder: Path, keys: Collection[str]) -> None:
        """Write a new cache with some of the replies, and nothing of the others in any byte.

        Args:
            folder: an empty one.
            keys: of the replies to copy.
        """
        environment, replies, models = _opened(folder, read_only=False)
        with self._environment.begin() as reading, environment.begin(write=True) as writing:
            for key in sorted(set(keys) & set(self.keys())):
                name = bytes.fromhex(key)
                writing.put(name, reading.get(name, db=self._replies), db=replies)
            for name, about in reading.cursor(db=self._models):
                writing.put(name, about, db=models)
        environment.sync(True)
        environment.close()

    def close(self) -> None:
        """Let go of the folder; the last one that shares it closes it."""
        self._users -= 1
        if self._users > 0:
            return
        self._shared.pop(os.path.realpath(self.folder), None)
        self._writer.shutdown(wait=True)
        left, self._pending = self._pending, []
        if left:  # replies whose askers were cancelled
            self._commit([(key, value) for key, value, _ in left], self._replies)
        self._environment.close()
        if self._lock:
            self._lock.close()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            group, self._pending = self._pending, []
            pairs = [(key, value) for key, value, _ in group]
            try:
                await loop.run_in_executor(self._writer, self._commit, pairs, self._replies)
            except Exception as error:  # a full disk, say: those who wait for their reply hear of it
                trouble = ProviderError(f"replies cannot be stored in '{self.folder}' ({error}); free some space there")
                for *_, done in group:
                    if not done.done():
                        done.set_exception(trouble)
            else:
                for *_, done in group:
                    if not done.done():
                        done.set_result(None)
        self._flushing = None

    def _commit(self, pairs: list[tuple[bytes, bytes]], table: Any) -> None:  # noqa: ANN401
        with self._environment.begin(db=table, write=True) as writing:
            for key, value in pairs:
                writing.put(key, value)


def _packed(data: bytes) -> bytes:
    """Length (4 bytes) and zstd."""
    return len(data).to_bytes(4, "little") + bytes(pa.compress(data, codec="zstd", asbytes=True))


def _unpacked(value: bytes) -> bytes:
    size = int.from_bytes(value[:4], "little")
    if size > _LONGEST_VALUE:
        raise ConfigError(f"a cached reply claims {size:,} bytes; the reply cache is damaged")
    return bytes(pa.decompress(value[4:], decompressed_size=size, codec="zstd", asbytes=True))


def _locked(folder: Path) -> IO[str]:
    """The folder's lock file, held by this process until it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "writer.lock", "a")  # noqa: SIM115 -- open as long as the cache is
    except OSError as error:
        raise ConfigError(f"the reply cache '{folder}' cannot be written: {error.strerror}") from error
    if not try_lock(lock.fileno()):
        lock.close()
        raise ConfigError(
            f"another run uses the reply cache '{folder}'; wait for it, or give another folder with --replies"
        )
    return lock


def _opened(folder: Path, *, read_only: bool) -> tuple[Any, Any, Any]:
    """The environment and its two tables: replies, and models."""
    with required("lmdb", "llm"):
        import lmdb
    if read_only and not (folder / "data.mdb").is_file():
        raise ConfigError(f"'{folder}' is no reply cache; one is made by a run with --provider local or openai")
    try:
        # metasync off: one sync a group. A power cut may undo the last group, never damage the file.
        environment = lmdb.open(
            str(folder), map_size=_ADDRESSES, max_dbs=2, metasync=False, readonly=read_only, readahead=False
        )
        tables = [environment.open_db(name, create=not read_only) for name in (b"replies", b"models")]
    except lmdb.Error as error:
        raise ConfigError(f"the reply cache '{folder}' cannot be opened: {error}") from error
    return environment, tables[0], tables[1]
