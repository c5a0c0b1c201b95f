"""One sample with everything that is known of it."""

from __future__ import annotations

from fastapi import APIRouter

from voxtile.serve.known import Known, known
from voxtile.serve.routes.explored_of import Served

router = APIRouter(tags=["samples"])


@router.get("/samples/{uid}")
def sample(served: Served, uid: str) -> Known:
    """The row, captions with verdicts, facts, regions and provenance; files and their names are left out."""
    return known(served, uid)
