"""The application: routes, the built pages, and what errors say to a viewer."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from voxtile.errors import ConfigError, CorpusError, MissingExtraError, PresetError
from voxtile.serve.access import Access
from voxtile.serve.assisting.desk import Desk
from voxtile.serve.assisting.refusals import PREFIX, RefusedError, plain_refusal, refusal
from voxtile.serve.explored import Explored, NoSuchSampleError
from voxtile.serve.guard import Guard
from voxtile.serve.judging.queue import Queue
from voxtile.serve.routes import (
    alike,
    chat,
    companions,
    corpus,
    dropped,
    images,
    judge,
    map_tiles,
    model,
    pictures,
    reports,
    samples,
    session,
    slides,
)

_DAMAGED = (
    "this sample cannot be read: the corpus may be changing, or not be in its place; try again in some seconds, and if "
    "it stays so, run 'voxtile verify' on the corpus"
)


_OF_A_CORPUS = (
    corpus, samples, alike, images, pictures, map_tiles, slides, companions, model, reports, dropped, judge
)  # fmt: skip


def application(
    explored: Explored | None, access: Access, pages: Path | None = None, desk: Desk | None = None
) -> FastAPI:
    """What answers requests.

    Args:
        explored: the corpus; None where an assistant alone is served.
        access: who may ask.
        pages: folder of the built pages, of a corpus.
        desk: the assistant, where there is one.
    """
    app = FastAPI(title="voxtile", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.access, app.state.desk = access, desk
    app.include_router(session.router, prefix="/api")
    app.include_router(chat.page_router, prefix="/api")
    if desk is not None:
        app.include_router(chat.router)
    if explored is not None:
        serve_from_now_on(app, explored)
        for routes in _OF_A_CORPUS:
            app.include_router(routes.router, prefix="/api")
    if pages is not None:
        app.mount("/", StaticFiles(directory=pages, html=True))
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(ConfigError, _said)
    app.add_exception_handler(PresetError, _said)
    app.add_exception_handler(MissingExtraError, _said)
    app.add_exception_handler(NoSuchSampleError, _absent)
    app.add_exception_handler(CorpusError, _damaged)
    app.add_exception_handler(OSError, _damaged)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _defect)
    app.add_middleware(Guard, access=access)
    return app


def serve_from_now_on(app: FastAPI, explored: Explored) -> None:
    """Have requests that are to come answered of a corpus; those that have begun end with the one before."""
    app.state.explored = explored
    app.state.queue = Queue(explored)


def _said(_: Request, error: Exception) -> Response:
    """What the viewer asked for cannot be, in the words of the command line; they name no file."""
    return JSONResponse({"error": str(error).encode(errors="backslashreplace").decode()}, 422)


def _absent(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _damaged(_: Request, __: Exception) -> Response:
    """Messages of readers name files, which never leave."""
    return JSONResponse({"error": _DAMAGED}, 500)


def _malformed(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "the request has another form than the interface"}, 422)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal(error)


def _plain(request: Request, error: Exception) -> Response:
    status = int(getattr(error, "status_code", 500))
    return plain_refusal(status) if request.url.path.startswith(PREFIX) else Response(status_code=status)


def _defect(request: Request, _: Exception) -> Response:
    if request.url.path.startswith(PREFIX):
        return plain_refusal(500)
    return JSONResponse({"error": "something went wrong in the server; its terminal says what"}, 500)
