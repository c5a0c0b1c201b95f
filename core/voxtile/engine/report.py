"""What a person sees of a run: the plan, the progress, the summary."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.header import corpus_name
from voxtile.corpus.identity import is_hashed
from voxtile.engine.earlier_runs import ADVICE, otherwise_sentence
from voxtile.engine.job import JobResult
from voxtile.engine.plan import Job
from voxtile.engine.summary import RunSummary

if TYPE_CHECKING:
    from rich import progress

SHOWN_FAILURES = 10
_REWRITTEN = (
    "{} inputs were written after they were converted, under the same names, headers and sizes, and are taken for what "
    "is stored, as copies are; where pixels were changed in place (names that were blanked), convert them into a new "
    "corpus"
)
SHOWN_JOBS = 20


class RunProgress:
    """Progress of a run in inputs, from the events of its jobs."""

    def __init__(self, name: str, jobs: Sequence[Job]) -> None:
        self._progress = Progress(name, sum(len(job.items) for job in jobs))
        self._reached: dict[str, int] = {}
        self._total = 0
        self._failed = 0

    def __enter__(self) -> RunProgress:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def started(self, job: Job, index: int) -> None:
        """Item `index` of a job began, so those before it are done."""
        self._advance(job, index)

    def committed(self, result: JobResult) -> None:
        """A job was committed."""
        self._failed += len(result.failures)
        self._advance(result.job, len(result.job.items))

    def _advance(self, job: Job, reached: int) -> None:
        before = self._reached.get(job.id, 0)
        if reached > before:
            self._reached[job.id] = reached
            self._total += reached - before
        self._progress.reach(self._total, f"{self._failed} failed" if self._failed else "")


def print_plan(name: str, planned: Sequence[Job], pending: Sequence[Job], corpus: Path) -> None:
    """Print what a run would do."""
    console = output()
    console.print(
        f"plan of '{name}' into {corpus_name(corpus)} (dry run: nothing was written)", markup=False, soft_wrap=True
    )
    table = Table()
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


def print_summary(name: str, corpus: Path, summary: RunSummary) -> None:
    """Print the table at the end of a run, and the first failures."""
    console = output()
    console.print(f"{name} → {corpus_name(corpus)}", highlight=False, markup=False, soft_wrap=True)
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("inputs", str(summary.inputs))
    table.add_row("used", str(summary.used))
    for reason, count in sorted(summary.again.items()):
        table.add_row(f"  {escape(reason)}", str(count))
    for status in ("dropped", "failed"):
        table.add_row(
            status, str(getattr(summary, status)), style="red" if status == "failed" and summary.failed else None
        )
        for reason, count in sorted(summary.reasons[status].items()):
            table.add_row(f"  {escape(reason)}", str(count))
    table.add_row("samples", str(summary.samples))
    if summary.left_out:
        table.add_row("left out of inputs", str(summary.left_out.total()))
        for reason, count in sorted(summary.left_out.items()):
            table.add_row(f"  {escape(reason)}", str(count))
    table.add_row("MB written", f"{summary.nbytes / 1e6:.1f}")
    table.add_row("seconds", f"{summary.seconds:.1f}")
    here = summary.inputs - summary.earlier
    table.add_row("inputs/s", f"{here / max(summary.seconds, 1e-9):.1f}")
    if summary.planned > summary.inputs:
        table.add_row("not reached", str(summary.planned - summary.inputs), style="red")
    if summary.earlier:
        table.add_row("from earlier runs", str(summary.earlier))
    console.print(table)
    for reason in sorted({*summary.again, *summary.left_out, *summary.reasons["dropped"]} & ADVICE.keys()):
        console.print(f"{reason}: {ADVICE[reason]}", highlight=False, markup=False, soft_wrap=True)
    if summary.rewritten:
        console.print(_REWRITTEN.format(summary.rewritten), highlight=False, markup=False, soft_wrap=True)
    if summary.otherwise:
        said = otherwise_sentence(summary.otherwise, name, corpus_name(corpus))
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    for source, failure in summary.failures[:SHOWN_FAILURES]:
        told = failure.sentence if failure.sentence.startswith(source) else f"{source}: {failure.sentence}"
        console.print(f"failed: {told} ({failure.reason})", highlight=False, markup=False, soft_wrap=True)
    if len(summary.failures) > SHOWN_FAILURES:
        console.print(f"… and {len(summary.failures) - SHOWN_FAILURES} more; the ledger names all", highlight=False)
    hashed = next((source for source, _ in summary.failures if is_hashed(source)), None)
    if hashed is not None:
        command = f"voxtile inspect {shlex.quote(corpus_name(corpus))} {hashed}"
        console.print(f"which file such a name stands for: {command}", highlight=False, markup=False, soft_wrap=True)


SPARSE_S = 15.0  # seconds between lines where there is no terminal


class Progress:
    """Shows how far `total` inputs have got, on standard error."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._console = Console(stderr=True)
        self._started = self._spoken = time.monotonic()
        self._bar = _bar(self._console) if self._console.is_terminal else None
        self._row = self._bar.add_task(title, total=total, rate=0.0, note="") if self._bar else None

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def reach(self, done: int, note: str = "") -> None:
        """Say that `done` inputs are through."""
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        if self._bar is not None and self._row is not None:
            self._bar.update(self._row, completed=done, rate=rate, note=note)
        elif done and now - self._spoken >= SPARSE_S:
            self._spoken = now
            left = f"{(self._total - done) / rate:.0f} s left"
            line = f"{self._title}: {done} of {self._total}, {rate:.1f}/s, {left} {note}"
            self._console.print(line.rstrip(), highlight=False, markup=False)


def _bar(console: Console) -> progress.Progress:
    from rich import progress  # late: there is a bar on terminals only

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]:.1f}/s"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left {task.fields[note]}"),
        console=console,
        transient=True,
    )
