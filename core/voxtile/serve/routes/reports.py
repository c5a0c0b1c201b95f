"""Reports of `voxtile evaluate` and the cases behind their figures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from voxtile.serve.cards import Card, cards
from voxtile.serve.explored import Explored
from voxtile.serve.guard import REPORT_POLICY
from voxtile.serve.reports.report import Figure, Order, Report
from voxtile.serve.routes import Served

router = APIRouter(prefix="/reports", tags=["reports"])


class Listed(BaseModel):
    """One report; whether cases are kept behind its figures, and of which models."""

    number: int
    has_cases: bool
    has_page: bool
    models: list[str]
    figures: list[Figure]


class ShownCase(BaseModel):
    """A case with what its card says; `card` is null where the corpus does not hold the sample."""

    uid: str
    label: int
    score: float
    rank: float
    other_score: float | None
    other_rank: float | None
    card: Card | None


class Cases(BaseModel):
    """A page of cases, the worst first."""

    cases: list[ShownCase]
    offset: int
    total: int


@router.get("")
def reports(served: Served) -> list[Listed]:
    """The reports that were named with --report, with the figures of classes and their means."""
    return [
        Listed(number=number, has_cases=one.has_cases, has_page=one.has_page, models=one.models, figures=one.figures)
        for number, one in enumerate(served.reports)
    ]


@router.get("/{number}/cases")
def cases_behind(
    served: Served,
    number: int,
    task: str,
    model: str,
    name: Annotated[str, Query(alias="class")],
    order: Order = "false-positives",
    other: str | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
) -> Cases:
    """Cases behind a class's figure: false positives or negatives by confidence, or where two models disagree."""
    found = _report(served, number).cases(task, model, name, order, other)
    page = found[offset : offset + limit]
    there = served.known_uids([case.uid for case in page])
    numbers = [served.number(case.uid) for case, known in zip(page, there, strict=True) if known]
    shown = iter(cards(served, numbers))
    return Cases(
        cases=[
            ShownCase(**vars(case), card=next(shown) if known else None)
            for case, known in zip(page, there, strict=True)
        ],
        offset=offset,
        total=len(found),
    )


@router.get("/{number}/page")
def own_page(served: Served, number: int) -> HTMLResponse:
    """The report as `voxtile evaluate` wrote it, whose cases lead to their samples where this corpus holds them.

    What it says of where it comes from, with names of files, is left out.
    """
    report = _report(served, number)
    uids = report.named_cases()
    there = {uid for uid, known in zip(uids, served.known_uids(uids), strict=True) if known}
    content = report.page(lambda uid: f"/#/sample/{uid}" if uid in there else None)
    return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


def _report(served: Explored, number: int) -> Report:
    if not 0 <= number < len(served.reports):
        raise HTTPException(404)
    return served.reports[number]
