"""Conditions and numbers over samples and captions in SQL, with the scores of the corpus as columns.

A score is a column by its name where one producer gave it, and by `"NAME@PRODUCER"` always.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import numpy as np
import numpy.typing as npt

from voxtile.corpus.schema import TABLES as SCHEMAS
from voxtile.corpus.sql_condition import check_condition, condition_error
from voxtile.errors import ConfigError
from voxtile_datasets.curation.candidates import TABLES, Pool
from voxtile_datasets.curation.similarity_links import Mask

_SAMPLES = {"samples": "uid", "captions": "caption_id"}


def matching_samples(pool: Pool, condition: str, option: str) -> Mask:
    """[samples] that meet a condition.

    Raises:
        ConfigError: it is no condition, reads or writes anything else, or names a column that is not there.
    """
    relation = _relation(pool, "samples", condition, option)
    try:
        return pool.mask(f"SELECT uid FROM ({relation}) WHERE ({condition}\n)")
    except duckdb.Error as error:
        raise condition_error(error, condition, option, column_names(pool, "samples")) from error


def matching_captions(pool: Pool, condition: str, option: str) -> Mask:
    """[captions] that meet a condition, over the columns of captions, their scores and `verdict`.

    Raises:
        ConfigError: as for `matching_samples`.
    """
    relation = _relation(pool, "captions", condition, option)
    try:
        return pool.caption_mask(f"SELECT caption_id FROM ({relation}) WHERE ({condition}\n)")
    except duckdb.Error as error:
        raise condition_error(error, condition, option, column_names(pool, "captions")) from error


def sample_values(pool: Pool, expression: str, option: str) -> npt.NDArray[np.float64]:
    """[samples] the number that an expression gives; NaN where it is null.

    Raises:
        ConfigError: as for `matching_samples`, or the expression gives no number.
    """
    relation = _relation(pool, "samples", expression, option)
    try:
        return pool.values(f"SELECT uid, ({expression}\n)::DOUBLE FROM ({relation})")
    except duckdb.Error as error:
        raise condition_error(error, expression, option, column_names(pool, "samples")) from error


def column_names(pool: Pool, table: str) -> list[str]:
    """What a condition over a table may name."""
    extra = ["verdict"] if table == "captions" else []
    return [*SCHEMAS[table].names, "corpus", *extra, *_score_columns(pool, table)]


def _relation(pool: Pool, table: str, text: str, option: str) -> str:
    """A table with those of its scores that an expression names."""
    named = check_condition(text, option, TABLES) - set(SCHEMAS[table].names)
    key = _SAMPLES[table]
    known = _score_columns(pool, table)
    other = "captions" if table == "samples" else "samples"
    _explain_absent(pool, named - known.keys(), option, other)
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


def _score_columns(pool: Pool, table: str) -> dict[str, tuple[str, str | None]]:
    """(name, producer) of the scores of samples or of captions, by the names of their columns."""
    found = pool.connection.execute(
        f"SELECT DISTINCT name, producer FROM scores SEMI JOIN {table} ON scores.uid = {table}.{_SAMPLES[table]} "
        "ORDER BY ALL"
    ).fetchall()
    columns: dict[str, tuple[str, str | None]] = {f"{name}@{producer}": (name, producer) for name, producer in found}
    names = [name for name, _ in found]
    return columns | {name: (name, producer) for name, producer in found if names.count(name) == 1}


def _explain_absent(pool: Pool, absent: Iterable[str], option: str, other: str) -> None:
    """Say where a score is that cannot be a column here."""
    elsewhere = _score_columns(pool, other)
    for name in sorted(absent):
        if name in elsewhere and name not in SCHEMAS[other].names:
            where = "--where-captions" if other == "captions" else "--where"
            raise ConfigError(f"{option}: '{name}' is a score of {other}; use it in {where}")
        producers = [column for column in _score_columns(pool, "samples") | elsewhere if column.startswith(f"{name}@")]
        if len(producers) > 1:
            raise ConfigError(
                f"{option}: several producers gave the score '{name}'; name one in double quotes: "
                + ", ".join(f'"{column}"' for column in producers)
            )


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
