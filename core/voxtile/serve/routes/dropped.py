"""Inputs that became no sample, and parts of others: what the ledger says of them, without their names."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from voxtile.serve.routes import Served

router = APIRouter(tags=["corpus"])
_A_PAGE = 100


class Reason(BaseModel):
    """Why inputs became no sample, and why parts of others did not: or what is noted of these."""

    status: str
    reason: str
    error_class: str | None
    inputs: int
    parts: int


class DroppedInput(BaseModel):
    """One input, or a part of one that was used; `uid` where it is known as which sample it would be."""

    status: str
    reason: str
    error_class: str | None
    attempt: int
    uid: str | None
    is_part: bool
    is_sample: bool


class Dropped(BaseModel):
    """Reasons, the most frequent first, and a page of the rows of the ledger behind them; `total` counts these."""

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
            "SELECT status, coalesce(reason, status) AS reason, error_class, "
            "count(DISTINCT input) FILTER (NOT is_part) AS inputs, count(*) FILTER (is_part) AS parts "
            "FROM stored_ledger WHERE status <> 'used' GROUP BY 1, 2, 3 ORDER BY inputs DESC, parts DESC, 2, 1"
        )
    ]
    of_reason = "FROM stored_ledger WHERE status <> 'used' AND (?::VARCHAR IS NULL OR coalesce(reason, status) = ?)"
    rows = served.tables.rows(
        f"SELECT status, coalesce(reason, status) AS reason, error_class, attempt, uid, is_part {of_reason} "
        f"ORDER BY is_part, status, reason, error_class, attempt, uid LIMIT {_A_PAGE} OFFSET ?",
        reason, reason, offset,
    )  # fmt: skip
    there = served.known_uids([row["uid"] for row in rows])
    used = served.tables.rows("SELECT count(DISTINCT input) AS n FROM stored_ledger WHERE status = 'used'")
    return Dropped(
        used=int(used[0]["n"]),
        reasons=reasons,
        inputs=[DroppedInput(**row, is_sample=known) for row, known in zip(rows, there, strict=True)],
        offset=offset,
        total=int(served.tables.rows(f"SELECT count(*) AS n {of_reason}", reason, reason)[0]["n"]),
    )
