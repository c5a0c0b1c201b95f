"""What a viewer asks for: words or a neighbour, facts and a condition, all together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import duckdb
import numpy as np
import pyarrow as pa

from voxtile.corpus.sql_condition import condition_columns, condition_error, condition_relation
from voxtile.errors import ConfigError
from voxtile.serve.explored import Explored
from voxtile.serve.sample_index import Mask, Numbers
from voxtile.serve.tables import CONDITION_TABLES, HIDDEN

MOST_RANKED = 1000  # samples that are put in order by likeness; further ones say little
_CONDITION = "the condition"


@dataclass(frozen=True)
class Question:
    """Which samples to show.

    Attributes:
        words: what to look for, in the model's space; empty for no order.
        like: uid of a sample whose neighbours are wanted; empty for none.
        where: SQL condition over samples, as in `voxtile curate --where`; empty for all.
        facts: (concept, polarity) that all must be stated of a sample.
    """

    words: str = ""
    like: str = ""
    where: str = ""
    facts: tuple[tuple[str, Literal["present", "absent", "uncertain"]], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        numbers: of samples, in order.
        cosines: likeness of each, or None where nothing was likened.
        matching: how many met facts and condition.
    """

    numbers: Numbers
    cosines: np.ndarray[tuple[int], np.dtype[np.float32]] | None
    matching: int


def answer(explored: Explored, question: Question) -> Answer:
    """Find the samples.

    Raises:
        ConfigError: the condition is none, or words are searched and there is no model.
        NoSuchSampleError: no sample is that whose neighbours are wanted.
    """
    if question.words and question.like:
        raise ConfigError("search by words or by a neighbour, not by both at once")
    allowed = _allowed(explored, question)
    matching = len(explored.index) if allowed is None else int(allowed.sum())
    if not question.words and not question.like:
        numbers = np.arange(matching) if allowed is None else np.flatnonzero(allowed)
        return Answer(numbers, None, matching)
    if explored.meaning is None:
        raise ConfigError("no model was named; start voxtile serve with --model to search by words and likeness")
    if question.words:
        found = explored.meaning.by_words(question.words, MOST_RANKED, allowed)
    else:
        found = explored.meaning.by_neighbour(explored.number(question.like), MOST_RANKED, allowed)
    return Answer(found.numbers, found.cosines, matching)


def _allowed(explored: Explored, question: Question) -> Mask | None:
    """[samples] that meet facts and condition; None where there are none of these."""
    masks = [
        explored.index.mask(
            explored.tables.column("SELECT uid FROM facts WHERE concept = ? AND polarity = ?", concept, polarity)
        )
        for concept, polarity in question.facts
    ]
    if question.where:
        masks.append(explored.index.mask(_meeting(explored, question.where)))
    return np.logical_and.reduce(masks) if masks else None


def _meeting(explored: Explored, where: str) -> pa.ChunkedArray:
    """Uids of samples that meet a condition."""
    with explored.tables.lent() as connection:
        try:
            relation = condition_relation(connection, "samples", where, _CONDITION, CONDITION_TABLES)
            found = connection.sql(f"SELECT uid FROM ({relation}) WHERE ({where}\n)").to_arrow_table()
            return cast(pa.Table, found).column(0)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            known = [name for name in condition_columns(connection, "samples") if name not in HIDDEN]
            raise condition_error(error, where, _CONDITION, known) from error
