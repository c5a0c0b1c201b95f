"""What every phantom does when it writes: checks before anything is written, and work in processes, in order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from voxtile.errors import InputError

T = TypeVar("T")


def check_request(out: Path, n: int, seed: int, *, noun: str, nbytes: int, most: int = 99_999) -> None:
    """Refuse a number, seed or folder that cannot be used.

    Args:
        out: the folder.
        n: how many.
        seed: of the phantom.
        noun: what is made, in the plural.
        nbytes: rough size of one on disk, in bytes.
        most: largest n.

    Raises:
        InputError: n or seed is out of range, `out` is not empty, or the disk is too full.
    """
    if not 1 <= n <= most:
        raise InputError(f"cannot make {n} {noun}; give --n between 1 and {most}")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give --seed 0 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; give a new one, or remove it first")
    parent = next(p for p in (out, *out.parents) if p.exists())
    needed, free = n * nbytes, shutil.disk_usage(parent).free
    if free < needed:
        raise InputError(
            f"{n} {noun} need {needed / 1e9:.1f} GB at {out}, and {free / 1e9:.1f} GB are free; give a smaller --n"
        )


def in_order(job: Callable[[int], T], n: int, workers: int, *, chunk: int = 16) -> Iterator[T]:
    """Yield `job(0)` to `job(n - 1)`, computed by `workers` processes (0: one a core) in chunks of at most `chunk`."""
    count = min(workers or os.cpu_count() or 1, n)
    if count <= 1:
        yield from map(job, range(n))
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(job, range(n), chunksize=max(1, min(chunk, n // (count * 4))))
