"""The process that talks to stores, one for a run: its rights, its connections and what it has found are shared by all.

Loader workers are forked, and the threads of a client of object stores do not survive a fork; besides, whoever asks for
a block that another worker is waiting for shall wait too, and not ask the store again. So nobody but this process makes
requests. It answers over a socket in a folder that only its user may enter, and ends with the last process that holds
the other end of its standard input. Started by `voxtile.corpus.remote.client`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from voxtile.corpus.remote.address import Address
from voxtile.corpus.remote.block_cache import CacheSpace, cache_root, disk_error
from voxtile.corpus.remote.filling import Filler, ranges_inside
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.object_copies import ObjectCopies, Record, RefusedObjectError
from voxtile.corpus.remote.stores import Store
from voxtile.corpus.remote.synchronise import fetch_header, fetch_view, synchronise
from voxtile.errors import VoxtileError

LONGEST_MESSAGE = 64 << 20


class Fetcher:
    """Answers requests; a corpus that was opened stays as it was found for as long as this process lives."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self._opening: dict[str, asyncio.Task[Mirror]] = {}
        self._fillers: dict[str, Filler] = {}
        self._space: CacheSpace | None = None
        self._copies: ObjectCopies | None = None

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked.

        Raises:
            VoxtileError: it cannot be done.
        """
        if request["do"] == "header":
            address = Address(request["url"])
            if address.url not in self._opening:
                await fetch_header(self._store(address), Mirror.empty(address))
            return {"root": str(Mirror.folder(address))}
        if request["do"] == "open":
            if request["anew"]:
                self._opening.pop(request["url"], None)
            return {"root": str((await self._opened(Address(request["url"]))).root)}
        if request["do"] == "view":
            mirror = Mirror.read(Path(request["root"]))
            await fetch_view(self._store(mirror.address), mirror, request["names"], self._cache())
            return {}
        if request["do"] in {"list", "create", "digest"}:
            return await self._write(self._store(Address(request["url"])), request)
        if request["do"] == "object":
            return await self._copy(request["url"], Record(**request["record"]))
        filler = await self._filler(Path(request["root"]))
        for name, ranges in request["ranges"].items():
            size = filler.mirror.shards[name].size if name in filler.mirror.shards else 0
            inside = ranges_inside(ranges, size)
            if request["do"] == "ahead":
                filler.fill_ahead(name, inside)
            else:
                await filler.fill(name, inside, follow=request["follow"])
        return {}

    async def _copy(self, url: str, record: Record) -> dict[str, Any]:
        if self._copies is None:
            self._copies = ObjectCopies(self._store, self._cache())
        try:
            return {"path": str(await self._copies.path(url, record))}
        except RefusedObjectError as error:
            return {"refused": str(error)}

    async def _write(self, store: Store, request: dict[str, Any]) -> dict[str, Any]:
        """What writing a corpus takes: which objects there are, a new one, and whether one is as it should be."""
        if request["do"] == "list":
            return {"names": sorted(await store.listed())}
        if request["do"] == "create":
            return {"created": await store.create(request["name"], Path(request["path"]).read_bytes())}
        try:
            return {"sha256": await store.digest(request["name"])}
        except FileNotFoundError:
            return {"sha256": None}

    async def _opened(self, address: Address) -> Mirror:
        task = self._opening.get(address.url)
        if task is None:
            work = synchronise(self._store(address), Mirror.empty(address), self._cache())
            task = self._opening[address.url] = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except BaseException:
            self._opening.pop(address.url, None)  # the next one tries again
            raise

    async def _filler(self, root: Path) -> Filler:
        """Of a mirror that this process has opened, or another one before."""
        if str(root) not in self._fillers:
            mirror = Mirror.read(root)
            opening = self._opening.get(mirror.address.url)
            mirror = await asyncio.shield(opening) if opening is not None else mirror
            self._fillers[str(root)] = Filler(self._store(mirror.address), mirror, self._cache())
        return self._fillers[str(root)]

    def _store(self, address: Address) -> Store:
        if address.url not in self._stores:
            self._stores[address.url] = Store(address)
        return self._stores[address.url]

    def _cache(self) -> CacheSpace:
        if self._space is None:
            root = cache_root()
            try:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(root, error) from error
            self._space = CacheSpace(root)
        return self._space


async def _serve(path: str) -> None:
    fetcher = Fetcher()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(json.dumps(await _answered(fetcher, line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, path, limit=LONGEST_MESSAGE)
    async with server:
        await _owner_gone()
        os._exit(0)  # nobody is left to hear of requests that are under way


async def _answered(fetcher: Fetcher, line: bytes) -> dict[str, Any]:
    try:
        return await fetcher.answer(json.loads(line))
    except VoxtileError as error:
        return {"error": str(error)}
    except Exception as error:  # whoever asked is told; a fetcher that ends would take all of them with it
        return {"error": f"reading a remote corpus failed ({type(error).__name__}: {error}); please report this"}


async def _owner_gone() -> None:
    """Wait until nobody holds the other end of standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def main() -> None:
    """Serve until the owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the owner decides
    asyncio.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
