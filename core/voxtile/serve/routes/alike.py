"""What is like a sample: its near-duplicates, and its neighbours in the model's space."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from voxtile.serve.cards import Card, cards
from voxtile.serve.explored import Explored
from voxtile.serve.routes import Served
from voxtile.serve.search.vectors import Found

router = APIRouter(prefix="/samples/{uid}", tags=["samples"])
LEAST_COSINE = 0.95
"""Of near-duplicates: what `voxtile curate --dedup embedding` takes where no other number is given."""

_NEIGHBOURS = 24
_MOST = 48


class Duplicate(BaseModel):
    """A sample that is nearly the same: by its picture, by the model's vectors, or by both."""

    card: Card
    differing_bits: int | None
    cosine: float | None


class Alike(BaseModel):
    """What is like a sample; `compared_by` says by what that could be seen."""

    duplicates: list[Duplicate]
    neighbours: list[Card]
    compared_by: list[str]


@router.get("/alike")
def alike(served: Served, uid: str) -> Alike:
    """Near-duplicates, by the thresholds of `voxtile curate --dedup picture,embedding`, and the nearest others."""
    number = served.number(uid)
    pictures = dict(served.hashes.alike(number)[:_MOST])
    found = _neighbours(served, number)
    cosines = {} if found is None else dict(zip(found.numbers.tolist(), found.cosines.tolist(), strict=True))
    near = [other for other, cosine in cosines.items() if cosine >= LEAST_COSINE]
    twins = list(dict.fromkeys([*pictures, *near]))[:_MOST]
    others = [other for other in cosines if other not in set(twins)][:_NEIGHBOURS]
    duplicates = [
        Duplicate(card=card, differing_bits=pictures.get(card.number), cosine=cosines.get(card.number))
        for card in cards(served, twins)
    ]
    by = [
        name
        for name, is_there in (("picture", _has_hash(served, number)), ("embedding", found is not None))
        if is_there
    ]
    return Alike(duplicates=duplicates, neighbours=cards(served, others, [cosines[n] for n in others]), compared_by=by)


def _neighbours(served: Explored, number: int) -> Found | None:
    """The nearest, or None where the sample has no vector."""
    meaning = served.meaning
    if meaning is None or meaning.vectors is None or not meaning.vectors.present[number]:
        return None
    vector = meaning.vectors.vector(number)
    if vector is None or not vector.any():
        return None
    count = _NEIGHBOURS + _MOST
    found: Found = served.answers.of(("alike", number), lambda: meaning.by_neighbour(number, count, None))
    return found


def _has_hash(served: Explored, number: int) -> bool:
    return bool((served.hashes.numbers == number).any())
