"""Fetching blocks: ranges are joined, no block is asked for twice at a time, and requests run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from voxtile.corpus.remote.block_cache import CacheSpace, runs_of
from voxtile.corpus.remote.extents import BLOCK, ObjectBlocks
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.objects import Identity
from voxtile.corpus.remote.stores import Store
from voxtile.errors import CorpusError, VoxtileError

Ranges: TypeAlias = Sequence[tuple[int, int]]
"""First byte and the one behind the last, of each."""

_MOST_BLOCKS = (8 << 20) // BLOCK  # of one request: at 100 MB/s it takes as long as two round trips of 50 ms
_GAP = (64 << 10) // BLOCK  # reading more along would push out what is needed
_GAP_WHERE_ALL_FITS = (4 << 20) // BLOCK  # what is read along is needed in the same epoch
_AT_ONCE, _AHEAD_AT_ONCE = 32, 24  # requests, and those that nobody waits for yet
_FIRST_AHEAD, _MOST_AHEAD = 1 << 20, 64 << 20  # bytes behind what is read in order; twice as many each time it goes on
_CLOSE = 1 << 20  # bytes between ranges, whose blocks it is cheaper to look at along than to ask anew
_IN_ORDER = 128 << 10  # bytes that may be passed over


class Filler:
    """Fills the block files of one corpus.

    Args:
        store: of the corpus.
        mirror: what was found of it.
        space: makes room on the disk.
    """

    def __init__(self, store: Store, mirror: Mirror, space: CacheSpace) -> None:
        self._store, self.mirror, self._space = store, mirror, space
        self._slots, self._ahead_slots = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AHEAD_AT_ONCE)
        self._flying: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._tags: dict[str, Identity] = {}
        self._is_announced = False
        self._background: set[asyncio.Task[None]] = set()
        self._ends: dict[str, tuple[int, int]] = {}  # of each shard: how far it is read, and how much of that ahead
        total = sum(known.size for known in mirror.shards.values())
        self._gap = _GAP_WHERE_ALL_FITS if total < space.limit // 2 else _GAP

    async def fill(self, name: str, ranges: Ranges, *, ahead: bool = False, follow: bool = False) -> None:
        """Have ranges of a shard on the disk; returns when they are there.

        Args:
            name: of the shard.
            ranges: inside it.
            ahead: nobody waits for them yet.
            follow: read on behind them where the shard is read in order.

        Raises:
            CorpusError: there is no such shard, it has changed, the store does not answer, or the disk is full.
        """
        known = self.mirror.shards.get(name)
        if known is None:
            raise CorpusError(f"'{self.mirror.address.url}' has no '{name}'; run 'voxtile verify' on the corpus")
        file = ObjectBlocks(self.mirror.block_path(name), known.size)
        missing = missing_blocks(file, ranges)
        new = [block for block in missing if (name, block) not in self._flying]
        for run in runs_of(new, self._gap, _MOST_BLOCKS):
            task = asyncio.ensure_future(self._get(name, file, run, ahead=ahead))
            for block in range(*run):
                self._flying.setdefault((name, block), task)
            task.add_done_callback(partial(self._landed, name, run))
        if follow and new:
            self._follow(name, ranges, known.size)
        waited = {self._flying[name, block] for block in missing if (name, block) in self._flying}
        if waited:
            await asyncio.gather(*waited)

    def fill_ahead(self, name: str, ranges: Ranges) -> None:
        """Start to fill ranges that somebody will ask for; where that fails, whoever asks for them is told."""
        self._is_announced = True
        self._start(name, ranges)

    def _start(self, name: str, ranges: Ranges) -> None:
        async def quietly() -> None:
            with suppress(VoxtileError):
                await self.fill(name, ranges, ahead=True)

        task = asyncio.ensure_future(quietly())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _follow(self, name: str, ranges: Ranges, size: int) -> None:
        """Read on behind what is read in order, the further the longer it goes on."""
        if self._is_announced:
            return  # whoever reads has said in which order; what lies behind is not what comes next
        start, stop = min(start for start, _ in ranges), max(stop for _, stop in ranges)
        end, window = self._ends.get(name, (-1, 0))
        goes_on = -_IN_ORDER <= start - end <= _IN_ORDER
        most = min(_MOST_AHEAD, self._space.limit // 8)
        window = min(max(2 * window, _FIRST_AHEAD), most) if goes_on else 0
        self._ends[name] = (min(size, stop + window), window)
        if window and stop < size:
            self._start(name, [(stop, min(size, stop + window))])

    def _landed(self, name: str, run: tuple[int, int], done: asyncio.Task[None]) -> None:
        for block in range(*run):
            if self._flying.get((name, block)) is done:
                del self._flying[name, block]
        if not done.cancelled():
            done.exception()  # it was told to whoever waits; of what is read ahead nobody asks

    async def _get(self, name: str, file: ObjectBlocks, run: tuple[int, int], *, ahead: bool) -> None:
        if ahead:
            async with self._ahead_slots:
                await self._request(name, file, run)
        else:
            await self._request(name, file, run)

    async def _request(self, name: str, file: ObjectBlocks, run: tuple[int, int]) -> None:
        part = run[0] * BLOCK, min(run[1] * BLOCK, file.size)
        known = self._tags.get(name) or self.mirror.shards[name]
        async with self._slots:
            try:
                data, identity = await self._store.read(name, known, part)
            except FileNotFoundError as error:
                raise CorpusError(
                    f"'{self.mirror.address.url}/{name}' is missing; run 'voxtile verify' on the corpus to see what is"
                ) from error
        self._tags.setdefault(name, identity)
        self._space.make_room(len(data))
        self._space.on_disk(lambda: file.write(run[0], data))


def missing_blocks(file: ObjectBlocks, ranges: Ranges) -> list[int]:
    """Blocks of an object that are not there, ascending; of ranges that lie close it is asked at once.

    Args:
        file: the object's blocks.
        ranges: inside it, in any order.
    """
    found: set[int] = set()
    for group in _close_together(ranges):
        missing = file.missing(group[0][0], max(stop for _, stop in group)).tolist()
        if missing and len(group) > 1:
            wanted = {block for start, stop in group for block in range(start // BLOCK, -(-stop // BLOCK))}
            missing = wanted.intersection(missing)
        found.update(missing)
    return sorted(found)


def _close_together(ranges: Ranges) -> Iterator[list[tuple[int, int]]]:
    """Ranges in order, as groups without wide gaps."""
    group: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if group and start > group[-1][1] + _CLOSE:
            yield group
            group = []
        group.append((start, max(stop, group[-1][1]) if group else stop))
    if group:
        yield group


def ranges_inside(ranges: Iterable[Sequence[int]], size: int) -> Ranges:
    """Ranges cut to an object's size; empty ones go."""
    cut = ((max(0, int(start)), min(size, int(stop))) for start, stop in ranges)
    return [(start, stop) for start, stop in cut if stop > start]
