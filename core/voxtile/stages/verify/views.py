"""Curated selections and compiled views against the hashes that were written with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.corpus.view.key import LAYOUT
from voxtile.corpus.view.selection import SUFFIX, Selection
from voxtile.corpus.view.sums import ABOUT, damage
from voxtile.errors import CorpusError
from voxtile.stages.verify.verification import Problem


def check_views(root: Path) -> Iterator[Problem]:
    """Selections and compiled views that are not what was written; a view of an older layout is made again anyway."""
    for folder in sorted(path for path in (root / "views").glob("*") if path.is_dir() and path.name[0] != "."):
        where = f"views/{folder.name}"
        if folder.name.endswith(SUFFIX):
            try:
                Selection(folder).check()
            except CorpusError as error:
                said = "the selection differs from what was written" if error.__cause__ is None else str(error)
                yield Problem(where, said, "restore it from a copy, or make the view again with voxtile curate")
        elif not _is_older(folder) and (what := damage(folder, at_most=None)) is not None:
            yield Problem(where, what, "delete the folder; the next training makes the view again")


def _is_older(folder: Path) -> bool:
    try:
        return bool(read_json(folder / ABOUT)["layout"] < LAYOUT)
    except (OSError, ValueError, KeyError, TypeError):
        return False
