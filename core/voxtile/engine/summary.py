"""What has become of a task's inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from voxtile.engine.failure import Failure
from voxtile.engine.plan import DoneItem
from voxtile.errors import RunFailedError


@dataclass
class RunSummary:
    """What has become of a task's inputs, earlier runs into the same corpus included.

    Attributes:
        used, dropped, failed: number of inputs.
        samples: number of samples stored.
        planned: number of inputs in the plan; more than the sum of these where a run was stopped.
        nbytes: bytes that this run (and those killed before it) wrote.
        reasons: status → reason → number of inputs.
        again: reason → number of used inputs that an earlier run had converted in another form.
        left_out: reason → number of parts of inputs (tiles of a scene, patches of a slide) that were dropped.
        otherwise: concept → number of samples of which earlier runs of the stage stored other facts.
        rewritten: inputs that are taken for done, and of which a file was written since.
        failures: (source, failure) of the inputs that failed in this run.
        earlier: how many of the inputs were committed by earlier runs.
        seconds: how long this run took.
    """

    used: int = 0
    dropped: int = 0
    failed: int = 0
    samples: int = 0
    planned: int = 0
    nbytes: int = 0
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: {"dropped": Counter(), "failed": Counter()})
    again: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    otherwise: Counter[str] = field(default_factory=Counter)
    rewritten: int = 0
    failures: list[tuple[str, Failure]] = field(default_factory=list)
    earlier: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, items: Iterable[DoneItem]) -> RunSummary:
        """Count committed inputs."""
        summary = cls()
        for item in items:
            setattr(summary, item.status, getattr(summary, item.status) + 1)
            summary.samples += item.samples
            summary.left_out.update(item.left_out)
            if item.status == "used":
                summary.again.update([item.reason] if item.reason else [])
            else:
                summary.reasons[item.status][item.reason or item.status] += 1
        return summary

    @property
    def inputs(self) -> int:
        """Number of inputs that are committed."""
        return self.used + self.dropped + self.failed

    def counts(self) -> dict[str, int]:
        """The numbers of a manifest."""
        names = ("inputs", "used", "dropped", "failed", "samples")
        return {name: getattr(self, name) for name in names}

    def raise_if_failed(self) -> None:
        """Leave with status 1 if an input failed.

        Raises:
            RunFailedError: the sentence names the number and the commonest reason.
        """
        if self.failed:
            reason, number = self.reasons["failed"].most_common(1)[0]
            raise RunFailedError(
                f"{self.failed} of {self.inputs} inputs failed (most: {reason}, {number}); the rest was committed. "
                "The ledger names them; mend them and run the same command with --retry"
            )


_COLLECTED: ContextVar[list[tuple[str, RunSummary]] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_summaries() -> Iterator[list[tuple[str, RunSummary]]]:
    """Within this block every run's task and summary is added to the list, for callers that print nothing."""
    found: list[tuple[str, RunSummary]] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def collect(task: str, summary: RunSummary) -> None:
    """Hand a summary to the block that collects them, if there is one."""
    if (found := _COLLECTED.get()) is not None:
        found.append((task, summary))
