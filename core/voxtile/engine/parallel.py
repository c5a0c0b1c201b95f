"""Reading outside files in supervised processes while a task plans: headers of many files, or the whole list."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import voxtile.errors
from voxtile.engine.failure import LOST, Failure, failure_of, how_lost, lost
from voxtile.engine.pool import Died, Raised, Returned, WorkerPool
from voxtile.engine.task import Item, Task
from voxtile.engine.worker import Report
from voxtile.engine.worker_process import Call, Limits
from voxtile.errors import InputError, MissingExtraError, VoxtileError
from voxtile.processors import usable_processors

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64  # items a call: a lost process costs that many to read again, a message costs about 50 µs
DEFAULT_LIMITS = Limits(time_s=60.0, memory_bytes=4 << 30)
ALIVE_S = 1.0  # how often a function that yields says that it is at work


@dataclass(frozen=True)
class PlanReader:
    """How outside files are read while a plan is made: in supervised processes, under the limits of the conversion.

    A header is as hostile as the pixels behind it: a deflated header of 2 MB unpacks to 4 GB. What is read in the
    planning process itself must be bounded by its own code, in bytes and in work.

    Attributes:
        workers: number of processes; 0 reads in this process, unsupervised, as the inline engine does.
        limits: of the time for one file and the memory of one process.
    """

    workers: int = 0
    limits: Limits = field(default_factory=Limits)

    def map(self, function: Callable[[T], R], items: Sequence[T], *, title: str = "reading") -> list[R | Failure]:
        """Apply a function to each item; see `parallel_map`."""
        if not self.workers:
            return _apply(function, list(items), _nobody) if items else []
        return parallel_map(function, items, workers=self.workers, limits=self.limits, title=title)

    def read(self, function: Callable[[T], R], item: T, *, title: str = "reading") -> R | Failure:
        """Apply a function to one item."""
        return self.map(function, [item], title=title)[0]


def parallel_map(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    title: str = "reading",
) -> list[R | Failure]:
    """Apply a function to each item in worker processes that may die.

    Args:
        function: importable by name (defined at the top of a module), or a `functools.partial` of one. One that yields
            gives the list of what it yielded, and has the time limit for each element: a tar of a million members is
            listed in a long time, but goes on.
        items: picklable.
        workers: number of processes; 0 means one a processor.
        limits: of the time for one item and the memory of one process.
        title: shown with the progress.

    Returns:
        One entry an item, in order: the result, or the failure of an item that raised, or whose process died, hung or
        outgrew its memory twice (once among others, once alone).

    Raises:
        ConfigError: the function cannot be sent to a worker.
    """
    if not items:
        return []
    from voxtile.engine.report import Progress  # late: a worker that plans nothing shows nothing

    count = workers or usable_processors()
    size = max(1, min(CHUNK, math.ceil(len(items) / (4 * count))))
    most = min(count, math.ceil(len(items) / size))
    with Progress(title, len(items)) as progress, WorkerPool(most, function, limits) as pool:
        return read_in(pool, items, size, progress.reach)


def read_in(
    pool: WorkerPool, items: Sequence[Any], size: int, reach: Callable[[int], None] = lambda _: None
) -> list[Any]:
    """Apply the function that a pool's processes share to each item.

    Args:
        pool: of processes.
        items: picklable.
        size: items a call.
        reach: told how many items are done.

    Returns:
        As `parallel_map`.

    Raises:
        RuntimeError: the function raised; with the traceback of its process.
    """
    for start in range(0, len(items), size):
        pool.submit(_call(items, range(start, min(start + size, len(items)))))
    results: dict[int, Any] = {}
    for event in pool.events():
        positions: range = event.call.key
        if isinstance(event, Raised):
            raise RuntimeError(f"{event.error.error_class}: {event.error.sentence}\n{event.error.traceback}")
        if isinstance(event, Returned):
            results.update(zip(positions, event.value, strict=True))
            reach(len(results))
        elif isinstance(event, Died):
            _after_death(pool, items, event, results)
    return [results[position] for position in range(len(items))]


def list_apart(task: Task, reader: PlanReader) -> list[Item]:
    """The items of a task whose plan reads what nobody vouches for: JSON, spreadsheets, HDF5, Parquet.

    One process lists them all, so that what outgrows the limits ends the plan by a sentence and not the machine.

    Args:
        task: holds nothing that a worker process may not have.
        reader: with the limits of the conversion; the time limit is for one item of the list.

    Raises:
        InputError: the plan takes more than the limits.
        VoxtileError: what the task itself raises.
        RuntimeError: it raises something else.
    """
    if not reader.workers:
        return list(task.items())
    found = reader.read(_items_of, task, title="listing")
    if not isinstance(found, Failure):
        return list(found)
    if found.reason in LOST:
        raise InputError(
            f"listing the inputs of '{task.name}' {how_lost(found)}; if the download is sound, raise "
            "--memory-limit-gb or --time-limit-s"
        )
    kind = getattr(voxtile.errors, found.error_class, None)
    if isinstance(kind, type) and issubclass(kind, VoxtileError) and kind is not MissingExtraError:
        raise kind(found.sentence)
    raise InputError(found.sentence) if kind else RuntimeError(found.sentence)


def _items_of(task: Task) -> Iterator[Item]:
    yield from task.items()


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
            result = function(item)
            results.append(_listed(result, index, report) if isinstance(result, Iterator) else result)
        except MemoryError:
            raise
        except Exception as error:  # one unreadable file must not end the scan
            results.append(failure_of(error))
    report(None)
    return results


def _listed(elements: Iterator[Any], index: int, report: Report) -> list[Any]:
    """All elements; the clock of the item starts again with them."""
    found: list[Any] = []
    said = time.monotonic()
    for element in elements:
        found.append(element)
        if (now := time.monotonic()) - said > ALIVE_S:
            report(index)
            said = now
    return found


def _nobody(_mark: int | None) -> None:
    """Nobody watches the time."""
