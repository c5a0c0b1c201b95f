"""The corpus's tables in SQL for many requests at once: without what never leaves, and stopped if it takes too long."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from voxtile.corpus.reader import ROOT_COLUMN, Corpus
from voxtile.corpus.schema import SAMPLES
from voxtile.corpus.view.key import INPUT_TABLES
from voxtile.errors import ConfigError
from voxtile.serve.sample_index import Numbers, SampleIndex
from voxtile.serve.table_file import HIDDEN, table_file

__all__ = ["CONDITION_TABLES", "HIDDEN", "Tables"]

CONDITION_TABLES = (*INPUT_TABLES, "scores", "reviews")
"""What a condition may read, as in `voxtile curate`."""

_SHOWN_SECONDS = 20.0  # longer questions are stopped, so that one viewer does not hold up the others
_KEPT_ROWS = 512  # of samples: each tile and plane asks for the row of its sample
_CONFIG = {
    "memory_limit": "160MB",
    "threads": "2",
    "python_enable_replacements": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}


class Grows(Protocol):
    """The one table that is written while it is served."""

    def stamp(self) -> Mapping[Path, tuple[int, int, int]]:
        """Another value whenever a part was written."""

    def table(self, root: int) -> pa.Table:
        """All rows of one corpus as they stand now."""


class Tables:
    """A few connections to the tables of a corpus, lent to one request at a time.

    Args:
        corpus: to read; parts that arrive later are not seen.
        index: its samples.
        reviews: the table of that name, which conditions see as it stands.
        connections: how many.

    Raises:
        CorpusError: a table is missing or damaged.
        ConfigError: the cache folder cannot be written.
    """

    def __init__(self, corpus: Corpus, index: SampleIndex, reviews: Grows, connections: int = 4) -> None:
        path = table_file(corpus, index)
        aside = str(path.parent / "aside")  # where what needs more memory goes; for the user's eyes alone, as the rest
        self._opened = duckdb.connect(str(path), read_only=True, config={**_CONFIG, "temp_directory": aside})
        self._free: queue.LifoQueue[duckdb.DuckDBPyConnection] = queue.LifoQueue()
        self._reviews, self._roots = reviews, len(corpus.roots)
        self._seen: dict[int, Mapping[Path, tuple[int, int, int]]] = {}
        for _ in range(connections):
            self._free.put(self._opened.cursor())
        self._rows: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

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
            tables = [self._reviews.table(root) for root in range(self._roots)]
            roots = [pa.array([root] * len(table), pa.int32()) for root, table in enumerate(tables)]
            numbered = [t.append_column(ROOT_COLUMN, root) for t, root in zip(tables, roots, strict=True)]
            connection.register("reviews", pa.concat_tables(numbered))
            self._seen[id(connection)] = now

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows that a query gives, as dictionaries."""
        with self.lent() as connection:
            result = connection.execute(query, list(values))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def table(self, query: str, *values: object) -> pa.Table:
        """What a query gives."""
        with self.lent() as connection:
            return connection.sql(query, params=list(values)).to_arrow_table()

    def column(self, query: str, *values: object) -> pa.ChunkedArray:
        """The first column of what a query gives."""
        return self.table(query, *values).column(0)

    def stated(self, concept: str, polarity: str) -> Numbers:
        """Numbers of the samples of which a fact is stated."""
        found = self.table("SELECT number FROM stated WHERE concept = ? AND polarity = ?", concept, polarity)
        return np.asarray(found["number"].to_numpy(), np.int64)

    def of_samples(
        self, table: str, numbers: Sequence[int], columns: str = "* EXCLUDE (number)"
    ) -> list[dict[str, Any]]:
        """Distinct rows of a table about samples (`table_file.OF_SAMPLES`, verdicts), in the order of their values.

        Args:
            table: its name.
            numbers: of the samples, the first of those with the same uid.
            columns: to select.
        """
        wanted = ", ".join(str(int(number)) for number in numbers if number >= 0)
        query = f"SELECT DISTINCT {columns} FROM stored_{table} WHERE number IN ({wanted}) ORDER BY ALL"
        return self.rows(query) if wanted else []

    def samples(self, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of the table `samples`, with the index of their root in `corpus`, in the order asked for."""
        wanted = ", ".join(str(int(number)) for number in numbers)
        names = ", ".join(f'"{name}"' for name in columns)
        query = f"SELECT number, {names}, {ROOT_COLUMN} FROM stored_samples WHERE number IN ({wanted})"
        found = {row.pop("number"): row for row in (self.rows(query) if wanted else [])}
        return [dict(found[int(number)]) for number in numbers]

    def sample(self, number: int) -> dict[str, Any]:
        """The whole row of one sample."""
        with self._lock:
            if number in self._rows:
                self._rows.move_to_end(number)
                return dict(self._rows[number])
        row = self.samples([number], SAMPLES.names)[0]
        with self._lock:
            self._rows[number] = row
            while len(self._rows) > _KEPT_ROWS:
                self._rows.popitem(last=False)
        return dict(row)

    def close(self) -> None:
        """Close all connections; no request may be waiting."""
        while not self._free.empty():
            self._free.get().close()
        self._opened.close()
