"""The tables of a corpus as a database on disk, in the order of its samples: a page of them costs a page.

A part of a table is compressed in pieces of many thousand rows, and a row of it costs its piece. Here all parts are
laid out once, and every row of a table about samples has the number of its sample, by which there is an index.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from voxtile.corpus.parts import part_dataset, sql_schema
from voxtile.corpus.reader import ROOT_COLUMN, Corpus
from voxtile.corpus.schema import OVERVIEW, ROLE, STRUCTURE
from voxtile.corpus.sql_condition import disk_error
from voxtile.corpus.view.tables import judge_captions
from voxtile.errors import CorpusError
from voxtile.serve.laid_out import laid_out, parts_key
from voxtile.serve.sample_index import SampleIndex

OF_SAMPLES = ("facts", "scopes", "captions", "regions", "instructions")
"""Tables whose rows have the number of their sample in `stored_NAME`."""

HIDDEN = frozenset({"source", "shard", "offset", "nbytes", "sha256", "ref"})
"""Columns of samples that say where files lie or what they are called: no answer and no condition holds them."""

_PLAIN = ("splits", "scores")
_LAYOUT = "3"
_MEMORY = "512MB"  # while it is made; what needs more is put aside on the disk
_MOST_CONCEPTS = 500


def table_file(corpus: Corpus, index: SampleIndex) -> Path:
    """The database of a corpus; made where it is not there yet.

    Args:
        corpus: whose tables.
        index: its samples.

    Raises:
        CorpusError: a part is damaged, or there is no room to sort.
        ConfigError: the cache folder cannot be written.
    """
    others = [
        part for name in (*OF_SAMPLES, "verdicts", *_PLAIN, "ledger")
        for root in range(len(corpus.roots)) for part in corpus.parts(name, root)
    ]  # fmt: skip
    key = parts_key([*(part for _, part in index.parts), *others], _LAYOUT, duckdb.__version__)
    return laid_out(corpus.roots, "tables", key, lambda folder: _write(corpus, index, folder)) / "tables.duckdb"


def _write(corpus: Corpus, index: SampleIndex, folder: Path) -> None:
    with closing(duckdb.connect(str(folder / "tables.duckdb"))) as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET python_enable_replacements = false")
        try:
            _write_samples(connection, index)
            for name in OF_SAMPLES:
                _write_numbered(connection, corpus, name)
            _write_verdicts(connection, corpus)
            for name in _PLAIN:
                connection.execute(f"CREATE TABLE {name} AS {_rows(connection, corpus, name)}")
            _write_ledger(connection, corpus)
            _write_counts(connection)
            for name in ("samples", *OF_SAMPLES, "verdicts", "ledger"):
                connection.execute(f"CREATE INDEX {name}_by_number ON stored_{name} (number)")
        except duckdb.Error as error:
            if (of_the_disk := disk_error(error)) is not None:
                raise of_the_disk from error
            raise CorpusError(f"the tables cannot be laid out: {str(error).splitlines()[0]}") from error


def _write_samples(connection: duckdb.DuckDBPyConnection, index: SampleIndex) -> None:
    schema = sql_schema("samples")
    empty = schema.empty_table().add_column(0, "number", pa.array([], pa.int64()))
    connection.register("part", empty.append_column(ROOT_COLUMN, pa.array([], pa.int32())))
    connection.execute("CREATE TABLE stored_samples AS SELECT * FROM part")
    for root, table, numbers in index.tables(schema.names):
        numbered = table.select(schema.names).add_column(0, "number", pa.array(numbers))
        connection.register("part", numbered.append_column(ROOT_COLUMN, pa.array([root] * len(table), pa.int32())))
        connection.execute("INSERT INTO stored_samples SELECT * FROM part")
    connection.unregister("part")
    hidden = ", ".join(f'"{name}"' for name in sorted({*HIDDEN, "number"}))
    connection.execute(f"CREATE VIEW samples AS SELECT * EXCLUDE ({hidden}) FROM stored_samples")
    connection.execute(
        "CREATE TEMP TABLE numbers AS SELECT uid, min(number) AS number FROM stored_samples "
        "WHERE number >= 0 GROUP BY uid"
    )


def _write_numbered(connection: duckdb.DuckDBPyConnection, corpus: Corpus, name: str) -> None:
    connection.execute(
        f"CREATE TABLE stored_{name} AS SELECT coalesce(number, -1) AS number, rows.* "
        f"FROM ({_rows(connection, corpus, name)}) AS rows LEFT JOIN numbers USING (uid) ORDER BY number"
    )
    connection.execute(f"CREATE VIEW {name} AS SELECT * EXCLUDE (number) FROM stored_{name}")


def _write_ledger(connection: duckdb.DuckDBPyConnection, corpus: Corpus) -> None:
    """The ledger with a number for the name of each input, and which rows are of a part of an input that was used."""
    connection.register("whole_ledger", corpus.ledger())
    connection.execute("""
        CREATE TABLE stored_ledger AS
        WITH told AS (SELECT *, split_part(source, '#', 1) AS whole FROM whole_ledger),
        used AS (SELECT DISTINCT source FROM told WHERE status = 'used')
        SELECT coalesce(number, -1) AS number, told.* EXCLUDE (source, whole),
            dense_rank() OVER (ORDER BY whole) AS input,
            status <> 'used' AND (source IN (FROM used) OR whole IN (FROM used)) AS is_part
        FROM told LEFT JOIN numbers USING (uid) ORDER BY number
        """)
    connection.execute("CREATE VIEW ledger AS SELECT * EXCLUDE (number, input, is_part) FROM stored_ledger")


def _write_verdicts(connection: duckdb.DuckDBPyConnection, corpus: Corpus) -> None:
    owners = "(SELECT caption_id, max(number) AS number FROM stored_captions GROUP BY caption_id)"
    connection.execute(
        "CREATE TABLE stored_verdicts AS SELECT coalesce(number, -1) AS number, rows.* "
        f"FROM ({_rows(connection, corpus, 'verdicts')}) AS rows LEFT JOIN {owners} USING (caption_id) ORDER BY number"
    )
    connection.execute("CREATE VIEW verdicts AS SELECT * EXCLUDE (number) FROM stored_verdicts")
    judge_captions(connection)
    connection.execute("CREATE TABLE main.stored_judged AS SELECT * FROM temp.judged")
    connection.execute("CREATE VIEW main.judged AS SELECT * FROM stored_judged")


def _write_counts(connection: duckdb.DuckDBPyConnection) -> None:
    """What the first page tells of the whole, and which samples have a fact."""
    connection.execute(
        "CREATE TABLE stated AS SELECT DISTINCT concept, polarity, number FROM stored_facts "
        "WHERE number >= 0 ORDER BY ALL"
    )
    connection.execute(
        f"CREATE TABLE groups AS SELECT kind, modality, count(*) AS samples FROM samples WHERE kind <> '{OVERVIEW}' "
        "GROUP BY ALL ORDER BY samples DESC, kind, modality"
    )
    counts = ", ".join(f"count(*) FILTER (polarity = '{p}') AS {p}" for p in ("present", "absent", "uncertain"))
    connection.execute(
        f"CREATE TABLE concepts AS SELECT concept, {counts} FROM stated WHERE concept NOT IN ('{ROLE}', '{STRUCTURE}') "
        f"GROUP BY concept ORDER BY present + absent + uncertain DESC, concept LIMIT {_MOST_CONCEPTS}"
    )


def _rows(connection: duckdb.DuckDBPyConnection, corpus: Corpus, name: str) -> str:
    """The query of all rows of a table, with the index of their root."""
    schema, pieces = sql_schema(name), []
    for root in range(len(corpus.roots)):
        parts = corpus.parts(name, root)
        connection.register(f"{name}_{root}", part_dataset(parts, schema) if parts else schema.empty_table())
        pieces.append(f"SELECT *, {root}::INTEGER AS {ROOT_COLUMN} FROM {name}_{root}")
    return " UNION ALL ".join(pieces)
