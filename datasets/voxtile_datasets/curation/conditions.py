"""Conditions and numbers over samples and captions in SQL, with the scores of the corpus as columns.

What a condition may name is said by `voxtile.corpus.sql_condition`, which `voxtile serve` reads conditions by too.
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt

from voxtile.corpus.sql_condition import condition_columns, condition_error, condition_relation
from voxtile_datasets.curation.candidates import TABLES, Pool
from voxtile_datasets.curation.similarity_links import Mask


def matching_samples(pool: Pool, condition: str, option: str) -> Mask:
    """[samples] that meet a condition.

    Raises:
        ConfigError: it is no condition, reads or writes anything else, or names a column that is not there.
    """
    relation = condition_relation(pool.connection, "samples", condition, option, TABLES)
    try:
        return pool.mask(f"SELECT uid FROM ({relation}) WHERE ({condition}\n)")
    except duckdb.Error as error:
        raise condition_error(error, condition, option, condition_columns(pool.connection, "samples")) from error


def matching_captions(pool: Pool, condition: str, option: str) -> Mask:
    """[captions] that meet a condition, over the columns of captions, their scores and `verdict`.

    Raises:
        ConfigError: as for `matching_samples`.
    """
    relation = condition_relation(pool.connection, "captions", condition, option, TABLES)
    try:
        return pool.caption_mask(f"SELECT caption_id FROM ({relation}) WHERE ({condition}\n)")
    except duckdb.Error as error:
        raise condition_error(error, condition, option, condition_columns(pool.connection, "captions")) from error


def sample_values(pool: Pool, expression: str, option: str) -> npt.NDArray[np.float64]:
    """[samples] the number that an expression gives; NaN where it is null.

    Raises:
        ConfigError: as for `matching_samples`, or the expression gives no number.
    """
    relation = condition_relation(pool.connection, "samples", expression, option, TABLES)
    try:
        return pool.values(f"SELECT uid, ({expression}\n)::DOUBLE FROM ({relation})")
    except duckdb.Error as error:
        raise condition_error(error, expression, option, condition_columns(pool.connection, "samples")) from error
