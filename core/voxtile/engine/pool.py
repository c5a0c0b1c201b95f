"""Supervised worker processes: calls go in, events come out, and a process that dies or hangs costs one event."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from voxtile.closing import Closing
from voxtile.engine.worker import RemoteError, importable
from voxtile.errors import ConfigError
from voxtile.processors import single_threaded, waited_seconds

if TYPE_CHECKING:
    import psutil

START = "from voxtile.engine.worker import main; main()"  # -P: nothing is imported from the current folder by accident
TICK_S = 0.2  # how often limits are looked at
LOOK_S, STILL_LOOKS = 1.0, 30  # how often it is seen whether workers are stopped, and how many looks one is left
MOST_LOST_STARTING = 3  # workers in a row that are killed before they are ready, and replaced
LEAVING_S = 30.0  # a process whose connection is closed is about to end, which takes a while on a busy machine

Cause: TypeAlias = Literal["worker-died", "time-limit", "memory-limit"]


@dataclass(frozen=True)
class Limits:
    """What a call may take: seconds an item, and bytes of private memory above a fresh worker's.

    Seconds in which the process was ready to run and others had the processors do not count: on a busy machine an item
    takes longer by the clock and has not hung.
    """

    time_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Call:
    """Work: `function(shared, *args, report)` in a process, a fresh one if `alone`; `key` is the caller's."""

    key: Any
    function: Callable[..., Any]
    args: tuple[Any, ...]
    alone: bool = False


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


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process that starts here never sees Ctrl-C, which reaches the whole group: not even before it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process and what it is doing."""

    def __init__(self, shared: bytes, limits: Limits, lifeline: int) -> None:
        self.connection, theirs = Pipe()
        environment = single_threaded(os.environ)
        environment.pop("BLOSC_NTHREADS", None)  # it would be written into the header of every array
        fds = (theirs.fileno(), lifeline)
        command = [sys.executable, "-P", "-c", START, *map(str, fds)]
        with _interrupts_blocked():
            self.process = subprocess.Popen(command, pass_fds=fds, env=environment, stdin=subprocess.DEVNULL)
        theirs.close()
        self.watched = _watched(self.process.pid)
        with contextlib.suppress(ConnectionError):  # that it is gone already is seen when it is read
            self.connection.send_bytes(pickle.dumps((sys.path, limits.memory_bytes)))
            self.connection.send_bytes(shared)
        self.call: Call | None = None
        self.mark: int | None = None
        self.since = time.monotonic()
        self.waited_before: float | None = None  # seconds without a processor when the item was first looked at
        self.is_ready = False
        self.is_used = False
        self.still = 0  # looks at which it was found stopped, one after the other

    def start(self, call: Call) -> None:
        self.call, self.mark, self.is_used = call, None, True
        content = importable((call.function, call.args))
        with contextlib.suppress(ConnectionError):
            self.connection.send_bytes(content)

    def begin(self, mark: int | None) -> None:
        self.mark, self.since, self.waited_before = mark, time.monotonic(), None

    def taken_s(self) -> float:
        """Seconds since the item began in which the process had a processor or did not ask for one."""
        waited = waited_seconds(self.process.pid)
        if self.waited_before is None:
            self.waited_before = waited
        return time.monotonic() - self.since - (waited - self.waited_before)

    def private_bytes(self) -> int:
        import psutil

        try:
            memory = self.watched.memory_info()
        except psutil.Error:
            return 0
        return int(memory.rss - getattr(memory, "shared", 0))

    def is_stopped(self) -> bool:
        import psutil

        try:
            return bool(self.watched.status() == psutil.STATUS_STOPPED)
        except psutil.Error:
            return False

    def exit_code(self) -> int:
        """How the process ended, which it may be about to: its connection is closed."""
        try:
            return self.process.wait(timeout=LEAVING_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL  # `kill` follows

    def kill(self) -> None:
        """End the process and what it has started."""
        import psutil

        try:
            family = [*self.watched.children(recursive=True), self.watched]
        except psutil.Error:
            family = []
        for process in family:
            try:
                process.kill()
            except psutil.Error:
                continue  # gone already
        self.process.kill()
        self.process.wait()
        self.connection.close()


class WorkerPool(Closing):
    """Runs calls in up to `size` processes.

    Args:
        size: number of processes.
        shared: sent once to each process and handed to every call; its class must be importable.
        limits: time for an item and memory for a process.
    """

    def __init__(self, size: int, shared: object, limits: Limits) -> None:
        self._size = size
        try:
            self._shared = importable(shared)
        except TypeError as error:
            raise ConfigError(f"{error}; define it in a module that can be imported") from None
        self._limits = limits
        self._queue: deque[Call] = deque()
        self._workers: list[_Worker] = []
        self._lifeline, self._our_end = os.pipe()
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
            by_connection: dict[Any, _Worker] = {w.connection: w for w in self._workers}
            for connection in wait(list(by_connection), timeout=TICK_S):
                yield from self._receive(by_connection[connection])
            if time.monotonic() - self._checked >= TICK_S:
                self._checked = time.monotonic()
                yield from self._enforce_limits()
            yield from self._end_stopped()

    def close(self) -> None:
        """Kill all processes."""
        while self._workers:
            self._workers.pop().kill()
        for end in (self._lifeline, self._our_end):
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
                worker = _Worker(self._shared, self._limits, self._lifeline)
                self._workers.append(worker)
            worker.start(self._queue.popleft())

    def _receive(self, worker: _Worker) -> Iterator[Event]:
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

    def _lost(self, worker: _Worker) -> Iterator[Event]:
        code = worker.exit_code()
        self._drop(worker)
        if not worker.is_ready:
            self._replace(worker, _exit_name(code), killed=code < 0)
        elif worker.call is not None:
            yield Died(worker.call, worker.mark, "worker-died", _exit_name(code))

    def _replace(self, worker: _Worker, how: str, *, killed: bool) -> None:
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

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.kill()


def _watched(process: int) -> psutil.Process:
    import psutil  # late: tasks import this module in workers, which watch nobody

    return psutil.Process(process)


BASE_BYTES = 256 * 2**20  # a fresh worker's own memory (interpreter, numpy, pyarrow), measured 120 MB


def _exit_name(code: int) -> str:
    """`SIGSEGV` or `exit 3`."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
