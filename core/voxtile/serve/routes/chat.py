"""Chats about an image, as programs that know OpenAI's interface hold them, and what the page of a sample offers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from voxtile.assist.speaking.replies import WARNING
from voxtile.serve.assisting.chat_reply import Completion, chunks, completion
from voxtile.serve.assisting.chat_request import ChatRequest
from voxtile.serve.assisting.desk import MODEL, Desk
from voxtile.serve.assisting.refusals import MOST_BYTES, RefusedError
from voxtile.serve.explored import Explored

router = APIRouter(prefix="/v1", tags=["assistant"])
page_router = APIRouter(tags=["assistant"])
_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": ChatRequest.model_json_schema()}}}
}
_LEAST_OF_THE_PAGE = 0.35  # as of `voxtile ask`


class ListedModel(BaseModel):
    """The model."""

    id: str = MODEL
    object: str = "model"
    created: int
    owned_by: str = "voxtile"


class Models(BaseModel):
    """All of them: one."""

    object: str = "list"
    data: list[ListedModel]


class Offered(BaseModel):
    """What the page of a sample asks with."""

    model: str = MODEL
    report_question: str
    answers_questions: bool
    least: float = _LEAST_OF_THE_PAGE
    warning: str = WARNING


def _desk(request: Request) -> Desk:
    return cast(Desk, request.app.state.desk)


@router.get("/models")
def models(request: Request) -> Models:
    """The model that answers."""
    return Models(data=[ListedModel(created=_desk(request).began)])


@router.get("/models/{name}")
def model(request: Request, name: str) -> ListedModel:
    """The same, by its name."""
    if name != MODEL:
        raise RefusedError(f"there is no such model; there is {MODEL}", 404, "model_not_found")
    return ListedModel(created=_desk(request).began)


@router.post("/chat/completions", response_model=Completion, openapi_extra=_BODY)
async def chat(request: Request) -> Any:  # noqa: ANN401 - whole, or a stream
    """Answer the last question of a dialogue about the image in its first message.

    The image is `data:…;base64,…` of a PNG, JPEG, WebP, DICOM, NIfTI or TIFF file, or `voxtile:` and the uid of a
    sample of the corpus; nothing is fetched. With `stream` the answer comes as server-sent events.
    """
    desk = _desk(request)
    explored = cast("Explored | None", getattr(request.app.state, "explored", None))
    with ExitStack() as stack:
        stack.enter_context(desk.place())
        with desk.held(int(request.headers.get("content-length", MOST_BYTES))):  # of any length where it says none
            read = await desk.read(await _body(request))
            answering = await desk.ask(read, explored)
        stack.callback(answering.leave)
        least = read.least or 0.0
        if read.stream:
            usage = read.stream_options is not None and read.stream_options.include_usage
            return _Stream(chunks(answering, least, include_usage=usage), stack.pop_all())
        written = await _while_somebody_waits(request, asyncio.ensure_future(answering.whole()))
        if written is None:
            return Response()
        return JSONResponse(completion(written, least, await answering.notes(written, least)).model_dump())


@page_router.get("/assistant")
def offered(request: Request) -> Offered | None:
    """What the assistant offers on the page of a sample; null where there is none."""
    desk: Desk | None = request.app.state.desk
    if desk is None:
        return None
    answering = desk.assistant.answering
    return Offered(report_question=answering.findings_question, answers_questions=answering.answers_questions)


class _Stream(StreamingResponse):
    """Server-sent events, while the request keeps its place.

    Args:
        events: to send.
        stack: closed when they were sent, or nobody waits for them any more.
    """

    def __init__(self, events: AsyncIterator[str], stack: ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stack:
            await super().__call__(scope, receive, send)


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:  # the guard cuts what is too long
        raise RefusedError("the request is larger than the server reads; send a smaller image", 413) from None


async def _while_somebody_waits(request: Request, work: asyncio.Task[Any]) -> Any:  # noqa: ANN401
    """What the work gives; None, and no more work, where the caller has gone."""
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        gone.cancel()
        work.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
