"""Which file an input of the ledger is, and what became of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row

_COLUMNS = ["attempt", "status", "reason", "error_class", "uid"]


def input_rows(corpus: Corpus, source: str) -> list[Row]:
    """Rows of the ledger about an input and its parts, by attempt; none where it is no input, or a sample itself.

    A stage that reads samples has their uids for inputs.
    """
    if pc.index(corpus.table("samples", columns=["uid"])["uid"], source).as_py() >= 0:
        return []
    ledger = corpus.ledger()
    own = pc.or_(pc.equal(ledger["source"], source), pc.starts_with(ledger["source"], f"{source}#"))
    rows: list[Row] = ledger.filter(own).sort_by([("attempt", "ascending")]).select(_COLUMNS).to_pylist()
    return rows


def path_of_input(root: Path, source: str, key_file: Path | None = None) -> str | None:
    """The path that a hashed source stands for, by the key map; None where nothing says so.

    Raises:
        ConfigError: the key file lies inside the corpus.
        CorpusError: it is not a key map.
    """
    path = key_map_path(root, key_file)
    return KeyMap(path).path_of(source.partition("#")[0]) if path.is_file() else None
