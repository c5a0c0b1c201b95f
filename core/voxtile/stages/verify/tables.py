"""Tables by themselves and against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import check_part, part_dataset, part_paths, read_parts, sql_schema, table_schema
from voxtile.corpus.schema import TABLES
from voxtile.engine.worker import Report
from voxtile.errors import CorpusError
from voxtile.stages.verify.verification import Problem

_BATCH = 1 << 14  # rows that are held at once
_EXAMPLES = 20  # findings of one kind that are listed; the rest is counted
_OWNERS = {"facts": "uid", "scopes": "uid", "captions": "uid", "regions": "uid", "embeddings": "uid", "reviews": "uid"}


def sound_parts(root: Path, refused: Mapping[str, str], report: Report) -> tuple[dict[str, list[Path]], list[Problem]]:
    """Parts of every table and of the ledger that can be read to their last row, and a problem for each other one.

    Args:
        root: the corpus.
        refused: paths of parts that must not be read, and why.
        report: called with the number of each part, and with None after the last.
    """
    sound: dict[str, list[Path]] = {}
    problems: list[Problem] = []
    number = 0
    for name in (*TABLES, "ledger"):
        schema = table_schema(name)
        for path in part_paths(root, name):
            where = path.relative_to(root).as_posix()
            report(number)
            number += 1
            try:
                if where in refused:
                    raise CorpusError(refused[where])
                check_part(path, schema)
                _read_through(path, schema)
            except CorpusError as error:
                sentence = str(error).replace(f"'{path}'", "it")
                what, _, advice = sentence.partition("; ")
                problems.append(Problem(where, what, advice or "restore it or run its stage again"))
            else:
                sound.setdefault(name, []).append(path)
    report(None)
    return sound, problems


def _read_through(path: Path, schema: pa.Schema) -> None:
    """Read a part to its last row, some rows at a time.

    Raises:
        MemoryError: some rows do not fit into memory.
        CorpusError: the data is damaged.
    """
    try:
        for _ in part_dataset([path], schema).to_batches(
            batch_size=_BATCH, batch_readahead=1, fragment_readahead=1, use_threads=False
        ):
            pass
    except MemoryError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"'{path}' is damaged ({error})") from error


def cross_checks(sound: dict[str, list[Path]]) -> Iterator[Problem]:
    """Duplicate uids, rows about samples that do not exist, subjects in two splits, samples without a place."""
    with duckdb.connect(":memory:") as connection:
        for name in TABLES:
            schema = sql_schema(name)
            paths = sound.get(name, [])
            connection.register(name, part_dataset(paths, schema) if paths else schema.empty_table())
        yield from _duplicates(connection)
        yield from _orphan_rows(connection)
        yield from _split_conflicts(connection)
        yield from _placeless(connection)


def samples_by_shard(paths: Sequence[Path]) -> pa.Table:
    """What a shard check needs of each stored sample, sorted by shard and offset."""
    columns = ["shard", "uid", "codec", "offset", "nbytes", "sha256", "shape", "dtype"]
    table = read_parts(paths, table_schema("samples"), columns)
    return table.filter(pc.is_valid(table["shard"])).sort_by([("shard", "ascending"), ("offset", "ascending")])


def masks_by_shard(paths: Sequence[Path]) -> pa.Table:
    """What a shard check needs of each mask, sorted by shard and offset."""
    columns = ["mask_shard", "region_id", "mask_offset", "mask_nbytes"]
    table = read_parts(paths, table_schema("regions"), columns)
    return table.filter(pc.is_valid(table["mask_shard"])).sort_by(
        [("mask_shard", "ascending"), ("mask_offset", "ascending")]
    )


def _duplicates(connection: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    for table, key, column in (
        ("samples", "uid", "uid"),
        ("captions", "caption_id", "caption_id"),
        ("regions", "region_id", "region_id"),
        ("dialogues", "turn", "concat(turn, ' of ', dialogue_id)"),
        ("preferences", "preference_id", "preference_id"),
    ):
        query = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"
        rows = connection.execute(query).fetchall()
        advice = f"delete all but one of the parts of tables/{table} that hold it"
        for value, number in rows[:_EXAMPLES]:
            yield Problem(f"tables/{table}", f"{key} '{value}' has {number} rows", advice)
        yield from _rest(f"tables/{table}", f"duplicate values of {key}", len(rows))


def _orphan_rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    scored = "(SELECT uid FROM samples UNION ALL SELECT caption_id FROM captions)"
    owners = [(table, table, "samples", "samples", column) for table, column in _OWNERS.items()] + [
        ("verdicts", "verdicts", "captions", "captions", "caption_id"),
        ("instructions", "instructions", "captions", "captions", "caption_id"),
        ("dialogues", "(SELECT unnest(uids) AS uid FROM dialogues)", "samples", "samples", "uid"),
        ("dialogues", "(SELECT unnest(region_ids) AS region_id FROM dialogues)", "regions", "regions", "region_id"),
        ("preferences", "(SELECT unnest(uids) AS uid FROM preferences)", "samples", "samples", "uid"),
        ("scores", "scores", "samples or captions", scored, "uid"),
    ]
    for table, named, parent, rows_of, column in owners:
        query = f"SELECT {column}, count(*) FROM {named} ANTI JOIN {rows_of} USING ({column}) GROUP BY 1 ORDER BY 1"
        rows = connection.execute(query).fetchall()
        missing = parent.partition(" ")[0]
        advice = f"restore the part of tables/{missing} that is missing; the rows are ignored until then"
        for value, number in rows[:_EXAMPLES]:
            yield Problem(
                f"tables/{table}", f"{column} '{value}' is in {number} rows here and in none of {parent}", advice
            )
        yield from _rest(f"tables/{table}", f"values of {column} without a row in {parent}", len(rows))


def _split_conflicts(connection: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    query = """
        SELECT scheme, subject, string_agg(DISTINCT split, ', ' ORDER BY split) FROM splits
        GROUP BY scheme, subject HAVING count(DISTINCT split) > 1 ORDER BY scheme, subject
    """
    rows = connection.execute(query).fetchall()
    for scheme, subject, splits in rows[:_EXAMPLES]:
        what = f"subject '{subject}' is in several splits of scheme '{scheme}' ({splits})"
        yield Problem("tables/splits", what, "delete the parts of tables/splits that put it in the wrong one")
    yield from _rest("tables/splits", "subjects in several splits", len(rows))


def _placeless(connection: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    query = """
        SELECT uid FROM samples
        WHERE codec <> 'ref' AND (shard IS NULL OR "offset" IS NULL OR nbytes IS NULL) ORDER BY uid
    """
    rows = connection.execute(query).fetchall()
    for (uid,) in rows[:_EXAMPLES]:
        yield Problem("tables/samples", f"the sample '{uid}' has no address in a shard", "convert its source again")
    yield from _rest("tables/samples", "samples without an address", len(rows))


def _rest(where: str, what: str, number: int) -> Iterator[Problem]:
    if number > _EXAMPLES:
        yield Problem(where, f"{number - _EXAMPLES} more {what}", "the advice is the same")
