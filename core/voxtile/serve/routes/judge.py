"""Judge captions, facts and regions: the next one, a verdict, and what the verdicts say."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, cast

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from voxtile.formats.pictures.band_pictures import band_picture
from voxtile.serve.explored import NoSuchSampleError
from voxtile.serve.judging.item import Item, item
from voxtile.serve.judging.queue import Queue
from voxtile.serve.judging.region_picture import region_picture
from voxtile.serve.reviews.claims import LONGEST
from voxtile.serve.reviews.figures import Pair, Share, figures
from voxtile.serve.reviews.verdicts import Drawn, Kind, Verdict
from voxtile.serve.routes import Served

router = APIRouter(prefix="/judge", tags=["judge"])
_NAME = Query(max_length=200)
_GONE = "this is no longer in the corpus, which has changed meanwhile; nothing was stored, go on with the next one"
_MOST_DIFFERENCES = 50  # of two readers


class Next(BaseModel):
    """A target that waits; None where all are judged."""

    item: Item | None
    judged: int


class Given(BaseModel):
    """A verdict. The page makes `review_id`, so that one which is sent twice is stored once."""

    model_config = ConfigDict(extra="forbid")
    review_id: str = Field(pattern=r"^[0-9a-f-]{32,36}$")
    kind: Kind = "caption"
    uid: str = Field(max_length=200)
    target: str = Field(max_length=200)
    verdict: Verdict
    reader: str = Field(min_length=1, max_length=80, pattern=r"^\S(.*\S)?$")
    drawn: Drawn
    claim: str | None = Field(None, max_length=LONGEST)
    comment: str | None = Field(None, max_length=2000)


class Stored(BaseModel):
    """A verdict is stored; `replaced` is another one that this reader had given before, which counts no more."""

    stored: bool
    replaced: Verdict | None


class Line(BaseModel):
    """A share with its interval."""

    kind: Kind
    name: str
    share: float
    low: float | None
    high: float | None
    judged: int
    subjects: int
    further: int | None
    cannot_tell: int


class Difference(BaseModel):
    """A target of which two readers say different things."""

    kind: Kind
    uid: str
    target: str
    words: str
    verdicts: tuple[str, str]
    comments: tuple[str | None, str | None]


class Agreement(BaseModel):
    """Two readers."""

    readers: tuple[str, str]
    both: int
    kappa: float | None
    differ: int
    differences: list[Difference]


class Rates(BaseModel):
    """What the verdicts say."""

    wrong: list[Line]
    checker: list[Line]
    agreements: list[Agreement]


@router.get("/next")
def waiting(
    request: Request,
    served: Served,
    reader: Annotated[str, Query(max_length=80)],
    kind: Kind = "caption",
    drawn: Drawn = "random",
) -> Next:
    """The next target that a reader has not judged."""
    queue: Queue = request.app.state.queue
    place = queue.next(reader, kind, drawn)
    found = item(served, kind, *place) if place else None
    return Next(item=found[0] if found else None, judged=len(served.reviews.judged_by(reader)))


@router.get("/item")
def one(served: Served, kind: Kind, uid: Annotated[str, _NAME], target: Annotated[str, _NAME]) -> Item:
    """A target by its name, to be judged again."""
    found = item(served, kind, uid, target)
    if found is None:
        raise NoSuchSampleError(_GONE)
    return found[0]


@router.get("/region")
def region(served: Served, uid: Annotated[str, _NAME], region_id: Annotated[str, _NAME]) -> Response:
    """A region in its picture, of a volume in the plane that shows most of it."""
    found = served.tables.rows("SELECT * FROM regions WHERE uid = ? AND region_id = ? LIMIT 1", uid, region_id)
    if not found:
        raise HTTPException(404)
    row = served.row(uid)
    with served.source(row) as source:
        data = region_picture(served.corpus, source, found[0], band_picture(row, None))
    return Response(data, media_type="image/jpeg")


@router.post("/verdicts")
def judge(served: Served, given: Given) -> Stored:
    """Store a verdict; it is on the disk when this is answered."""
    found = item(served, given.kind, given.uid, given.target)
    if found is None:
        raise NoSuchSampleError(_GONE)
    if given.claim is not None and (given.kind != "caption" or given.claim not in found[0].words):
        raise HTTPException(422)
    target = given.kind, given.uid, given.target
    drawn = served.reviews.drawn(given.reader, target) or given.drawn
    before = served.reviews.said(given.reader, target, given.claim)
    named = {"review_id": re.sub("-", "", given.review_id), "comment": given.comment or None, "drawn": drawn}
    served.reviews.add(found[1], {**given.model_dump(), **named}, served.row(given.uid)["subject"])
    return Stored(stored=True, replaced=None if before == given.verdict else before)


@router.get("/rates")
def rates(served: Served, width: Annotated[float, Query(ge=0.001, le=1)] = 0.1) -> Rates:
    """Error rates by kind, origin and concept, the checker against people, and the agreement of readers."""
    with served.tables.lent() as connection:
        found = figures(connection, served.reviews.latest(), width)
    return Rates(
        wrong=[_line(share) for share in found.wrong],
        checker=[_line(share) for share in found.checker],
        agreements=[_agreement(served, pair) for pair in found.pairs],
    )


def _line(share: Share) -> Line:
    return Line(kind=share.kind, name=share.name, cannot_tell=share.cannot_tell, **asdict(share.rate))


def _agreement(served: Served, pair: Pair) -> Agreement:
    shown = []
    for one in pair.differ[:_MOST_DIFFERENCES]:
        kind, uid, target = cast(tuple[Kind, str, str], one.target)
        if (found := item(served, kind, uid, target)) is not None:
            words, verdicts, comments = found[0].words, one.verdicts, one.comments
            shown.append(
                Difference(kind=kind, uid=uid, target=target, words=words, verdicts=verdicts, comments=comments)
            )
    return Agreement(readers=pair.readers, both=pair.both, kappa=pair.kappa, differ=len(pair.differ), differences=shown)
