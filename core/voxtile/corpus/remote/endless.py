"""What a store sends without end: a request is given up by what it takes of memory, and by time.

The client of stores holds whole lists and whole refusals in memory, and asks for page after page by itself, so that a
store could have either without end. Nobody sees how much came of such a request; what this process takes is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import cache
from typing import TypeVar

import psutil

from voxtile.errors import CorpusError

# What is asked for at once is bounded: tables by 32 parts of 32 MB, twice while they are joined; ranges by 32 of 8 MB.
MOST_BYTES = 3 << 30
_LOOKED_AT_EVERY_S = 0.25

T = TypeVar("T")


class TooSlowError(OSError):
    """A request took longer than its bytes can take."""


async def ending(request: Awaitable[T], where: str, seconds: float, most: int = MOST_BYTES) -> T:
    """The answer to a request that is given up where it has no end.

    Args:
        request: to a store.
        where: address that is asked, for messages.
        seconds: that it may take.
        most: bytes by which this process may grow meanwhile, by whatever else it is asked for too.

    Raises:
        TooSlowError: it took longer.
        CorpusError: this process grew by more.
    """
    task = asyncio.ensure_future(request)
    until = asyncio.get_running_loop().time() + seconds
    before: int | None = None
    try:
        while not (await asyncio.wait({task}, timeout=_LOOKED_AT_EVERY_S))[0]:
            taken = int(_process().memory_info().rss)
            before = taken if before is None else before
            if taken - before > most:
                raise CorpusError(
                    f"what the store sends for '{where}' has no end: more than {most >> 30} GB came, and no list "
                    "or refusal is so long; ask who runs the store, or copy the corpus to a folder"
                )
            if asyncio.get_running_loop().time() > until:
                raise TooSlowError(f"no whole answer came in {seconds:,.0f} s")
        return task.result()
    finally:
        task.cancel()


@cache
def _process() -> psutil.Process:
    return psutil.Process()
