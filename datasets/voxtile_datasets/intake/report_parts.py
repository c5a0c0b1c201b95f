"""Reports of a corpus as items of a run, a part of the captions table each: later reports are read alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.task import Item
from voxtile.errors import InputError


def report_items(corpus: Path) -> Iterator[Item]:
    """One item a part of the captions table that holds reports (captions of kind `raw`).

    Raises:
        InputError: there is none.
    """
    found = False
    for part in Corpus(corpus).parts("captions"):
        reports = part_table(part, ["kind"]).column("kind").to_pylist().count("raw")
        if reports:
            found = True
            yield Item(f"reports/{part.stem}", {"part": part.stem, "reports": reports}, cost=reports * 1000)
    if not found:
        raise InputError(
            f"'{corpus}' has no reports (captions of kind raw); attach them with: voxtile convert … --reports FILE"
        )


def reports_of(part: Path) -> Iterator[Row]:
    """The reports of a part of the captions table: uid, text, kind."""
    for row in part_table(part, ["uid", "text", "kind"]).to_pylist():
        if row["kind"] == "raw":
            yield row
