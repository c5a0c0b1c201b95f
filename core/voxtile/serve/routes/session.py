"""The token, exchanged for a cookie."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from voxtile.serve.access import Access

router = APIRouter(tags=["session"])


class Token(BaseModel):
    """What the viewer was given."""

    token: str = Field(max_length=512)


class Session(BaseModel):
    """Whether the viewer is known, and for how long."""

    known: bool
    remaining_s: int | None


@router.get("/session")
def session(request: Request) -> Session:
    """Whether a token is needed before anything else is answered."""
    access: Access = request.app.state.access
    if not access.token:
        return Session(known=True, remaining_s=None)
    known = access.knows_session(request.cookies.get(access.cookie(request.headers.get("host", "")), ""))
    return Session(known=known, remaining_s=access.remaining_s if known else None)


@router.post("/session")
async def begin(request: Request, response: Response, given: Token) -> Session:
    """Exchange the token for a cookie that scripts cannot read and other sites do not send."""
    access: Access = request.app.state.access
    if not access.token:
        return Session(known=True, remaining_s=None)
    if not access.knows_token(given.token):
        await asyncio.sleep(access.after_wrong_s)
        raise HTTPException(401)
    name = access.cookie(request.headers.get("host", ""))
    response.set_cookie(name, access.session, max_age=access.remaining_s, httponly=True, samesite="strict")
    return Session(known=True, remaining_s=access.remaining_s)
