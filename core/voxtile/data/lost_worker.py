"""A loader's worker process that dies or stands still: the run says which it was and ends, and does not wait for it."""

from __future__ import annotations

import atexit
import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakKeyDictionary

import psutil

from voxtile.errors import TrainingError
from voxtile.processors import waited_seconds

_KILLED = re.compile(r"DataLoader worker \(pid (\d+)\) is killed by signal: ([^.]+)\.")
_ENDED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (\d+)[^)]*\) exited unexpectedly(?: with exit code (\d+))?")
_NOTICED_S = 2.0  # in which the system tells of a death
_MEMORY = "see whether memory ran out, and lower data.num_workers or the batch"


@dataclass
class _Known:
    """Which of how many workers a process is, and what it did where we ended it."""

    who: str
    late: str | None = None


_started: WeakKeyDictionary[BaseProcess, _Known] = WeakKeyDictionary()


class LostWorkerError(TrainingError):
    """A worker process of a loader is gone; what follows in the sentence is how to go on."""


class Watch:
    """Ends workers that give no batch in time.

    The loader's own time limit does not: a worker that is stopped while it hands over a batch keeps the reader in the
    midst of it. Its death does not, and is told by a signal to the thread that waits.

    Args:
        processes: the workers, in order.
        seconds: that a batch may take, those left out in which other programs had the processor.
    """

    def __init__(self, processes: Sequence[BaseProcess], seconds: float) -> None:
        self._processes, self._seconds = processes, seconds
        self._since: float | None = None
        self._stop = threading.Event()
        if processes:
            if not _started:
                atexit.register(_end_still)
            for number, process in enumerate(processes, 1):
                _started.setdefault(process, _Known(f"worker {number} of {len(processes)}"))
            threading.Thread(target=self._look, daemon=True).start()

    def next(self, batches: Iterator[Any]) -> Any:  # noqa: ANN401 - whatever the loader gives
        """The next batch; None at the end.

        Raises:
            LostWorkerError: a worker died, or gave none in time; all are ended.
        """
        self._since = time.monotonic()
        try:
            return next(batches, None)
        except (RuntimeError, OSError, EOFError) as error:
            lost = lost_worker(error) or self._ended()
            for process in self._processes if lost else ():
                process.kill()
            if lost is None:
                raise
            raise lost from None
        finally:
            self._since = None

    def _ended(self) -> LostWorkerError | None:
        """What to say where the reader noticed a broken connection before the system told of a death."""
        until = time.monotonic() + _NOTICED_S
        while self._processes and time.monotonic() < until:
            for process in self._processes:
                if process.exitcode and process.pid is not None:
                    return _lost(process.pid, "ended")
            time.sleep(0.02)
        return None

    def _waited(self) -> list[float]:
        """How long each worker has waited for a processor since it began, in seconds."""
        return [waited_seconds(process.pid or 0) for process in self._processes]

    def end(self) -> None:
        """Look no more."""
        self._stop.set()

    def _look(self) -> None:
        looked_at: float | None = None
        before: list[float] = []
        while not self._stop.wait(min(1.0, self._seconds / 4)):
            since = self._since
            if since != looked_at:
                looked_at, before = since, self._waited()
            if since is None:
                continue
            # Whoever owes the batch may be the one that others kept from a processor.
            waited = max((now - then for now, then in zip(self._waited(), before, strict=True)), default=0.0)
            if time.monotonic() - since - waited < self._seconds:
                continue
            still = [process for process in self._processes if _stands_still(process)]
            for process in still or self._processes:
                _started[process].late = f"gave no batch within {self._seconds:g} s" + (
                    " and stands still" if still else ""
                )
                process.kill()
            return


def lost_worker(error: Exception) -> LostWorkerError | None:
    """What torch's loader says of its workers, as one sentence; None where it speaks of something else.

    Args:
        error: of the loader, or raised by its signal handler wherever the program was.
    """
    found = _KILLED.search(str(error)) or _ENDED.search(str(error))
    return _lost(int(found[1]), _end(found)) if found else None


def _lost(pid: int, how: str) -> LostWorkerError:
    process = next((process for process in list(_started) if process.pid == pid), None)
    known = _started[process] if process is not None else _Known("a worker")
    if process is not None and (status := process.exitcode):
        how = f"was killed by {_name(-status)}" if status < 0 else f"ended with status {status}"
    advice = "raise data.worker_timeout where batches take that long" if known.late else _MEMORY
    return LostWorkerError(f"{known.who} of the data loader (process id {pid}) {known.late or how}; {advice}")


def _end(found: re.Match[str]) -> str:
    if found.re is _KILLED:
        number = next((one for one in signal.Signals if signal.strsignal(one) == found[2]), None)
        return f"was killed by {_name(number) if number else found[2]}"
    return f"ended with status {found[2]}" if found[2] else "was killed"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _stands_still(process: BaseProcess) -> bool:
    try:
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _end_still() -> None:
    """Kill what stands still before Python waits for it; SIGTERM, which it sends, does not reach them."""
    for process in list(_started):
        with contextlib.suppress(ValueError):  # closed
            if process.is_alive() and _stands_still(process):
                process.kill()
