"""The local engine: supervised processes on this machine, and what to do when one is lost."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from voxtile.engine.job import Failure, JobResult, Ruling, Setup, run_alone, run_job, stopped
from voxtile.engine.plan import Job
from voxtile.engine.pool import Call, Died, Limits, Marked, Raised, Returned, WorkerPool
from voxtile.errors import CorpusError, RunFailedError

SPOOL = ".spool"  # outcomes of items that ran alone, inside the corpus because they can be large
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


class Engine(Protocol):
    """Runs jobs somewhere. Every engine runs `job.run_job` in its workers, so a converter never knows which."""

    def run(self, setup: Setup, jobs: Sequence[Job]) -> Iterator[EngineEvent]:
        """Run all jobs, in any order; closing the iterator ends the work and leaves what is committed."""


@dataclass
class _State:
    """A job under way."""

    job: Job
    rulings: dict[int, Ruling] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
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

    def run(self, setup: Setup, jobs: Sequence[Job]) -> Iterator[EngineEvent]:
        """Run all jobs, the first ones first.

        Raises:
            VoxtileError: the run cannot go on (a full disk, a task that no worker can load, `stop_on_failure`).
        """
        spool = setup.root / SPOOL
        shutil.rmtree(spool, ignore_errors=True)
        try:
            with WorkerPool(min(self._workers, max(len(jobs), 1)), setup, self._limits) as pool:
                yield from _Run(pool, setup, spool).events(jobs)
        finally:
            shutil.rmtree(spool, ignore_errors=True)


class _Run:
    """The state of one run."""

    def __init__(self, pool: WorkerPool, setup: Setup, spool: Path) -> None:
        self._pool = pool
        self._setup = setup
        self._spool = spool
        self._tried_alone: Counter[tuple[str, int]] = Counter()

    def events(self, jobs: Sequence[Job]) -> Iterator[EngineEvent]:
        for job in jobs:
            self._submit(_State(job))
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
        failure = Failure(event.cause, event.detail, f"its worker process was lost ({event.detail})")
        if alone is not None or isinstance(state.rulings.get(index), Path):
            self._rule(state, index, failure)
            return
        self._spool.mkdir(exist_ok=True)
        spool = self._spool / f"{state.job.stem}-{index}"
        call = Call((state, index), run_alone, (state.job.items[index], spool), alone=True)
        self._pool.submit(call, first=True)

    def _ended_alone(self, state: _State, index: int, failure: Failure | None) -> None:
        self._rule(state, index, failure or self._spool / f"{state.job.stem}-{index}")

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
