"""What the commands of the medical phantoms share: checks before anything is written, workers in order, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from voxtile.phantom.truth import write_table, write_truth
from voxtile.phantom.writing import check_request, in_order


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
    console.print(f"wrote {n} studies to {out}", highlight=False, markup=False, soft_wrap=True)


def check_out(out: Path, n: int, seed: int, bytes_a_study: int) -> None:
    """Refuse a number, seed or folder that cannot be used.

    Raises:
        InputError: n or seed is out of range, `out` is not empty, or the disk is too full.
    """
    check_request(out, n, seed, noun="studies", nbytes=bytes_a_study)
