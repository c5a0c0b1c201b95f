"""What all phantoms of scenes do when they write: check the request, work in processes, keep the order."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from voxtile.phantom import writing as phantom_writing

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
    phantom_writing.check_request(out, n, seed, noun="scenes", nbytes=scene_bytes, most=_MOST)


def in_order(title: str, job: partial[T], n: int, workers: int) -> list[T]:
    """Run `job(number)` for all numbers, on several processes, with a progress bar; results in order."""
    console = Console(stderr=True)
    return list(
        track(
            phantom_writing.in_order(job, n, workers, chunk=8),
            description=title,
            total=n,
            console=console,
            transient=True,
        )
    )


def write_readme(out: Path, text: str, done: str) -> None:
    """Write README.txt and say that all is done."""
    (out / "README.txt").write_text(text, encoding="utf-8")
    Console(stderr=True).print(done, highlight=False, markup=False, soft_wrap=True)
