"""What all phantoms of scenes do when they write: check the request, work in processes, keep the order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from voxtile.errors import InputError

T = TypeVar("T")
_MOST = 9_999


def check_request(out: Path, n: int, seed: int, *, scene_bytes: int) -> None:
    """Refuse what cannot be written.

    Args:
        out: the folder.
        n: number of scenes.
        seed: of the phantom.
        scene_bytes: rough size of a scene on disk.

    Raises:
        InputError: `out` is not empty, n or seed is out of range, or the disk is too full.
    """
    if not 1 <= n <= _MOST:
        raise InputError(f"cannot make {n} scenes; give --n between 1 and {_MOST}")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give --seed 0 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; give a new one, or remove it first")
    parent = next(p for p in (out, *out.parents) if p.exists())
    needed, free = n * scene_bytes, shutil.disk_usage(parent).free
    if free < needed:
        raise InputError(
            f"{n} scenes need {needed / 1e9:.1f} GB at {out}, and {free / 1e9:.1f} GB are free; give a smaller --n"
        )


def in_order(title: str, job: partial[T], n: int, workers: int) -> list[T]:
    """Run `job(number)` for all numbers, on several processes, with a progress bar; results in order."""
    console = Console(stderr=True)
    return list(track(_results(job, n, workers), description=title, total=n, console=console, transient=True))


def write_readme(out: Path, text: str, done: str) -> None:
    """Write README.txt and say that all is done."""
    (out / "README.txt").write_text(text, encoding="utf-8")
    Console(stderr=True).print(done, highlight=False, markup=False, soft_wrap=True)


def _results(job: partial[T], n: int, workers: int) -> Iterator[T]:
    count = min(workers or os.cpu_count() or 1, n)
    if count <= 1:
        yield from map(job, range(n))
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(job, range(n), chunksize=max(1, min(8, n // (count * 4))))
