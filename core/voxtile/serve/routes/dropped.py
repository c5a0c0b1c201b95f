"""Inputs that became no sample: what the ledger says of them, without their names."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from voxtile.serve.routes import Served

router = APIRouter(tags=["corpus"])
_A_PAGE = 100


class Reason(BaseModel):
    """Why inputs became no sample."""

    status: str
    reason: str
    error_class: str | None
    inputs: int


class DroppedInput(BaseModel):
    """One input or a part of it; `uid` where it is known as which sample it would be."""

    status: str
    reason: str
    error_class: str | None
    attempt: int
    uid: str | None
    is_sample: bool


class Dropped(BaseModel):
    """Reasons, the most frequent first, and a page of inputs."""

    used: int
    reasons: list[Reason]
    inputs: list[DroppedInput]
    offset: int
    total: int


@router.get("/dropped")
def dropped(
    served: Served,
    reason: Annotated[str | None, Query(max_length=200)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Dropped:
    """What the last attempt said of inputs that were dropped or failed; names of files never leave."""
    reasons = [
        Reason(**row)
        for row in served.tables.rows(
            "SELECT status, coalesce(reason, status) AS reason, error_class, count(*) AS inputs FROM ledger "
            "WHERE status <> 'used' GROUP BY ALL ORDER BY inputs DESC, reason, status"
        )
    ]
    rows = served.tables.rows(
        "SELECT status, coalesce(reason, status) AS reason, error_class, attempt, uid FROM ledger "
        "WHERE status <> 'used' AND (?::VARCHAR IS NULL OR coalesce(reason, status) = ?) "
        f"ORDER BY ALL LIMIT {_A_PAGE} OFFSET ?",
        reason, reason, offset,
    )  # fmt: skip
    there = served.known_uids([row["uid"] for row in rows])
    return Dropped(
        used=int(served.tables.rows("SELECT count(*) AS n FROM ledger WHERE status = 'used'")[0]["n"]),
        reasons=reasons,
        inputs=[DroppedInput(**row, is_sample=known) for row, known in zip(rows, there, strict=True)],
        offset=offset,
        total=sum(one.inputs for one in reasons if reason is None or one.reason == reason),
    )
