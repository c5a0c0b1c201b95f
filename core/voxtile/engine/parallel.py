"""A supervised parallel map, for what a task reads while it plans (headers of many files)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from voxtile.engine.failure import Failure, failure_of, lost
from voxtile.engine.pool import Call, Died, Limits, Raised, Returned, WorkerPool, processors
from voxtile.engine.progress import Progress
from voxtile.engine.worker import Report

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64  # items a call: a lost process costs that many to read again, a message costs about 50 µs


def parallel_map(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int = 0,
    time_limit_s: float = 60.0,
    memory_limit_gb: float = 4.0,
    title: str = "reading",
) -> list[R | Failure]:
    """Apply a function to each item in worker processes that may die.

    Args:
        function: importable by name (defined at the top of a module), or a `functools.partial` of one.
        items: picklable.
        workers: number of processes; 0 means one a processor.
        time_limit_s: for one item, in seconds.
        memory_limit_gb: for one process, in GiB.
        title: shown with the progress.

    Returns:
        One entry an item, in order: the result, or the failure of an item that raised, or whose process died, hung or
        outgrew its memory twice (once among others, once alone).

    Raises:
        ConfigError: the function cannot be sent to a worker.
    """
    if not items:
        return []
    count = workers or processors()
    size = max(1, min(CHUNK, math.ceil(len(items) / (4 * count))))
    chunks = [range(start, min(start + size, len(items))) for start in range(0, len(items), size)]
    results: dict[int, R | Failure] = {}
    limits = Limits(time_limit_s, int(memory_limit_gb * 2**30))
    with Progress(title, len(items)) as progress, WorkerPool(min(count, len(chunks)), function, limits) as pool:
        for chunk in chunks:
            pool.submit(_call(items, chunk))
        for event in pool.events():
            positions: range = event.call.key
            if isinstance(event, Raised):
                raise RuntimeError(f"{event.error.error_class}: {event.error.sentence}\n{event.error.traceback}")
            if isinstance(event, Returned):
                results.update(zip(positions, event.value, strict=True))
                progress.reach(len(results))
            elif isinstance(event, Died):
                _after_death(pool, items, event, results)
    return [results[position] for position in range(len(items))]


def _call(items: Sequence[Any], positions: range, *, alone: bool = False) -> Call:
    return Call(positions, _apply, ([items[position] for position in positions],), alone=alone)


def _after_death(pool: WorkerPool, items: Sequence[Any], event: Died, results: dict[int, Any]) -> None:
    """Try the item alone and the rest again; an item that was alone is lost."""
    positions: range = event.call.key
    culprit = positions[event.mark or 0]
    if event.call.alone:
        results[culprit] = lost(event.cause, event.detail)
        return
    for rest in (range(positions.start, culprit), range(culprit + 1, positions.stop)):
        if rest:
            pool.submit(_call(items, rest), first=True)
    pool.submit(_call(items, range(culprit, culprit + 1), alone=True), first=True)


def _apply(function: Callable[[Any], Any], items: list[Any], report: Report) -> list[Any]:
    results: list[Any] = []
    for index, item in enumerate(items):
        report(index)
        try:
            results.append(function(item))
        except MemoryError:
            raise
        except Exception as error:  # one unreadable file must not end the scan
            results.append(failure_of(error))
    report(None)
    return results
