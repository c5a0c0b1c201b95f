"""What is made beside a server that answers meanwhile, in a process of its own, and how far it is."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from voxtile.errors import ConfigError, VoxtileError


@dataclass
class Making:
    """How far something is.

    Attributes:
        what: it is, for people.
        total: samples that it is made of.
        done: how many are in.
        problem: why it ended without; None while it runs, and where it went well.
    """

    what: str
    total: int
    done: int = 0
    problem: str | None = None
    _finished: bool = field(default=False, repr=False)
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def is_running(self) -> bool:
        """Whether its end is still to come."""
        return not self._finished

    def follow(self, make: Callable[[], None]) -> None:
        """Make it in a thread, which calls `run`; what it raises is the problem."""

        def making() -> None:
            try:
                make()
            except VoxtileError as error:
                self.problem = str(error)
            finally:
                self._finished = True

        self._thread = threading.Thread(target=making, daemon=True)
        self._thread.start()

    def run(self, module: str, arguments: Sequence[str]) -> None:
        """Run a module as a process, which tells `done total` in lines, until it ends.

        Raises:
            ConfigError: it did not end well.
        """
        command = [sys.executable, "-P", "-m", module, *arguments]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as self._process,
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ):
            bar = progress.add_task(self.what, total=self.total)
            for line in self._process.stdout or ():
                done, _, total = line.partition(" ")
                if done.isdigit() and total.strip().isdigit():
                    self.done, self.total = int(done), int(total)
                    progress.update(bar, completed=self.done, total=self.total)
        self._finished = True
        if self._process.returncode:
            raise ConfigError(f"{self.what} could not be made whole; the terminal of voxtile serve says why")

    def stop(self) -> None:
        """End the process; what it made so far is kept where it can go on from it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        self.wait()

    def wait(self) -> None:
        """Until it ended, well or not."""
        if self._thread is not None:
            self._thread.join()
