"""Working ahead of the engine: the requests of the inputs to come are in flight, so that a model is never idle.

The engine asks for one outcome after another and commits them in groups. Replies are on disk before they are used, so
that a run which is killed asks nothing twice when it is started again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from voxtile.engine.inline import InlineEngine
from voxtile.engine.local import Engine
from voxtile.engine.options import RunOptions
from voxtile.engine.plan import Job
from voxtile.engine.task import Item, Outcome
from voxtile_datasets.captions.providers.cached import CachedProvider

Result = TypeVar("Result")


class WorkAhead:
    """Outcomes of items, many of which are worked on before the engine asks for them; close it when done.

    Args:
        work: makes the outcome of an item.
        ahead: so many items are worked on at most.
    """

    def __init__(self, work: Callable[[Item], Coroutine[Any, Any, Outcome]], ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[Item] = deque()
        self._begun: dict[str, asyncio.Task[Outcome]] = {}

    def note(self, jobs: Sequence[Job]) -> None:
        """Note what comes next; the engine calls it ahead of each job."""
        begun = {item.source for item in self._waiting} | self._begun.keys()
        self._waiting.extend(item for item in jobs[0].items if item.source not in begun)
        for job in jobs[1:]:
            if len(self._waiting) + len(self._begun) >= self._ahead:
                break
            self._waiting.extend(item for item in job.items if item.source not in begun)
        self._fill()

    def outcome(self, item: Item) -> Outcome:
        """The outcome of one item; the event loop runs until it is there."""
        if item.source not in self._begun:
            self._waiting = deque([item, *(other for other in self._waiting if other.source != item.source)])
            self._fill(at_least=1)
        outcome = self._loop.run_until_complete(self._begun[item.source])
        del self._begun[item.source]
        self._fill()
        return outcome

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something else in the same event loop."""
        return self._loop.run_until_complete(work)

    def close(self, end: Callable[[], Awaitable[None]]) -> None:
        """Give up what is in flight.

        Args:
            end: called last, in the event loop.
        """
        self._loop.run_until_complete(self._end(end))
        self._loop.close()

    async def _end(self, end: Callable[[], Awaitable[None]]) -> None:
        for task in self._begun.values():
            task.cancel()
        await asyncio.gather(*self._begun.values(), return_exceptions=True)
        await end()

    def _fill(self, at_least: int = 0) -> None:
        while self._waiting and (at_least > 0 or len(self._begun) < self._ahead):
            item = self._waiting.popleft()
            at_least -= 1
            self._begun[item.source] = self._loop.create_task(self._work(item))


class AheadTask:
    """What tasks that work ahead have in common.

    Args:
        work: makes the outcome of an item, by requests to a provider.
        provider: answers; it is closed with the task.
        ahead: items that are worked on at most, for each request that the provider takes at once.
    """

    def __init__(
        self, work: Callable[[Item], Coroutine[Any, Any, Outcome]], provider: CachedProvider, ahead: int
    ) -> None:
        self._provider = provider
        self._ahead = WorkAhead(work, ahead * provider.concurrency)

    def work_ahead(self, jobs: Sequence[Job]) -> None:
        """Note what comes next; the engine calls it ahead of each job."""
        self._ahead.note(jobs)

    def process(self, item: Item) -> Outcome:
        """The outcome of one item."""
        return self._ahead.outcome(item)

    def close(self) -> None:
        """Give up what is in flight, and close the provider."""
        self._ahead.close(self._provider.close)


@dataclass(frozen=True)
class AheadRun(RunOptions):
    """Options of a run that works ahead in this process, whatever engine was asked for.

    The model is what takes the time; on a cluster it is the provider that asks nodes.

    Attributes:
        task: the task.
    """

    task: AheadTask | None = None

    def build_engine(self) -> Engine:
        """The inline engine, telling the task what comes next."""
        return InlineEngine(before=self.task.work_ahead if self.task else None)
