"""What every phantom does when it writes: checks before anything is written, and work in processes, in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from voxtile.corpus.drafts import only_writer
from voxtile.errors import InputError
from voxtile.phantom.truth import KnownCase, write_cases
from voxtile.processors import usable_processors

T = TypeVar("T")


@dataclass(frozen=True)
class Phantom:
    """A phantom, as its command writes it.

    Attributes:
        name: of the command.
        noun: what is made, in the plural.
        nbytes: rough size of one on disk, in bytes.
        readme: text of README.txt, with slots {seed} and {n}, and others that `write` fills.
        most: largest number.
        chunk: how many a process makes at a time, at most.
    """

    name: str
    noun: str
    nbytes: int
    readme: str
    most: int = 99_999
    chunk: int = 16

    def write(
        self,
        out: Path,
        job: Callable[[int], T],
        tables: Callable[[Sequence[T]], None],
        *,
        n: int,
        seed: int,
        workers: int,
        folders: Sequence[str],
        **told: object,
    ) -> None:
        """Make all of them with a progress bar, then the tables of them and README.txt.

        Args:
            out: new or empty folder.
            job: writes the files of one, by its number, and returns what the tables need of it; it can be pickled.
            tables: writes tables from what the jobs returned, in order.
            n: how many.
            seed: of the phantom.
            workers: number of processes; 0 for one a core.
            folders: made in `out` before the first job.
            told: further slots of the readme.

        Raises:
            InputError: `out` is not empty, n or seed is out of range, or the disk is too full.
            ConfigError: another phantom is being written there.
        """
        check_request(out, n, seed, noun=self.noun, nbytes=self.nbytes, most=self.most)
        console = Console(stderr=True)
        with only_writer(out):
            check_request(out, n, seed, noun=self.noun, nbytes=self.nbytes, most=self.most)  # as it is by now
            for folder in folders:
                (out / folder).mkdir(parents=True, exist_ok=True)
            made = in_order(job, n, workers, chunk=self.chunk)
            tables(list(track(made, description=f"phantom {self.name}", total=n, console=console, transient=True)))
            (out / "README.txt").write_text(self.readme.format(seed=seed, n=n, **told), encoding="utf-8")
        console.print(f"wrote {n} {self.noun} to {out}", highlight=False, markup=False, soft_wrap=True)

    def write_cases(
        self,
        out: Path,
        job: Callable[[int], KnownCase],
        concepts: Sequence[str],
        *,
        n: int,
        seed: int,
        workers: int,
        folders: Sequence[str],
        about: Mapping[str, object] | None = None,
        **told: object,
    ) -> None:
        """`write`, with the tables of cases that have a report and findings.

        The columns of the label table are `concepts`; `about` holds further values for the head of the truth.
        """
        head = {"phantom": self.name, "seed": seed, **(about or {})}
        tables = partial(write_cases, out, head, concepts)
        self.write(out, job, tables, n=n, seed=seed, workers=workers, folders=folders, **told)


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
    count = min(workers or usable_processors(), n)
    if count <= 1:
        yield from map(job, range(n))
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(job, range(n), chunksize=max(1, min(chunk, n // (count * 4))))
