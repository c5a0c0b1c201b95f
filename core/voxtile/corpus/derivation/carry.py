"""Tables that go with the samples into a derived corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows

# Table → the column that says what a row is about. Regions are not here: they move with the pixels.
_KEYS = {"facts": "uid", "scopes": "uid", "captions": "uid", "scores": "uid", "splits": "subject"}
_PREFIX = "from-"


def carry_tables(source: Path, target: Path) -> Iterator[Path]:
    """Copy the rows about samples (and subjects) that the target holds, a part for each part of the source.

    The parts are replaced when they exist, so that rows which the source has gained come along.

    Args:
        source: the corpus that was read.
        target: the derived corpus.

    Raises:
        CorpusError: a part of the source is damaged, or the target cannot be written.
    """
    derived = Corpus(target).table("samples", ["uid", "subject"])
    keep = {"uid": pc.unique(derived["uid"]), "subject": pc.unique(derived["subject"])}
    for table, key in _KEYS.items():
        yield from _carry(source, target, table, key, keep[key])
    captions = pc.unique(Corpus(target).table("captions", ["caption_id"])["caption_id"])
    yield from _carry(source, target, "verdicts", "caption_id", captions)


def _carry(source: Path, target: Path, table: str, key: str, keep: pa.Array) -> Iterator[Path]:
    schema = table_schema(table)
    for part in part_paths(source, table):
        rows = read_parts([part], schema, schema.names)
        rows = rows.filter(pc.is_in(rows[key], keep))
        written = append_rows(target, table, f"{_PREFIX}{part.stem}", rows.to_pylist())
        if written is not None:
            yield written
