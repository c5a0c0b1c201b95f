"""The reviews of a corpus, and the only thing that a server writes: one part of the table `reviews` a sitting.

A part is written anew, whole and under a temporary name, with each verdict, and renamed before the verdict is
acknowledged: a server that is killed loses at most the verdict that it had not acknowledged.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import REVIEWS, SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.storage import StorageError, write_atomically
from voxtile.errors import ConfigError

Verdict = Literal["right", "wrong", "cannot tell"]
Drawn = Literal["random", "stratified", "objected"]
_NOT_WRITTEN = "the verdict could not be written; make room on the disk, and send it again"
_MOST_ROWS = 500  # of a part, which is written anew with each verdict; then a further one begins


class Reviews:
    """All reviews of a corpus, those of this server included.

    Args:
        corpus: its first folder gets the verdicts on its own samples, and so on.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._rows: dict[str, dict[str, Any]] = {r["review_id"]: r for r in corpus.table("reviews").to_pylist()}
        self._parts: dict[int, tuple[Path, list[dict[str, Any]]]] = {}
        self._lock = threading.Lock()

    def add(self, root: int, row: Mapping[str, Any]) -> None:
        """Store a verdict; one that was stored already, of the same `review_id`, is not stored again.

        Args:
            root: index of the corpus whose sample it is of.
            row: of the table `reviews`, without `created`.

        Raises:
            ConfigError: it cannot be written; nothing is counted, and it may be sent again.
        """
        with self._lock:
            if row["review_id"] in self._rows:
                return
            path, held = self._part(root)
            full = {**row, "created": datetime.now(UTC).isoformat(timespec="seconds")}
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, _as_parquet([*held, full]))
            except (StorageError, OSError) as error:
                raise ConfigError(_NOT_WRITTEN) from error
            held.append(full)
            self._rows[str(row["review_id"])] = full

    def latest(self) -> list[dict[str, Any]]:
        """The last verdict of each reader on each target, in the order in which they were given."""
        with self._lock:
            rows = list(self._rows.values())
        last = {(row["reader"], row["target"], row["claim"]): row for row in sorted(rows, key=lambda r: r["created"])}
        return list(last.values())

    def judged_by(self, reader: str) -> set[str]:
        """Targets on which a reader has said something."""
        with self._lock:
            return {row["target"] for row in self._rows.values() if row["reader"] == reader}

    def _part(self, root: int) -> tuple[Path, list[dict[str, Any]]]:
        """The part that the sitting writes to now, with its rows."""
        if root not in self._parts or len(self._parts[root][1]) >= _MOST_ROWS:
            name = f"reviews-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.parquet"
            self._parts[root] = (self._corpus.roots[root] / "tables" / "reviews" / name, [])
        return self._parts[root]


def _as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    schema = REVIEWS.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
