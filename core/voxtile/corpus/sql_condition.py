"""SQL that a user writes over the tables: one expression, which reads the tables and nothing else.

The expression is parsed before it runs, so that one which opens a file, or a second statement behind a semicolon, is
refused whatever the connection allows. Scores are columns of samples and captions: by their name where one producer
gave them, and by `"NAME@PRODUCER"` always.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import duckdb

from voxtile.corpus.schema import TABLES
from voxtile.errors import ConfigError, CorpusError, VoxtileError

_STATE = frozenset({"getenv", "nextval", "currval", "setseed", "write_log", "set_config", "current_setting"})
_MOST_BRACKETS = 1000
_LISTED = 12
_LONGEST = 200  # characters of what the database says
_KEYS = {"samples": "uid", "captions": "caption_id"}


def check_condition(text: str, option: str, tables: Collection[str]) -> frozenset[str]:
    """Refuse what is no single expression over the tables.

    Args:
        text: the expression.
        option: how messages call it, e.g. `--where`.
        tables: names that a subquery may read.

    Returns:
        Every name that it refers to as a column, wherever in it.

    Raises:
        ConfigError: it is empty, no expression, reads a file, or writes.
    """
    if not text.strip():
        raise ConfigError(f"{option} is empty; give a condition such as modality = 'CT', or leave it out")
    _check_brackets(text, option)
    query = f"SELECT ({text}\n)"
    with duckdb.connect(":memory:") as connection:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()
    parsed: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    statements = parsed.get("statements", [])
    if parsed["error"]:
        if parsed.get("error_type") == "not implemented":
            raise ConfigError(f"{option}: '{text}' holds another statement; give one condition, which only reads")
        raise ConfigError(f"{option}: '{text}' is not a valid SQL condition: {_one_line(parsed.get('error_message'))}")
    selected = statements[0]["node"].get("select_list", []) if len(statements) == 1 else []
    if len(selected) != 1 or (statements[0]["node"].get("from_table") or {}).get("type") != "EMPTY":
        raise ConfigError(f"{option}: '{text}' is more than one expression; give one condition, which only reads")
    columns: set[str] = set()
    local = {name for node in _nodes(parsed) for name in _defined(node)}
    for node in _nodes(parsed):
        _check_node(node, text, option, {*tables, *local})
        if node.get("type") == "COLUMN_REF":
            columns.update(node["column_names"])
    return frozenset(columns)


def _check_brackets(text: str, option: str) -> None:
    """Refuse brackets without end: for 20,000 that are left open DuckDB's parser takes over 16 GB.

    Raises:
        ConfigError: there are more than anybody writes.
    """
    if sum(map(text.count, "([{")) > _MOST_BRACKETS:  # all of them: what a comment closes is open to the parser
        raise ConfigError(
            f"{option}: '{text[:_LISTED]}…' has more than {_MOST_BRACKETS:,} brackets; write a shorter condition"
        )


def condition_relation(
    connection: duckdb.DuckDBPyConnection, table: str, text: str, option: str, tables: Collection[str]
) -> str:
    """The query of a table with those of its scores that an expression names, to put behind FROM.

    Args:
        connection: with the tables of a corpus; where `verdict` of captions is named, also with the table `judged`.
        table: samples or captions.
        text: the expression.
        option: how messages call it, e.g. `--where`.
        tables: names that a subquery may read.

    Raises:
        ConfigError: it is no condition, reads or writes anything else, or names a score that is of another table or of
            several producers.
    """
    named = check_condition(text, option, tables) - set(TABLES[table].names)
    key, known = _KEYS[table], _score_columns(connection, table)
    other = "captions" if table == "samples" else "samples"
    _explain_absent(connection, named - known.keys(), option, other)
    wanted = {name: known[name] for name in sorted(named & known.keys())}
    verdict = " LEFT JOIN judged USING (caption_id)" if table == "captions" and "verdict" in named else ""
    if not wanted:
        return f"SELECT * FROM {table}{verdict}"
    columns = ", ".join(
        f"max(value) FILTER (name = {_text(name)} AND producer IS NOT DISTINCT FROM {_text(producer)}) "
        f"AS {_name(column)}"
        for column, (name, producer) in wanted.items()
    )
    names = ", ".join(sorted({_text(name) for name, _ in wanted.values()}))
    scored = f"SELECT uid AS {key}, {columns} FROM scores WHERE name IN ({names}) GROUP BY uid"
    return f"SELECT * FROM {table}{verdict} LEFT JOIN ({scored}) USING ({key})"


def condition_columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """What a condition over samples or captions may name."""
    extra = ["verdict"] if table == "captions" else []
    return [*TABLES[table].names, "corpus", *extra, *_score_columns(connection, table)]


def disk_error(error: Exception) -> CorpusError | None:
    """The sentence for an error of the database that is the disk's and not the query's; None for any other."""
    said = _one_line(error)
    if not re.search(r"\bIO ?Error\b|\berrno\b", said):
        return None
    number = re.search(r"\berrno:? (\d+)", said)
    cause = os.strerror(int(number[1])) if number else said[:_LONGEST]
    return CorpusError(
        f"the tables cannot be read, or there is no room for what a query puts aside ({cause}); "
        "see to the disk, then run the same command again"
    )


def condition_error(error: Exception, text: str, option: str, columns: Collection[str]) -> VoxtileError:
    """What the database says of an expression, as one sentence; an unknown column comes with the nearest ones.

    Where the disk is at fault, the sentence says so.

    Args:
        error: the database's.
        text: the expression.
        option: how messages call it.
        columns: names that it may use.
    """
    if (of_the_disk := disk_error(error)) is not None:
        return of_the_disk
    found = re.search(r'Referenced column "([^"]+)" not found', str(error))
    if not found:
        return ConfigError(f"{option}: '{text}' is not a valid SQL condition: {_one_line(error)}")
    near = difflib.get_close_matches(found[1], sorted(columns), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else f"there are {_some(columns)}"
    return ConfigError(f"{option}: there is no column '{found[1]}'; {hint}")


def _score_columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, tuple[str, str | None]]:
    """(name, producer) of the scores of samples or of captions, by the names of their columns."""
    found = connection.execute(
        f"SELECT DISTINCT name, producer FROM scores SEMI JOIN {table} ON scores.uid = {table}.{_KEYS[table]} "
        "ORDER BY ALL"
    ).fetchall()
    columns: dict[str, tuple[str, str | None]] = {f"{name}@{producer}": (name, producer) for name, producer in found}
    names = [name for name, _ in found]
    return columns | {name: (name, producer) for name, producer in found if names.count(name) == 1}


def _explain_absent(connection: duckdb.DuckDBPyConnection, absent: Iterable[str], option: str, other: str) -> None:
    """Say where a score is that cannot be a column here."""
    elsewhere = _score_columns(connection, other)
    for name in sorted(absent):
        if name in elsewhere and name not in TABLES[other].names:
            where = "--where-captions" if other == "captions" else "--where"
            raise ConfigError(f"{option}: '{name}' is a score of {other}; use it in {where}")
        known = _score_columns(connection, "samples") | elsewhere
        producers = [column for column in known if column.startswith(f"{name}@")]
        if len(producers) > 1:
            raise ConfigError(
                f"{option}: several producers gave the score '{name}'; name one in double quotes: "
                + ", ".join(f'"{column}"' for column in producers)
            )


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _check_node(node: dict[str, Any], text: str, option: str, tables: Collection[str]) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = node.get("function", {}).get("function_name", "")
        if name not in ("unnest", "range", "generate_series"):
            raise ConfigError(
                f"{option}: '{text}' reads outside the corpus ({name}); "
                f"a condition sees the tables {', '.join(sorted(tables))}"
            )
    elif kind == "BASE_TABLE" and node.get("table_name") not in tables:
        raise ConfigError(
            f"{option}: '{text}' reads '{node.get('table_name')}', which is no table of the corpus; "
            f"a condition sees the tables {', '.join(sorted(tables))}"
        )
    elif kind == "FUNCTION" and node.get("function_name") in _STATE:
        raise ConfigError(f"{option}: '{text}' calls {node['function_name']}, which a condition may not")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _defined(node: dict[str, Any]) -> Iterator[str]:
    """Names of common table expressions."""
    for entry in (node.get("cte_map") or {}).get("map", ()):
        yield entry["key"]


def _some(columns: Collection[str]) -> str:
    names = sorted(columns)
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _one_line(message: object) -> str:
    return str(message).strip().splitlines()[0]
