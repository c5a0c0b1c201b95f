"""Samples: those that meet a question, page by page, and one with everything that is known of it."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from voxtile.formats.pictures.planes import PlaneName
from voxtile.serve.cards import Card, cards
from voxtile.serve.known import Known, known
from voxtile.serve.question import Question, answer
from voxtile.serve.routes import Served

router = APIRouter(tags=["samples"])
_MOST_A_PAGE = 100


class WantedFact(BaseModel):
    """A fact that must be stated of a sample."""

    model_config = ConfigDict(extra="forbid")
    concept: str = Field(max_length=500)
    polarity: Literal["present", "absent", "uncertain"] = "present"


class Asked(BaseModel):
    """A question and the page of its answer."""

    model_config = ConfigDict(extra="forbid")
    words: str = ""
    like: str = Field("", max_length=200)
    box: list[FiniteFloat] = Field(default_factory=list, max_length=6)
    plane: PlaneName | None = None
    plane_at: int = Field(0, ge=0)
    image: str = Field("", max_length=64)
    where: str = ""
    facts: list[WantedFact] = Field(default_factory=list, max_length=20)
    offset: int = Field(0, ge=0)
    limit: int = Field(24, ge=1, le=_MOST_A_PAGE)


class Page(BaseModel):
    """A page of samples."""

    samples: list[Card]
    offset: int
    total: int
    matching: int
    exact: bool | None
    milliseconds: float


@router.post("/search")
def search(served: Served, asked: Asked) -> Page:
    """A page of the samples that meet a question; in the order of likeness where there are words or a neighbour."""
    began = time.perf_counter()
    facts = tuple((fact.concept, fact.polarity) for fact in asked.facts)
    plane = None if asked.plane is None else (asked.plane, asked.plane_at)
    question = Question(
        words=asked.words.strip(), like=asked.like, box=tuple(asked.box), plane=plane, image=asked.image,
        where=asked.where.strip(), facts=facts,
    )  # fmt: skip
    found = answer(served, question)
    shown = slice(asked.offset, asked.offset + asked.limit)
    cosines = None if found.cosines is None else found.cosines[shown].tolist()
    return Page(
        samples=cards(served, found.numbers[shown].tolist(), cosines),
        offset=asked.offset,
        total=len(found.numbers),
        matching=found.matching,
        exact=found.is_exact,
        milliseconds=round(1e3 * (time.perf_counter() - began), 1),
    )


@router.get("/samples/{uid}")
def sample(served: Served, uid: str) -> Known:
    """The row, captions with verdicts, facts, regions and provenance; files and their names are left out."""
    return known(served, uid)
