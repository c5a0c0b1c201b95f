"""What a person sees of a run: the plan, the progress, the summary."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from voxtile.engine.job import JobResult
from voxtile.engine.plan import Job

if TYPE_CHECKING:
    from voxtile.engine.run import RunSummary

SPARSE_S = 15.0  # seconds between progress lines where there is no terminal
SHOWN_FAILURES = 10
SHOWN_JOBS = 20


class RunProgress:
    """A bar with rate and time left on a terminal; a line now and then elsewhere."""

    def __init__(self, name: str, jobs: Sequence[Job]) -> None:
        self._console = Console(stderr=True)
        self._total = sum(len(job.items) for job in jobs)
        self._name = name
        self._reached: dict[str, int] = {}
        self._failed = 0
        self._started = self._spoken = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal, transient=True)
        self._task = self._bar.add_task(name, total=self._total, rate="", failed="")

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def started(self, job: Job, index: int) -> None:
        """Item `index` of a job began, so those before it are done."""
        self._reached[job.id] = max(index, self._reached.get(job.id, 0))
        self._show()

    def committed(self, result: JobResult) -> None:
        """A job was committed."""
        self._reached[result.job.id] = len(result.job.items)
        self._failed += len(result.failures)
        self._show()

    def _show(self) -> None:
        done = sum(self._reached.values())
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        failed = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, completed=done, rate=f"{rate:.1f}/s", failed=failed)
        if self._bar.disable and now - self._spoken >= SPARSE_S:
            self._spoken = now
            left = (self._total - done) / rate if done else float("nan")
            self._console.print(
                f"{self._name}: {done} of {self._total} inputs, {rate:.1f}/s, {left:.0f} s left {failed}".rstrip(),
                highlight=False,
            )


def print_plan(name: str, planned: Sequence[Job], pending: Sequence[Job], corpus: Path) -> None:
    """Print what a run would do."""
    console = Console()
    table = Table(title=f"plan of '{name}' into {escape(str(corpus))} (dry run: nothing was written)")
    for column in ("job", "inputs", "MB", "attempt", "first input"):
        table.add_column(column, justify="right" if column in ("inputs", "MB", "attempt") else "left")
    for job in pending[:SHOWN_JOBS]:
        cells = [job.stem, str(len(job.items)), f"{job.cost / 1e6:.1f}", str(job.attempt), escape(job.items[0].source)]
        table.add_row(*cells)
    if len(pending) > SHOWN_JOBS:
        table.add_row(f"… {len(pending) - SHOWN_JOBS} more", "", "", "", "")
    console.print(table)
    total = sum(len(job.items) for job in planned)
    left = sum(len(job.items) for job in pending)
    cost = sum(job.cost for job in pending) / 1e6
    console.print(
        f"{left} of {total} inputs to do in {len(pending)} of {len(planned)} jobs, {cost:.1f} MB to read",
        highlight=False,
    )


def print_summary(name: str, corpus: Path, summary: RunSummary, jobs: int) -> None:
    """Print the table at the end of a run, and the first failures."""
    console = Console()
    table = Table(title=f"{name} → {escape(str(corpus))}", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("inputs", str(summary.inputs))
    table.add_row("used", str(summary.used))
    for status in ("dropped", "failed"):
        table.add_row(
            status, str(getattr(summary, status)), style="red" if status == "failed" and summary.failed else None
        )
        for reason, count in sorted(summary.reasons[status].items()):
            table.add_row(f"  {escape(reason)}", str(count))
    table.add_row("samples", str(summary.samples))
    table.add_row("MB written", f"{summary.nbytes / 1e6:.1f}")
    table.add_row("seconds", f"{summary.seconds:.1f}")
    here = summary.inputs - summary.earlier
    table.add_row("inputs/s", f"{here / max(summary.seconds, 1e-9):.1f}")
    if summary.earlier:
        table.add_row("from earlier runs", str(summary.earlier))
    console.print(table)
    for source, failure in summary.failures[:SHOWN_FAILURES]:
        console.print(f"failed: {source}: {failure.sentence} ({failure.reason})", highlight=False, markup=False)
    if len(summary.failures) > SHOWN_FAILURES:
        console.print(f"… and {len(summary.failures) - SHOWN_FAILURES} more; the ledger names all", highlight=False)
