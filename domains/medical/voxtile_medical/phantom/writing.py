"""What the commands of the medical phantoms share: checks before anything is written, workers in order, tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from voxtile.errors import InputError
from voxtile.testing.phantom_truth import write_table, write_truth

T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """What a worker hands back of a study: rows of the tables, and what is known of it."""

    study: str
    subject: str
    text: str
    labels: tuple[int, ...]
    truth: dict[str, Any]


def write_studies(
    out: Path, phantom: str, seed: int, concepts: Sequence[str], job: Callable[[int], Written], n: int, workers: int
) -> None:
    """Write all studies, then `reports.csv`, `labels.csv` and `truth.json`.

    Args:
        out: the folder; it exists.
        phantom: its name.
        seed: of the data set.
        concepts: columns of the label table.
        job: writes the files of one study.
        n: number of studies.
        workers: number of processes; 0 for one a core.
    """
    console = Console(stderr=True)
    results = in_order(job, n, workers)
    written = list(track(results, description=f"phantom {phantom}", total=n, console=console, transient=True))
    write_table(out / "reports.csv", ("study", "subject", "text"), ((w.study, w.subject, w.text) for w in written))
    write_table(out / "labels.csv", ("study", "subject", *concepts), ((w.study, w.subject, *w.labels) for w in written))
    write_truth(out / "truth.json", {"phantom": phantom, "seed": seed, "studies": [w.truth for w in written]})
    console.print(f"wrote {n} studies to {out}")


def check_out(out: Path, n: int, seed: int, bytes_a_study: int) -> None:
    """Refuse a number, seed or folder that cannot be used.

    Raises:
        InputError: n or seed is out of range, `out` is not empty, or the disk is too full.
    """
    if n < 1 or n > 99_999:
        raise InputError(f"cannot make {n} studies; give --n between 1 and 99999")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give --seed 0 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; give a new one, or remove it first")
    parent = next(p for p in (out, *out.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    if free < n * bytes_a_study:
        raise InputError(
            f"{n} studies need {n * bytes_a_study / 1e9:.1f} GB at {out}, and {free / 1e9:.1f} GB are free; "
            "give a smaller --n"
        )


def in_order(job: Callable[[int], T], n: int, workers: int) -> Iterator[T]:
    """Yield `job(0)` to `job(n − 1)`, computed by `workers` processes (0: one a core)."""
    count = min(workers or os.cpu_count() or 1, n)
    if count <= 1:
        yield from map(job, range(n))
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(job, range(n), chunksize=max(1, min(16, n // (count * 4))))
