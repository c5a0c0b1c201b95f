"""Supervised worker processes: calls go in, events come out, and a process that dies or hangs costs one event."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Literal, TypeAlias

from voxtile.closing import Closing
from voxtile.engine.worker import RemoteError, importable
from voxtile.engine.worker_process import BASE_BYTES, Call, Limits, WorkerProcess, running_pool
from voxtile.errors import ConfigError

TICK_S = 0.2  # how often limits are looked at
LOOK_S, STILL_LOOKS = 1.0, 30  # how often it is seen whether workers are stopped, and how many looks one is left
MOST_LOST_STARTING = 3  # workers in a row that are killed before they are ready, and replaced

Cause: TypeAlias = Literal["worker-died", "time-limit", "memory-limit"]


@dataclass(frozen=True)
class Marked:
    """The call began with item `mark` (None: with a part that has no time limit)."""

    call: Call
    mark: int | None


@dataclass(frozen=True)
class Returned:
    """The call ended well."""

    call: Call
    value: Any


@dataclass(frozen=True)
class Raised:
    """The call ended with an exception."""

    call: Call
    error: RemoteError


@dataclass(frozen=True)
class Died:
    """The process was lost while it was busy with item `mark`."""

    call: Call
    mark: int | None
    cause: Cause
    detail: str


Event: TypeAlias = Marked | Returned | Raised | Died


class WorkerPool(Closing):
    """Runs calls in up to `size` processes.

    Args:
        size: number of processes.
        shared: sent once to each process and handed to every call; its class must be importable.
        limits: time for an item and memory for a process.

    Raises:
        ConfigError: the class of `shared` cannot be imported.
    """

    def __init__(self, size: int, shared: object, limits: Limits) -> None:
        self._size = size
        try:
            self._shared = importable(shared)
        except TypeError as error:
            raise ConfigError(f"{error}; define it in a module that can be imported") from None
        self._limits = limits
        self._queue: deque[Call] = deque()
        self._workers: list[WorkerProcess] = []
        self._spare = running_pool()
        self._lifeline, self._our_end = (self._spare.lifeline, -1) if self._spare else os.pipe()
        self._lost_starting = 0  # workers, since one started well
        self._looked = self._checked = 0.0

    def submit(self, call: Call, *, first: bool = False) -> None:
        """Queue a call; `first` puts it before the others."""
        if first:
            self._queue.appendleft(call)
        else:
            self._queue.append(call)

    def events(self) -> Iterator[Event]:
        """Events until nothing is queued or running; more calls may be submitted while iterating."""
        while self._queue or any(w.call for w in self._workers):
            self._assign()
            by_connection: dict[Any, WorkerProcess] = {w.connection: w for w in self._workers}
            for connection in wait(list(by_connection), timeout=TICK_S):
                yield from self._receive(by_connection[connection])
            if time.monotonic() - self._checked >= TICK_S:
                self._checked = time.monotonic()
                yield from self._enforce_limits()
            yield from self._end_stopped()

    def close(self) -> None:
        """Kill all processes, or hand idle ones on."""
        while self._workers:
            worker = self._workers.pop()
            if self._spare is None or not self._spare.keep(worker):
                worker.kill()
        for end in (self._lifeline, self._our_end) if self._spare is None else ():
            if end >= 0:
                os.close(end)
        self._lifeline = self._our_end = -1

    def _assign(self) -> None:
        while self._queue:
            worker = next((w for w in self._workers if w.call is None), None)
            if worker is not None and self._queue[0].alone and worker.is_used:
                self._drop(worker)
                worker = None
            if worker is None:
                if len(self._workers) >= self._size:
                    return
                worker = self._another(fresh=self._queue[0].alone)
                self._workers.append(worker)
            worker.start(self._queue.popleft())

    def _another(self, *, fresh: bool) -> WorkerProcess:
        kept = self._spare.take() if self._spare is not None and not fresh else None
        if kept is None:
            return WorkerProcess(self._shared, self._limits, self._lifeline)
        kept.work_for(self._shared, self._limits)
        return kept

    def _receive(self, worker: WorkerProcess) -> Iterator[Event]:
        try:
            kind, content = worker.connection.recv()
        except (EOFError, ConnectionError):
            yield from self._lost(worker)
            return
        call = worker.call
        if kind == "ready":
            worker.is_ready = True
            self._lost_starting = 0
        elif kind == "broken":
            raise ConfigError(f"a worker process cannot load its task: {content.sentence}")
        elif call is None:
            raise RuntimeError(f"unexpected message '{kind}' from an idle worker")
        elif kind == "mark":
            worker.begin(content)
            yield Marked(call, content)
        elif kind == "memory":
            self._drop(worker)
            yield Died(call, worker.mark, "memory-limit", "more memory than the limit")
        else:
            worker.call = worker.mark = None
            yield Returned(call, content) if kind == "value" else Raised(call, content)

    def _lost(self, worker: WorkerProcess) -> Iterator[Event]:
        code = worker.exit_code()
        self._drop(worker)
        if not worker.is_ready:
            self._replace(worker, _exit_name(code), killed=code < 0)
        elif worker.call is not None:
            yield Died(worker.call, worker.mark, "worker-died", _exit_name(code))

    def _replace(self, worker: WorkerProcess, how: str, *, killed: bool) -> None:
        """Have another worker do what one was started for that did not get so far.

        Raises:
            ConfigError: it ended by itself, as the next would, or was the last of several in a row.
        """
        self._lost_starting += 1
        if not killed or self._lost_starting > MOST_LOST_STARTING:
            many = f", {self._lost_starting} in a row" if self._lost_starting > 1 else ""
            raise ConfigError(
                f"a worker process ended while starting ({how}{many}); see its message, and whether memory ran out"
            )
        if worker.call is not None:
            self._queue.appendleft(worker.call)

    def _end_stopped(self) -> Iterator[Event]:
        """Take workers that somebody stopped for lost: no time limit runs where none is busy with an item."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        for worker in [w for w in self._workers if w.call is not None]:
            worker.still = worker.still + 1 if worker.is_stopped() else 0
            if worker.still < STILL_LOOKS:
                continue
            self._drop(worker)
            how = f"stopped for {STILL_LOOKS * LOOK_S:g} s"
            if not worker.is_ready:
                self._replace(worker, how, killed=True)
            elif worker.call is not None:
                yield Died(worker.call, worker.mark, "time-limit", how)

    def _enforce_limits(self) -> Iterator[Event]:
        for worker in [w for w in self._workers if w.call is not None and w.mark is not None]:
            call, cause, detail = worker.call, None, ""
            limits = self._limits
            if limits.time_s is not None and worker.taken_s() > limits.time_s:
                cause, detail = "time-limit", f"longer than {limits.time_s:g} s"
            elif limits.memory_bytes is not None and worker.private_bytes() > limits.memory_bytes + BASE_BYTES:
                cause, detail = "memory-limit", f"more than {limits.memory_bytes / 2**30:.2g} GiB of memory"
            if cause is not None and call is not None and not worker.connection.poll():
                self._drop(worker)
                yield Died(call, worker.mark, cause, detail)  # type: ignore[arg-type]

    def _drop(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        worker.kill()


def _exit_name(code: int) -> str:
    """`SIGSEGV` or `exit 3`."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
