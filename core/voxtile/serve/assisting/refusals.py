"""What is not answered, in the form in which OpenAI's interface says so."""

from __future__ import annotations

from fastapi.responses import JSONResponse

PREFIX = "/v1/"
"""Of the addresses whose errors have this form."""

MOST_BYTES = 64 << 20
"""Of a request, in which images stand."""

_TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
_SAID = {
    401: "the token is missing, wrong or over; send the one that voxtile serve printed, as Authorization: Bearer",
    403: "the server does not answer to this address or this page; use the address that voxtile serve printed",
    404: "there is nothing at this address; there are /v1/chat/completions and /v1/models",
    405: "this address is not asked so; POST to /v1/chat/completions, GET /v1/models",
    413: "the request is larger than the server reads; send a smaller image, or name a sample of the corpus",
    414: "the address is longer than the server reads",
    500: "something went wrong in the server; its terminal says what",
}


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        message: one sentence for people; it names no file.
        status: of HTTP.
        code: a word for programs.
    """

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.status, self.code = message, status, code


def body_of(error: RefusedError) -> dict[str, object]:
    """As JSON."""
    kind = _TYPES.get(error.status, "invalid_request_error")
    return {"error": {"message": error.message, "type": kind, "param": None, "code": error.code}}


def refusal(error: RefusedError) -> JSONResponse:
    """An answer that says so."""
    headers = {"Retry-After": "2"} if error.status == 429 else None
    return JSONResponse(body_of(error), error.status, headers=headers)


def plain_refusal(status: int) -> JSONResponse:
    """An answer that says no more than its status does."""
    return refusal(RefusedError(_SAID.get(status, f"the server answers with status {status}"), status))
