"""A loader's worker process that dies or stands still: the run says which it was and ends, and does not wait for it."""

from __future__ import annotations

import atexit
import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

import psutil

from voxtile.errors import TrainingError

_KILLED = re.compile(r"DataLoader worker \(pid (\d+)\) is killed by signal: ([^.]+)\.")
_ENDED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (\d+)[^)]*\) exited unexpectedly(?: with exit code (\d+))?")
_MEMORY = "see whether memory ran out, and lower data.num_workers or the batch"

_started: WeakSet[BaseProcess] = WeakSet()


class LostWorkerError(TrainingError):
    """A worker process of a loader is gone; what follows in the sentence is how to go on."""


class Watch:
    """Ends workers that give no batch in time.

    The loader's own time limit does not: a worker that is stopped while it hands over a batch keeps the reader in the
    midst of it. Its death does not, and is told by a signal to the thread that waits.

    Args:
        processes: the workers, in order.
        seconds: that a batch may take.
    """

    def __init__(self, processes: Sequence[BaseProcess], seconds: float) -> None:
        self._processes, self._seconds = processes, seconds
        self._since: float | None = None
        self._late: str | None = None
        self._stop = threading.Event()
        if processes:
            if not _started:
                atexit.register(_end_still)
            _started.update(processes)
            threading.Thread(target=self._look, daemon=True).start()

    def next(self, batches: Iterator[Any]) -> Any:  # noqa: ANN401 - whatever the loader gives
        """The next batch; None at the end.

        Raises:
            LostWorkerError: a worker died, or gave none in time; all are ended.
        """
        self._since = time.monotonic()
        try:
            return next(batches, None)
        except RuntimeError as error:
            lost = lost_worker(error, self._processes, self._late)
            if lost is None:
                raise
            raise lost from None
        finally:
            self._since = None

    def end(self) -> None:
        """Look no more."""
        self._stop.set()

    def _look(self) -> None:
        while not self._stop.wait(min(1.0, self._seconds / 4)):
            since = self._since
            if since is None or time.monotonic() - since < self._seconds:
                continue
            still = [process for process in self._processes if _stands_still(process)]
            self._late = f"gave no batch within {self._seconds:g} s" + (" and stands still" if still else "")
            for process in still or self._processes:
                process.kill()
            return


def lost_worker(
    error: RuntimeError, processes: Sequence[BaseProcess] = (), late: str | None = None
) -> LostWorkerError | None:
    """What torch's loader says of its workers, as one sentence; None where it speaks of something else.

    Args:
        error: of the loader, or raised by its signal handler wherever the program was.
        processes: its workers, in order, where they are known; they are ended, since nobody reads from them any more.
        late: what one did that we ended.
    """
    found = _KILLED.search(str(error)) or _ENDED.search(str(error))
    if found is None:
        return None
    pid = int(found[1])
    number = next((n for n, process in enumerate(processes, 1) if process.pid == pid), None)
    for process in processes:
        process.kill()
    who = f"worker {number} of {len(processes)}" if number else "a worker"
    advice = "raise data.worker_timeout where batches take that long" if late else _MEMORY
    return LostWorkerError(f"{who} of the data loader (process id {pid}) {late or _end(found)}; {advice}")


def _end(found: re.Match[str]) -> str:
    if found.re is _KILLED:
        names = [one.name for one in signal.Signals if signal.strsignal(one) == found[2]]
        return f"was killed by {names[0] if names else found[2]}"
    return f"ended with status {found[2]}" if found[2] else "was killed"


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
