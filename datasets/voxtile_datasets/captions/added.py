"""How many captions a run added, for the end of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.header import corpus_name
from voxtile.corpus.parts import part_rows
from voxtile.corpus.reader import Corpus


@contextmanager
def counted_captions(corpus: Path) -> Iterator[None]:
    """Say after the block how many captions it added, and how they are read; nothing where there are none.

    Args:
        corpus: the folder.
    """
    before = _count(corpus)
    yield
    total = _count(corpus)
    if total > before:
        added = f"{total - before:,} captions were" if total - before > 1 else "1 caption was"
        look = f"'voxtile inspect {corpus_name(corpus)}'"
        note(f"{added} added, {total:,} in all; {look} counts them, with a UID it shows a sample's")


def _count(corpus: Path) -> int:
    return sum(part_rows(path) for path in Corpus(corpus).parts("captions"))
