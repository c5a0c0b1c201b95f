"""What there is: counts, concepts, and the model."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

import voxtile
from voxtile.serve.routes import Served
from voxtile.serve.search.meaning import MeaningSearch

router = APIRouter(tags=["corpus"])


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


class Recall(BaseModel):
    """Which share of the ten nearest samples an approximate search finds, as measured when it was made."""

    images: float
    words: float | None
    looked_at: int


class InMaking(BaseModel):
    """What is being made while the server answers."""

    what: str
    done: int
    total: int
    problem: str | None


class Model(BaseModel):
    """What words and images are searched by.

    `searched` samples have a vector. Search is exact unless `approximate`; `recall` is known wherever lists of near
    vectors were made, also where they find too little, or too many have to be read, to be used.
    """

    name: str
    searched: int
    approximate: bool
    recall: Recall | None
    making: InMaking | None
    modalities: list[str]


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
    groups, concepts = served.tables.rows("FROM groups"), served.tables.rows("FROM concepts")
    return About(
        version=voxtile.__version__,
        samples=len(served.index),
        groups=[Group(**group) for group in groups],
        concepts=[Concept(**concept) for concept in concepts],
        model=None if served.meaning is None else _model(served.meaning),
    )


def _model(meaning: MeaningSearch) -> Model:
    making, nearest = meaning.making, meaning.nearest
    shown = making is not None and (making.is_running or making.problem)
    return Model(
        name=meaning.model.name,
        searched=meaning.searched,
        approximate=meaning.is_approximate,
        recall=None if nearest is None else Recall(**asdict(nearest.recall)),
        making=InMaking(what=making.what, done=making.done, total=making.total, problem=making.problem)
        if making is not None and shown
        else None,
        modalities=list(getattr(getattr(meaning.model, "preset", None), "modalities", None) or ()),
    )
