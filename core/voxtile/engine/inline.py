"""The inline engine: jobs in the calling process, one by one, for debuggers and tests. Nothing is supervised."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from voxtile.engine.job import Setup, run_job
from voxtile.engine.local import EngineEvent, ItemStarted, JobCommitted, Session
from voxtile.engine.plan import Job
from voxtile.engine.task import Task


class InlineEngine:
    """Jobs in this process: a crash ends the run, a breakpoint works.

    Args:
        last_first: run the job that was queued last first; the corpus is the same for any order.
        before: called ahead of each job with it and those that are queued after it, for tasks that work ahead.
    """

    def __init__(self, *, last_first: bool = False, before: Callable[[Sequence[Job]], None] | None = None) -> None:
        self._last_first = last_first
        self._before = before

    def prepare(self, task: Task) -> None:
        """Nothing is to be prepared."""

    @contextmanager
    def session(self, setup: Setup) -> Iterator[Session]:
        """Start; nothing runs until events are read."""
        yield _InlineSession(setup, self._last_first, self._before)


class _InlineSession:
    """One run."""

    def __init__(self, setup: Setup, last_first: bool, before: Callable[[Sequence[Job]], None] | None) -> None:
        self._setup = setup
        self._before = before
        self._queue: deque[tuple[Job, frozenset[str]]] = deque()
        self._next = self._queue.pop if last_first else self._queue.popleft

    def submit(self, job: Job, taken: frozenset[str] = frozenset()) -> None:
        """Queue a job."""
        self._queue.append((job, taken))

    def events(self) -> Iterator[EngineEvent]:
        """Run a job at a time; its items' events come when it is done."""
        while self._queue:
            job, taken = self._next()
            if self._before:
                self._before([job, *(queued for queued, _ in self._queue)])
            result = run_job(self._setup, job, {}, taken, _ignore)
            for index in range(len(job.items)):
                yield ItemStarted(job, index)
            yield JobCommitted(result)


def _ignore(_mark: int | None) -> None:
    """Nobody watches the time."""
