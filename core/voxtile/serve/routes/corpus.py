"""What there is: counts, concepts, and the model."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

import voxtile
from voxtile.corpus.schema import OVERVIEW, ROLE, STRUCTURE
from voxtile.serve.routes import Served

router = APIRouter(tags=["corpus"])
_MOST_CONCEPTS = 500


class Group(BaseModel):
    """Samples of one kind and modality."""

    kind: str
    modality: str | None
    samples: int


class Concept(BaseModel):
    """A concept that facts state, and of how many samples."""

    concept: str
    present: int
    absent: int
    uncertain: int


class Model(BaseModel):
    """What words are searched by."""

    name: str
    searched: int


class About(BaseModel):
    """The corpus as a whole."""

    version: str
    samples: int
    groups: list[Group]
    concepts: list[Concept]
    model: Model | None


@router.get("/corpus")
def about(served: Served) -> About:
    """Counts by kind and modality, the concepts of the facts, and the model."""
    groups = served.tables.rows(
        f"SELECT kind, modality, count(*) AS samples FROM samples WHERE kind <> '{OVERVIEW}' GROUP BY ALL "
        "ORDER BY samples DESC, kind, modality"
    )
    concepts = served.tables.rows(
        f"""SELECT concept, count(DISTINCT uid) FILTER (polarity = 'present') AS present,
        count(DISTINCT uid) FILTER (polarity = 'absent') AS absent,
        count(DISTINCT uid) FILTER (polarity = 'uncertain') AS uncertain
        FROM facts WHERE concept NOT IN ('{ROLE}', '{STRUCTURE}') GROUP BY concept
        ORDER BY present + absent + uncertain DESC, concept LIMIT {_MOST_CONCEPTS}"""
    )
    meaning = served.meaning
    return About(
        version=voxtile.__version__,
        samples=len(served.index),
        groups=[Group(**group) for group in groups],
        concepts=[Concept(**concept) for concept in concepts],
        model=None if meaning is None else Model(name=meaning.model.name, searched=meaning.searched),
    )
