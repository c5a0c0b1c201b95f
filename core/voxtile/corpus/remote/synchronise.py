"""Opening a remote corpus: what it holds is listed, and what the mirror lacks of tables and records is fetched."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from voxtile.bounded_text import LARGEST_RECORD
from voxtile.corpus.drafts import wait_for_lock
from voxtile.corpus.remote.block_cache import CacheSpace, disk_error
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import (
    HEADER,
    SHARD,
    Identity,
    Recorded,
    identity_unknown,
    is_record,
    is_wanted,
    recorded_in,
    removed_files,
)
from voxtile.corpus.remote.stores import NotAllowedError, Store, TooLargeError
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256

_AT_ONCE = 32
_PART_BYTES = 32 << 20  # of a table that are fetched by one request
_HASHED_BYTES = 1 << 30  # of a mirror's files that are hashed when it is opened: a second or two, whatever the corpus
_HEADER_BYTES = 1 << 20  # of corpus.json, which has some fifty
_MANIFESTS = "manifests/"
_MOST_MANIFESTS = 100_000  # runs of stages; a server may have an answer for each number
_MOST_UNTOLD = 1 << 30  # bytes of a file of a web server that no record tells of
_SHARE_OF_FREE_DISK = 0.9  # that tables and records may take
_LISTINGS = 5  # until no run has committed anything in between


async def fetch_header(store: Store, mirror: Mirror) -> None:
    """Fetch `corpus.json` alone, so that a corpus of a newer version is refused before anything else is read.

    Raises:
        CorpusError: there is none, or the store refuses.
    """
    try:
        data, _ = await store.read(HEADER, identity_unknown(), most=_HEADER_BYTES)
    except FileNotFoundError:
        url = mirror.address.url
        raise CorpusError(f"'{url}' is not a corpus (it has no {HEADER}); check the address") from None
    with _disk(mirror):
        mirror.make_folders()
        with _draft(mirror.root / HEADER) as stream:
            stream.write(data)


async def synchronise(store: Store, mirror: Mirror, space: CacheSpace) -> Mirror:
    """Bring the mirror up to what the corpus is now.

    Args:
        store: of the corpus.
        mirror: with what is known of it from an earlier time.
        space: makes room on the disk.

    Raises:
        CorpusError: the store refuses, a file is not what the corpus records, or the disk is full.
    """
    with _disk(mirror):
        mirror.make_folders()
        with _locked(mirror.root.parent / ".lock"):
            with suppress(FileNotFoundError):
                mirror = Mirror.read(mirror.root)
            work = _Work(store, mirror, space)
            return await (work.listed() if mirror.address.is_listable else work.recorded())


async def fetch_view(store: Store, mirror: Mirror, names: Sequence[str], space: CacheSpace) -> None:
    """Fetch a curated view by its name from a web server, which tells of none; nothing where it has none.

    Args:
        store: of the corpus.
        mirror: that was brought up to date; it forgets the view at the next time.
        names: files of the view, of which the first must be there.
        space: makes room on the disk.

    Raises:
        CorpusError: the server does not answer, or the disk is full.
    """
    with _disk(mirror), _locked(mirror.root.parent / ".lock"):
        mirror = Mirror.read(mirror.root)
        work = _Work(store, mirror, space)
        for number, name in enumerate(names):
            known = await work.optional(name) if is_wanted(name) else None
            if known is None and number == 0:
                with suppress(OSError):
                    (mirror.root / name).parent.rmdir()  # an empty folder would count as a view
                return
            mirror.small.update({name: known} if known is not None else {})
        mirror.write()


class _Work:
    def __init__(self, store: Store, mirror: Mirror, space: CacheSpace) -> None:
        self._store, self._before, self._space = store, mirror, space
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._records: dict[str, Recorded] = {}
        self._sayers: set[str] = set()  # names of the records that say it
        self._hashed = 0

    async def listed(self) -> Mirror:
        """Of a store that tells which objects there are."""
        found = await self._listing()
        for _ in range(_LISTINGS):
            again = await self._listing()
            if [n for n in found if _is_commit(n)] == [n for n in again if _is_commit(n)]:
                break
            found = again
        if HEADER not in found:  # which was read before: what lacks it is no list, or not all of it
            raise CorpusError(
                f"the list that the store gives of '{self._before.address.url}' lacks {HEADER}, which is there; see "
                "whether something between this machine and the store answers in its place, such as a proxy or a page "
                "to log in, and run the same command again"
            )
        shards = {name: known for name, known in found.items() if SHARD.fullmatch(name)}
        small = {name: known for name, known in found.items() if name not in shards}
        self._require_room(known.size for known in small.values())
        fetched = await self._fetch_records({n: known for n, known in small.items() if n.startswith(_MANIFESTS)})
        fetched |= await self._fetch_records({n: known for n, known in small.items() if n.startswith("done/")})
        fetched |= await self._fetch({name: known for name, known in small.items() if not is_record(name)})
        return self._finish(shards, fetched)

    async def recorded(self) -> Mirror:
        """Of a web server, which is asked for what the corpus's own records name."""
        fetched = {HEADER: await self._one(HEADER, self._known(HEADER))}
        number = 1
        while True:  # manifests are numbered without gaps
            names = [f"manifests/{n:04d}.json" for n in range(number, number + _AT_ONCE)]
            found = await asyncio.gather(*(self.optional(name) for name in names))
            there = {name: known for name, known in zip(names, found, strict=True) if known is not None}
            fetched |= there
            self._note(there)
            if found[-1] is None:
                self._check_gaps(names, found)
                break
            number += _AT_ONCE
            if number > _MOST_MANIFESTS or len({(self._before.root / name).read_bytes() for name in there}) == 1:
                raise CorpusError(
                    f"'{self._before.address.url}' has a manifest for whichever number it is asked for; a "
                    "server must answer 404 for what is not there"
                )
        if not self._records:
            raise CorpusError(
                f"'{self._before.address.url}' has no manifests/0001.json, which says what else there is; a web server "
                "lists no files, so name the corpus in its store (s3://, gs://)"
            )
        gone = removed_files(self._before.root)
        names = [name for name in self._records if name not in fetched and name not in gone]
        small = {name: self._known(name) for name in names if not SHARD.fullmatch(name)}
        self._require_room(self._records[name].size for name in small)
        fetched |= await self._fetch_records({name: known for name, known in small.items() if is_record(name)})
        fetched |= await self._fetch({name: known for name, known in small.items() if not is_record(name)})
        for optional in ("forgotten.json",):
            known = await self.optional(optional)
            fetched |= {optional: known} if known is not None else {}
        shards = {n: Identity(self._records[n].size, "") for n in names if SHARD.fullmatch(n)}
        return self._finish(shards, fetched)

    def _check_gaps(self, names: Sequence[str], found: Sequence[Identity | None]) -> None:
        """Without a manifest the corpus would be less than it is, without a word."""
        last = max((n for n, known in enumerate(found) if known is not None), default=-1)
        if None in found[: last + 1]:
            raise CorpusError(
                f"'{self._before.address.url}/{names[found.index(None)]}' is missing or may not be read, and later "
                "ones are there; copy the corpus again"
            )

    async def _listing(self) -> dict[str, Identity]:
        return {name: known for name, known in sorted((await self._store.listed()).items()) if is_wanted(name)}

    def _known(self, name: str) -> Identity:
        """What a file on a web server was when it was fetched: it is fetched again where the records say otherwise."""
        known = self._before.small.get(name)
        recorded = self._records.get(name)
        if known is None or recorded is None or known.size != recorded.size:
            return identity_unknown()
        return known

    async def _fetch(self, wanted: Mapping[str, Identity]) -> dict[str, Identity]:
        found = await asyncio.gather(*(self._one(name, known) for name, known in wanted.items()))
        return dict(zip(wanted, found, strict=True))

    async def _fetch_records(self, wanted: Mapping[str, Identity]) -> dict[str, Identity]:
        """Fetch records and note what they say."""
        fetched = await self._fetch(wanted)
        self._note(fetched)
        return fetched

    def _require_room(self, sizes: Iterable[int]) -> None:
        """Refuse tables and records that the disk has no room for, before any is fetched."""
        total, folder = sum(sizes), self._before.root
        free = shutil.disk_usage(folder).free + sum(known.size for known in self._before.small.values())
        if total > _SHARE_OF_FREE_DISK * free:
            raise CorpusError(
                f"the tables and records of '{self._before.address.url}' have {total / 1e9:,.1f} GB, and the disk of "
                f"'{folder}' has {free / 1e9:,.1f} GB for them; free space there, or name another folder by "
                "VOXTILE_CACHE"
            )

    def _note(self, names: Iterable[str]) -> None:
        """Note what records say of files; the newest manifest counts, in whichever order they came."""
        new = sorted((name for name in names if is_record(name)), key=_age)
        if new and any(_age(name) > _age(new[0]) for name in self._sayers):  # what is newer is heard again
            new = sorted({*self._sayers, *new}, key=_age)
            self._records = {}
        self._sayers.update(new)
        for name in new:
            try:
                self._records.update(recorded_in(name, (self._before.root / name).read_bytes()))
            except CorpusError as error:
                advice = "; a server must answer 404, and not with a page, for what is not there"
                raise CorpusError(
                    f"{error} ('{self._before.address.url}'); copy it again from where the corpus was made"
                    f"{'' if self._before.address.is_listable else advice}"
                ) from error

    async def optional(self, name: str) -> Identity | None:
        """Fetch a file that need not be there."""
        try:
            return await self._one(name, identity_unknown())
        except FileNotFoundError:
            return None
        except NotAllowedError:
            if self._before.address.is_listable:
                raise
            return None  # a bucket that is read over the web says so of what is not there

    async def _one(self, name: str, known: Identity) -> Identity:
        """Fetch a file unless the mirror has it."""
        path = self._before.root / name
        if known.size < 0 or self._before.small.get(name) != known or not await self._is_sound(name, path, known.size):
            self._check_own(name, path)
            known = await self._download(name, known, path)
        return known

    async def _is_sound(self, name: str, path: Path, size: int) -> bool:
        """Whether a file of the mirror is what was fetched: disks lose bits, and others may write to a cache.

        Of more than `_HASHED_BYTES` the size is compared alone; all are hashed when a view is compiled of them.
        """
        if not _has_size(path, size):
            return False
        recorded = self._records.get(name)
        if recorded is None or self._hashed + size > _HASHED_BYTES:
            return True
        self._hashed += size
        return await asyncio.to_thread(_sha256, path) == recorded.sha256

    async def _download(self, name: str, known: Identity, path: Path) -> Identity:
        """Fetch a file in parts, so that neither memory nor a request that fails depends on its size."""
        digest, start = hashlib.sha256(), 0
        async with self._slots:  # before it is made: a process may open a thousand files, and a corpus has more
            with _draft(path) as stream:
                while known.size < 0 or start < known.size:
                    self._check_size(name, known.size)
                    part = None if known.size < 0 else (start, min(known.size, start + _PART_BYTES))
                    try:
                        data, known = await self._store.read(name, known, part)
                    except TooLargeError as error:
                        known = error.identity
                        continue
                    self._check_size(name, known.size)
                    self._space.make_room(len(data))
                    stream.write(data)
                    digest.update(data)
                    start += len(data)
                self._check_content(name, digest.hexdigest())
        return known

    def _check_own(self, name: str, path: Path) -> None:
        """What was made on this machine is not overwritten by a thing of the same name."""
        if name.startswith("views/") and name not in self._before.small and path.exists():
            raise CorpusError(
                f"the view '{path.parent.name}' was curated on this machine, and '{self._before.address.url}' has one "
                f"of the same name now; move the folder '{path.parent}' away to read that one"
            )

    def _check_size(self, name: str, size: int) -> None:
        """Refuse what is larger than it may be before it is fetched."""
        recorded, url = self._records.get(name), self._before.address.url
        if recorded is not None and size >= 0 and size != recorded.size:
            raise self._changed(name)
        bound = LARGEST_RECORD if name.endswith(".json") else _MOST_UNTOLD
        if size > bound and (name.endswith(".json") or not (recorded or self._before.address.is_listable)):
            raise CorpusError(
                f"'{url}/{name}' has {size:,} bytes, and no such file has more than {bound:,}; it is not read"
            )

    def _check_content(self, name: str, sha256: str) -> None:
        recorded = self._records.get(name)
        if recorded is not None and sha256 != recorded.sha256:
            raise self._changed(name)

    def _changed(self, name: str) -> CorpusError:
        return CorpusError(
            f"'{self._before.address.url}/{name}' is not as the corpus records it; somebody changed it, or it was "
            "copied in part: copy it again from where the corpus was made"
        )

    def _finish(self, shards: dict[str, Identity], small: dict[str, Identity]) -> Mirror:
        contents = {name: self._records[name].sha256 for name in shards if name in self._records}
        mirror = Mirror(self._before.root, self._before.address, shards, contents, small)
        mirror.write()
        _remove(mirror.root, self._before.small.keys() - small.keys())
        return mirror


def _age(name: str) -> tuple[bool, int, str]:
    """Orders records: done files, then manifests by their number."""
    return name.startswith(_MANIFESTS), len(name), name


def _is_commit(name: str) -> bool:
    return name.startswith(("done/", "manifests/"))


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:  # of a damaged disk: it is fetched again
        return ""


@contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is complete."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            yield stream
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _remove(root: Path, names: Iterable[str]) -> None:
    for name in names:
        with suppress(OSError):
            (root / name).unlink(missing_ok=True)
            if name.startswith("views/"):
                (root / name).parent.rmdir()  # with its last file


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time brings a mirror up to date."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        wait_for_lock(handle, f"another process brings '{path.parent}' up to date just now; this one waits for it")
        yield
    finally:
        os.close(handle)


@contextmanager
def _disk(mirror: Mirror) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if error.errno is not None:  # of this machine's disk; that of a store has no number
            raise disk_error(mirror.root.parent.parent, error) from error
        raise CorpusError(
            f"'{mirror.address.url}' lacks '{error}', which its records name; copy the corpus again"
        ) from error
    except OSError as error:
        raise disk_error(mirror.root.parent.parent, error) from error
