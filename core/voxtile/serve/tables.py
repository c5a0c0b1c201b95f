"""The corpus's tables in SQL for many requests at once: without what never leaves, and stopped if it takes too long."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.key import INPUT_TABLES
from voxtile.corpus.view.tables import judge_captions
from voxtile.errors import ConfigError

CONDITION_TABLES = (*INPUT_TABLES, "scores", "reviews")
"""What a condition may read, as in `voxtile curate`."""

HIDDEN = frozenset({"source", "shard", "offset", "nbytes", "sha256", "ref"})
"""Columns of samples that say where files lie or what they are called: no answer and no condition holds them."""

_SHOWN_SECONDS = 20.0  # longer questions are stopped, so that one viewer does not hold up the others


class Grows(Protocol):
    """The one table that is written while it is served."""

    def stamp(self) -> Mapping[Path, tuple[int, int, int]]:
        """Another value whenever a part was written."""

    def table(self, root: int) -> pa.Table:
        """All rows of one corpus as they stand now."""


class Tables:
    """A few connections to the tables of a corpus, lent to one request at a time.

    Args:
        corpus: to read.
        reviews: the table of that name, which conditions see as it stands.
        connections: how many.
    """

    def __init__(self, corpus: Corpus, reviews: Grows, connections: int = 2) -> None:
        self._free: queue.Queue[duckdb.DuckDBPyConnection] = queue.Queue()
        self._reviews, self._roots = reviews, len(corpus.roots)
        self._seen: dict[int, Mapping[Path, tuple[int, int, int]]] = {}
        for _ in range(connections):
            self._free.put(_connection(corpus))

    @contextmanager
    def lent(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that no other request uses meanwhile.

        Raises:
            ConfigError: the question took longer than 20 s.
        """
        connection = self._free.get()
        late = threading.Timer(_SHOWN_SECONDS, connection.interrupt)
        late.start()
        try:
            self._see_reviews(connection)
            yield connection
        except duckdb.InterruptException as error:
            raise ConfigError(f"the question took longer than {_SHOWN_SECONDS:.0f} s; ask for less") from error
        finally:
            late.cancel()
            self._free.put(connection)

    def _see_reviews(self, connection: duckdb.DuckDBPyConnection) -> None:
        now = self._reviews.stamp()
        if self._seen.get(id(connection)) != now:
            for root in range(self._roots):
                connection.register(f"__reviews_{root}", self._reviews.table(root))
            self._seen[id(connection)] = now

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows that a query gives, as dictionaries."""
        with self.lent() as connection:
            result = connection.execute(query, list(values))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def column(self, query: str, *values: object) -> pa.ChunkedArray:
        """The first column of what a query gives."""
        with self.lent() as connection:
            found: pa.Table = connection.sql(query, params=list(values)).to_arrow_table()
            return found.column(0)

    def close(self) -> None:
        """Close all connections; no request may be waiting."""
        while not self._free.empty():
            self._free.get().close()


def _connection(corpus: Corpus) -> duckdb.DuckDBPyConnection:
    connection = corpus.connection()
    judge_captions(connection)
    found = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'samples'").fetchone()
    body = str(found[0]).partition(" AS ")[2].rstrip("; ") if found else ""
    hidden = ", ".join(f'"{name}"' for name in sorted(HIDDEN))
    connection.execute(f"CREATE OR REPLACE VIEW samples AS SELECT * EXCLUDE ({hidden}) FROM ({body})")
    return connection
