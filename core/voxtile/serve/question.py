"""What a viewer asks for: words or a neighbour, facts and a condition, all together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import duckdb
import numpy as np
import pyarrow as pa

from voxtile.corpus.sql_condition import condition_columns, condition_error, condition_relation
from voxtile.errors import ConfigError
from voxtile.formats.pictures.planes import PlaneName
from voxtile.serve.explored import Explored
from voxtile.serve.sample_index import Mask, Numbers
from voxtile.serve.search.nearest import RANKED
from voxtile.serve.search.region import plane_box, region_of
from voxtile.serve.search.vectors import Found
from voxtile.serve.tables import CONDITION_TABLES, HIDDEN

_CONDITION = "the condition"


@dataclass(frozen=True)
class Question:
    """Which samples to show.

    Attributes:
        words: what to look for, in the model's space; empty for no order.
        like: uid of a sample whose neighbours are wanted; empty for none.
        box: with `like`, the part of the sample that is meant, in pixel edges and array order (y, x), or (z, y, x) of a
            volume: min corner, then max corner; empty for the whole.
        plane: with `like` and four numbers of `box`, the plane of a volume in which they lie, as it is shown: its
            direction and place.
        image: name of an image that the viewer sent; empty for none.
        where: SQL condition over samples, as in `voxtile curate --where`; empty for all.
        facts: (concept, polarity) that all must be stated of a sample.
    """

    words: str = ""
    like: str = ""
    box: tuple[float, ...] = ()
    plane: tuple[PlaneName, int] | None = None
    image: str = ""
    where: str = ""
    facts: tuple[tuple[str, Literal["present", "absent", "uncertain"]], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        numbers: of samples, in order.
        cosines: likeness of each, or None where nothing was likened.
        matching: how many met facts and condition.
        is_exact: no sample is nearer than those found; None where nothing was likened.
    """

    numbers: Numbers
    cosines: np.ndarray[tuple[int], np.dtype[np.float32]] | None
    matching: int
    is_exact: bool | None = None


def answer(explored: Explored, question: Question) -> Answer:
    """Find the samples.

    Raises:
        ConfigError: the condition is none, or words are searched and there is no model.
        NoSuchSampleError: no sample is that whose neighbours are wanted.
    """
    if question.words or question.like or question.image:
        judged = tuple(sorted(explored.reviews.stamp().items())) if question.where else ()  # conditions may read them
        found: Answer = explored.answers.of((question, judged), lambda: _answered(explored, question))
        return found
    return _answered(explored, question)


def _answered(explored: Explored, question: Question) -> Answer:
    ways = [way for way in (question.words, question.like, question.image) if way]
    if len(ways) > 1:
        raise ConfigError("search by words, by a neighbour or by an image, not by both at once")
    allowed = _allowed(explored, question)
    matching = len(explored.index) if allowed is None else int(allowed.sum())
    if not ways:
        numbers = np.arange(matching) if allowed is None else np.flatnonzero(allowed)
        return Answer(numbers, None, matching)
    found = _nearest(explored, question, allowed)
    return Answer(found.numbers, found.cosines, matching, found.is_exact)


def _nearest(explored: Explored, question: Question, allowed: Mask | None) -> Found:
    meaning = explored.meaning
    if meaning is None:
        raise ConfigError("no model was named; start voxtile serve with --model to search by words and likeness")
    if question.words:
        return meaning.by_words(question.words, RANKED, allowed)
    if question.image:
        return meaning.by_vector(meaning.images.vector(question.image), RANKED, allowed)
    if not question.box:
        return meaning.by_neighbour(explored.number(question.like), RANKED, allowed)
    row = explored.row(question.like)
    box = question.box if question.plane is None else plane_box(row, *question.plane, question.box)
    with explored.source(row) as source:
        vector = meaning.image_vector(region_of(source, box))
    return meaning.by_vector(vector, RANKED, allowed)


def _allowed(explored: Explored, question: Question) -> Mask | None:
    """[samples] that meet facts and condition; None where there are none of these."""
    masks = [explored.index.mask_of(explored.tables.stated(concept, polarity)) for concept, polarity in question.facts]
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
