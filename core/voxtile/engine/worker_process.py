"""One supervised worker process, as its supervisor sees it; and idle ones, which the pools of a run hand on."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from voxtile.closing import Closing
from voxtile.engine.worker import ANOTHER, importable
from voxtile.processors import single_threaded, waited_seconds

if TYPE_CHECKING:
    import psutil

START = "from voxtile.engine.worker import main; main()"  # -P: nothing is imported from the current folder by accident
LEAVING_S = 30.0  # a process whose connection is closed is about to end, which takes a while on a busy machine
BASE_BYTES = 256 * 2**20  # a fresh worker's own memory (interpreter, numpy, pyarrow), measured 120 MB


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


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process that starts here never sees Ctrl-C, which reaches the whole group: not even before it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerProcess:
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
        self._send(pickle.dumps((sys.path, limits.memory_bytes)), shared)
        self.call: Call | None = None
        self.mark: int | None = None
        self.since = time.monotonic()
        self.waited_before: float | None = None  # seconds without a processor when the item was first looked at
        self.is_ready = False
        self.is_used = False
        self.still = 0  # looks at which it was found stopped, one after the other

    def start(self, call: Call) -> None:
        """Hand it a call."""
        self.call, self.mark, self.is_used = call, None, True
        self._send(importable((call.function, call.args)))

    def work_for(self, shared: bytes, limits: Limits) -> None:
        """Have an idle worker begin anew for another pool: what it has imported stays."""
        self.is_ready = False
        self._send(ANOTHER, pickle.dumps((sys.path, limits.memory_bytes)), shared)

    def _send(self, *messages: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # that it is gone already is seen when it is read
            for message in messages:
                self.connection.send_bytes(message)

    def begin(self, mark: int | None) -> None:
        """Item `mark` of its call begins now."""
        self.mark, self.since, self.waited_before = mark, time.monotonic(), None

    def taken_s(self) -> float:
        """Seconds since the item began in which the process had a processor or did not ask for one."""
        waited = waited_seconds(self.process.pid)
        if self.waited_before is None:
            self.waited_before = waited
        return time.monotonic() - self.since - (waited - self.waited_before)

    def private_bytes(self) -> int:
        """Memory that is its own."""
        import psutil

        try:
            memory = self.watched.memory_info()
        except psutil.Error:
            return 0
        return int(memory.rss - getattr(memory, "shared", 0))

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it (SIGSTOP)."""
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


class SpareWorkers(Closing):
    """Idle workers of pools that have ended, for the pools that follow: a process starts, and imports, once a run."""

    def __init__(self) -> None:
        self.lifeline, self._our_end = os.pipe()
        self._idle: list[WorkerProcess] = []

    def keep(self, worker: WorkerProcess) -> bool:
        """Whether it is kept: it waits for work, and has not grown."""
        kept = worker.call is None and worker.is_ready and worker.private_bytes() < BASE_BYTES
        if kept:
            self._idle.append(worker)
        return kept

    def take(self) -> WorkerProcess | None:
        """One that lives, or none."""
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            worker.kill()
        return None

    def close(self) -> None:
        """Kill all processes."""
        while self._idle:
            self._idle.pop().kill()
        for end in (self.lifeline, self._our_end):
            if end >= 0:
                os.close(end)
        self.lifeline = self._our_end = -1


_SPARE: ContextVar[SpareWorkers | None] = ContextVar("spare workers", default=None)


@contextlib.contextmanager
def workers_kept() -> Iterator[None]:
    """While it lasts, pools hand their workers on to the next."""
    if _SPARE.get() is not None:
        yield
        return
    with SpareWorkers() as spare:
        token = _SPARE.set(spare)
        try:
            yield
        finally:
            _SPARE.reset(token)


def running_pool() -> SpareWorkers | None:
    """Where pools of the present run leave their workers; None where each ends its own."""
    return _SPARE.get()


def _watched(process: int) -> psutil.Process:
    import psutil  # late: tasks import this module in workers, which watch nobody

    return psutil.Process(process)
