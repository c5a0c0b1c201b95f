"""Progress of long work: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich import progress
from rich.console import Console

SPARSE_S = 15.0  # seconds between lines where there is no terminal


class Progress:
    """Shows how far `total` inputs have got, on standard error."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._console = Console(stderr=True)
        self._started = self._spoken = time.monotonic()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]:.1f}/s"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("left {task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._row = self._bar.add_task(title, total=total, rate=0.0, note="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def reach(self, done: int, note: str = "") -> None:
        """Say that `done` inputs are through."""
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        self._bar.update(self._row, completed=done, rate=rate, note=note)
        if self._bar.disable and done and now - self._spoken >= SPARSE_S:
            self._spoken = now
            left = f"{(self._total - done) / rate:.0f} s left"
            line = f"{self._title}: {done} of {self._total}, {rate:.1f}/s, {left} {note}"
            self._console.print(line.rstrip(), highlight=False, markup=False)
