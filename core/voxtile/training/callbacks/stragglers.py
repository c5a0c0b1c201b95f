"""Which process of a run is the slowest, and whether its data or its steps are: all of them go at its pace."""

from __future__ import annotations

import contextlib
import csv
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

SLOW = 1.5  # times the median of all, from which a process is named
LEAST_S = 0.05  # seconds a step more than the median, below which nobody is
_KEPT = 16  # logged steps of which reports may still be missing


class Timing:
    """What one process does, and how long its steps take without waiting for the others."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._waits, self._step = False, 0
        self._clear()
        self._exchanged = 0.0

    def _clear(self) -> None:
        self._steps, self._data, self._whole, self._own = 0, 0.0, 0.0, 0.0

    def begin(self, module: pl.LightningModule) -> None:
        """The first batch is waited for."""
        self._exchanged = _waited(module)
        self._clear()
        self.resume()

    def batch_came(self) -> None:
        """The step begins."""
        now = time.monotonic()
        self._data += now - self._since
        self._whole += now - self._since
        self._waits, self._since = False, now

    def step_ended(self, step: int, module: pl.LightningModule) -> None:
        """The next batch is waited for."""
        now, exchanged = time.monotonic(), _waited(module)
        self._whole += now - self._since
        self._own += now - self._since - (exchanged - self._exchanged)
        self._exchanged, self._step, self._steps = exchanged, step, self._steps + 1
        self._waits, self._since = True, now

    def pause(self) -> None:
        """Something else than training is done."""
        self._waits = False

    def resume(self) -> None:
        """A batch is waited for from now on."""
        self._waits, self._since = True, time.monotonic()

    def state(self) -> dict[str, Any]:
        """The last step, and since when a batch is waited for, or a step goes on."""
        return {"step": self._step, "waits": self._waits, "seconds": time.monotonic() - self._since}

    def report(self) -> dict[str, Any]:
        """Means of the steps since the last report, seconds a step."""
        steps = max(1, self._steps)
        found = {"step": self._step, "data": self._data / steps, "whole": self._whole / steps}
        found["own"] = (self._data + self._own) / steps
        self._clear()
        return found


def _waited(module: pl.LightningModule) -> float:
    """Seconds that this process has waited for the others' embeddings so far."""
    return float(getattr(getattr(module, "processes", None), "waited", 0.0))


class Stragglers:
    """Reports of all processes, step by step, in rank 0.

    Args:
        ranks: of the run.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self._reports: dict[int, dict[int, Mapping[str, float]]] = {}
        self._named: set[int] = set()

    def add(self, rank: int, report: Mapping[str, float]) -> None:
        """Take in what a process reports of a logged step."""
        self._reports.setdefault(int(report["step"]), {})[rank] = report

    def write(self, folder: Path | None, hosts: Mapping[int, str]) -> Iterator[str]:
        """Write the steps of which all have reported, and say who is slow where that is new.

        Args:
            folder: of the run; None writes nothing.
            hosts: by rank.
        """
        for step in sorted(self._reports)[:-_KEPT]:
            del self._reports[step]
        for step in sorted(self._reports):
            reports = self._reports[step]
            if len(reports) < self._ranks:
                continue
            del self._reports[step]
            with contextlib.suppress(OSError):  # a full disk is told by what cannot go on without it
                _write(folder, step, reports, hosts)
            yield from self._slow(reports, hosts)

    def _slow(self, reports: Mapping[int, Mapping[str, float]], hosts: Mapping[int, str]) -> Iterator[str]:
        rank = max(reports, key=lambda rank: reports[rank]["own"])
        slowest, median = reports[rank], statistics.median(sorted(r["own"] for r in reports.values())[:-1])
        if slowest["own"] < SLOW * median or slowest["own"] - median < LEAST_S:
            self._named.clear()
        elif rank not in self._named:
            self._named.add(rank)
            yield (
                f"all processes go at the pace of rank {rank} (on {hosts[rank]}): {slowest['own']:.2f} s a step of its "
                f"own, {slowest['data']:.2f} s of it waiting for its data, where the others' median is {median:.2f} s; "
                "stragglers.csv of the run has more"
            )


def _write(
    folder: Path | None, step: int, reports: Mapping[int, Mapping[str, float]], hosts: Mapping[int, str]
) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    rank = max(reports, key=lambda rank: reports[rank]["own"])
    own = [report["own"] for report in reports.values()]
    line = [step, len(reports), f"{statistics.median(own):.4f}", rank, hosts[rank]]
    line += [f"{reports[rank][name]:.4f}" for name in ("own", "data", "whole")]
    path = folder / "stragglers.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "ranks", "median_s", "slowest_rank", "host", "own_s", "data_s", "step_s"])
        writer.writerow(line)
    with (folder / "ranks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "rank", "host", "own_s", "data_s", "step_s"])
        for number, report in sorted(reports.items()):
            writer.writerow([step, number, hosts[number], *(f"{report[k]:.4f}" for k in ("own", "data", "whole"))])
