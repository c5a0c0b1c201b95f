"""The local engine: supervised processes on this machine, and what to do when one is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from voxtile.engine.failure import Failure, lost
from voxtile.engine.job import JobResult, Ruling, Setup, run_alone, run_job, stopped
from voxtile.engine.plan import Job
from voxtile.engine.pool import Died, Marked, Raised, Returned, WorkerPool
from voxtile.engine.task import Task
from voxtile.engine.worker_process import Call, Limits
from voxtile.errors import CorpusError, RunFailedError

MAX_LOST_PUBLISHING = 2


@dataclass(frozen=True)
class ItemStarted:
    """Item `index` of a job began."""

    job: Job
    index: int


@dataclass(frozen=True)
class JobCommitted:
    """A job was committed."""

    result: JobResult


EngineEvent: TypeAlias = ItemStarted | JobCommitted


class Session(Protocol):
    """A run under way on an engine."""

    def submit(self, job: Job, taken: frozenset[str] = frozenset()) -> None:
        """Queue a job, also while events are read; `taken` are uids that it must leave to others."""

    def events(self) -> Iterator[EngineEvent]:
        """Events until nothing is queued or running."""


class Engine(Protocol):
    """Runs jobs somewhere. Every engine runs `job.run_job` in its workers, so a converter never knows which."""

    def prepare(self, task: Task) -> None:
        """See that jobs can run, before the folder of a new corpus is made; raises ConfigError."""

    def session(self, setup: Setup) -> AbstractContextManager[Session]:
        """Start; leaving the context ends all work and keeps what is committed."""


@dataclass
class _State:
    """A job under way."""

    job: Job
    taken: frozenset[str]
    rulings: dict[int, Ruling] = field(default_factory=dict)
    lost_publishing: int = 0


class LocalEngine:
    """Jobs in worker processes.

    An item whose worker dies, hangs or outgrows its memory is run once more in a process of its own. If it ends well
    there, its outcome is used; otherwise it is failed, and the job goes on without it.

    Args:
        workers: number of processes.
        limits: for one item.
    """

    def __init__(self, workers: int, limits: Limits) -> None:
        self._workers = workers
        self._limits = limits

    def prepare(self, task: Task) -> None:
        """Nothing is to be prepared: processes start as jobs are queued."""

    @contextmanager
    def session(self, setup: Setup) -> Iterator[Session]:
        """Start; processes start as jobs are queued."""
        with WorkerPool(self._workers, setup, self._limits) as pool:
            yield _LocalSession(pool, setup)


class _LocalSession:
    """One run."""

    def __init__(self, pool: WorkerPool, setup: Setup) -> None:
        self._pool = pool
        self._setup = setup

    def submit(self, job: Job, taken: frozenset[str] = frozenset()) -> None:
        """Queue a job."""
        self._submit(_State(job, taken))

    def events(self) -> Iterator[EngineEvent]:
        """Events until nothing is queued or running.

        Raises:
            VoxtileError: the run cannot go on (a full disk, a task that no worker can load, `stop_on_failure`).
        """
        for event in self._pool.events():
            state, index = event.call.key
            if isinstance(event, Raised):
                raise _fatal(event)
            if isinstance(event, Died):
                self._died(event, state, index)
            elif index is not None:
                if isinstance(event, Returned):
                    self._ended_alone(state, index, event.value)
            elif isinstance(event, Marked):
                if event.mark is not None:
                    yield ItemStarted(state.job, event.mark)
            else:
                yield JobCommitted(event.value)

    def _submit(self, state: _State, *, first: bool = False) -> None:
        call = Call((state, None), run_job, (state.job, state.rulings, state.taken))
        self._pool.submit(call, first=first)

    def _died(self, event: Died, state: _State, alone: int | None) -> None:
        if event.mark is None:
            state.lost_publishing += 1
            if state.lost_publishing >= MAX_LOST_PUBLISHING:
                raise CorpusError(
                    f"a worker was lost twice while writing '{state.job.stem}' ({event.detail}); "
                    "check the memory and the disk, then run the same command again"
                )
            self._submit(state, first=True)
            return
        index = event.mark if alone is None else alone
        if alone is not None or isinstance(state.rulings.get(index), Path):
            self._rule(state, index, lost(event.cause, event.detail))
            return
        call = Call((state, index), run_alone, (state.job.items[index], self._spool(state, index)), alone=True)
        self._pool.submit(call, first=True)

    def _ended_alone(self, state: _State, index: int, failure: Failure | None) -> None:
        self._rule(state, index, failure or self._spool(state, index))

    def _spool(self, state: _State, index: int) -> Path:
        return self._setup.scratch / f"{state.job.stem}-{index}"

    def _rule(self, state: _State, index: int, ruling: Ruling) -> None:
        if isinstance(ruling, Failure) and self._setup.stop_on_failure:
            raise stopped(state.job.items[index], ruling)
        state.rulings[index] = ruling
        self._submit(state, first=True)


def _fatal(event: Raised) -> Exception:
    error: Any = event.error
    if error.error_class == RunFailedError.__name__:
        return RunFailedError(error.sentence)
    if error.is_expected:
        return CorpusError(error.sentence)
    return RuntimeError(f"{error.error_class}: {error.sentence}\n{error.traceback}")
