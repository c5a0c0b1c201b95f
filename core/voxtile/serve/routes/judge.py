"""Judge captions: the next one, a verdict, and what the verdicts say."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict
from itertools import combinations
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from voxtile.corpus.reader import ROOT_COLUMN
from voxtile.serve.judging import next_caption
from voxtile.serve.reviews.rates import agreement, clustered_rate
from voxtile.serve.reviews.store import Drawn, Verdict
from voxtile.serve.routes import Served

router = APIRouter(prefix="/judge", tags=["judge"])
_READER = Field(min_length=1, max_length=80, pattern=r"^\S(.*\S)?$")
_OBJECTS = ("contradicted", "unsupported")
_MOST_READERS = 10


class Next(BaseModel):
    """A caption that waits; None where all are judged."""

    caption: dict[str, Any] | None
    judged: int


class Given(BaseModel):
    """A verdict. The page makes `review_id`, so that one which is sent twice is stored once."""

    model_config = ConfigDict(extra="forbid")
    review_id: str = Field(pattern=r"^[0-9a-f-]{32,36}$")
    caption_id: str = Field(max_length=200)
    verdict: Verdict
    reader: str = _READER
    drawn: Drawn
    claim: str | None = Field(None, max_length=2000)
    comment: str | None = Field(None, max_length=2000)


class Line(BaseModel):
    """A share with its interval."""

    name: str
    share: float
    low: float | None
    high: float | None
    judged: int
    subjects: int
    further: int | None


class Agreement(BaseModel):
    """Two readers."""

    readers: tuple[str, str]
    both: int
    kappa: float | None
    differ: list[str]


class Rates(BaseModel):
    """What the verdicts say; of captions that were drawn because the checker objects to them, nothing."""

    wrong: list[Line]
    checker: list[Line]
    agreements: list[Agreement]


@router.get("/next")
def waiting(
    served: Served,
    reader: Annotated[str, Query(max_length=80)],
    drawn: Drawn = "random",
    kind: Annotated[str | None, Query(max_length=40)] = None,
) -> Next:
    """The next caption that a reader has not judged."""
    found = next_caption(served, reader, drawn, kind)
    return Next(caption=asdict(found) if found else None, judged=len(served.reviews.judged_by(reader)))


@router.post("/verdicts")
def judge(served: Served, given: Given) -> dict[str, bool]:
    """Store a verdict; it is on the disk when this is answered."""
    found = served.tables.rows(
        f"SELECT uid, text, {ROOT_COLUMN} AS root FROM captions WHERE caption_id = ? LIMIT 1", given.caption_id
    )
    if not found:
        raise HTTPException(404)
    if given.claim is not None and given.claim not in found[0]["text"]:
        raise HTTPException(422)
    row = {
        "review_id": re.sub("-", "", given.review_id), "uid": found[0]["uid"], "kind": "caption",
        "target": given.caption_id, "claim": given.claim, "verdict": given.verdict,
        "comment": given.comment or None, "reader": given.reader, "drawn": given.drawn,
    }  # fmt: skip
    served.reviews.add(int(found[0]["root"]), row)
    return {"stored": True}


@router.get("/rates")
def rates(served: Served, width: Annotated[float, Query(gt=0, le=1)] = 0.1) -> Rates:
    """Error rates by kind and provider, the checker against people, and the agreement of readers."""
    rows = [row for row in served.reviews.latest() if row["claim"] is None]
    captions = _captions(served, sorted({row["target"] for row in rows}))
    told: dict[str, list[float]] = defaultdict(list)
    at_random = {row["target"] for row in rows if row["drawn"] == "random"}
    for row in rows:
        if row["verdict"] != "cannot tell" and row["drawn"] != "objected" and row["target"] in captions:
            told[row["target"]].append(float(row["verdict"] == "wrong"))
    wrong = {target: sum(values) / len(values) for target, values in told.items()}
    groups: dict[str, list[str]] = defaultdict(list)
    for target in wrong:
        if target in at_random:  # drawn in turn from each kind, captions do not tell of all
            groups["all"].append(target)
        groups[" · ".join(p for p in (captions[target]["kind"], captions[target]["origin"]) if p)].append(target)
    checked = [target for target in wrong if captions[target]["verdict"]]
    objected = {target: float(captions[target]["verdict"] in _OBJECTS) for target in checked}
    checker = {
        "recall: wrong captions that the checker objects to": [t for t in checked if wrong[t] > 0.5],
        "false alarms: right captions that the checker objects to": [t for t in checked if wrong[t] < 0.5],
    }
    return Rates(
        wrong=[_line(name, targets, wrong, captions, width) for name, targets in groups.items()],
        checker=[_line(name, targets, objected, captions, width) for name, targets in checker.items() if targets],
        agreements=_agreements(rows),
    )


def _line(
    name: str, targets: list[str], values: dict[str, float], captions: dict[str, dict[str, Any]], width: float
) -> Line:
    subjects = [captions[target]["subject"] for target in targets]
    return Line(name=name, **asdict(clustered_rate([values[target] for target in targets], subjects, width)))


def _captions(served: Served, targets: list[str]) -> dict[str, dict[str, Any]]:
    rows = served.tables.rows(
        """SELECT caption_id, c.kind, concat_ws(' ', provider, model) AS origin, verdict, s.subject
        FROM captions c LEFT JOIN judged USING (caption_id) JOIN samples s ON s.uid = c.uid AND s.corpus = c.corpus
        WHERE caption_id IN (SELECT unnest(?::VARCHAR[]))""",
        targets,
    )
    return {row["caption_id"]: row for row in rows}


def _agreements(rows: list[dict[str, Any]]) -> list[Agreement]:
    verdicts = {(row["reader"], row["target"]): row["verdict"] for row in rows}
    readers = sorted({reader for reader, _ in verdicts})[:_MOST_READERS]
    found = []
    for pair in combinations(readers, 2):
        both, kappa, differ = agreement(verdicts, pair)
        if both:
            found.append(Agreement(readers=pair, both=both, kappa=kappa, differ=differ))
    return found
