"""How many captions a run added, and which concepts they only name, for the end of a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.header import corpus_name
from voxtile.corpus.parts import part_rows
from voxtile.corpus.reader import Corpus
from voxtile_datasets.captions.known_facts import present_classes
from voxtile_datasets.captions.wordings import Bank, normalise

_MOST_NAMED = 8  # concepts in a sentence


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


def say_names_alone(corpus: Path, banks: Sequence[Bank], source: str | None) -> None:
    """Say which classes of the user's own no bank words, so that sentences hold their names as they stand.

    What readers of reports, maps and masks find has English names; classes that somebody gave or drew may have any.

    Args:
        corpus: the folder.
        banks: that worded the captions.
        source: beginning of the sources of the facts that were worded; None for all.
    """
    counts = present_classes(corpus, source)
    known = {name for bank in banks for name in bank.concepts}
    lacking = {concept: count for concept, count in counts.items() if normalise(concept) not in known}
    if lacking:
        told = ", ".join(f"{concept} ({count:,})" for concept, count in list(lacking.items())[:_MOST_NAMED])
        more = f" and {len(lacking) - _MOST_NAMED:,} more" if len(lacking) > _MOST_NAMED else ""
        one = len(lacking) == 1
        note(
            f"{'1 concept is' if one else f'{len(lacking):,} concepts are'} in no wording bank, and sentences have "
            f"{'its name' if one else 'their names'} as in the facts: {told}{more}; captions are English, so "
            "name classes in English or word them in a bank of your own (--bank FILE)"
        )


def _count(corpus: Path) -> int:
    return sum(part_rows(path) for path in Corpus(corpus).parts("captions"))
