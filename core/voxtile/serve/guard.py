"""What stands before every request: its host, its origin, its size and its token; and the headers of every answer.

A page of another site can make a browser send requests to this server. It is refused by the header `Host` (a name of
another site that leads here), by `Origin` and `Sec-Fetch-Site` (a request from another site's page), and cannot read
what it did not get.
"""

from __future__ import annotations

import asyncio
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxtile.serve.access import Access
from voxtile.serve.assisting.refusals import MOST_BYTES, PREFIX, plain_refusal

MOST_BODY = 64 * 1024
"""Bytes of a request, images and chats apart."""

_MOST_IMAGE = 256 << 20  # bytes of an image that is searched by, which goes to a file piece by piece
_IMAGES = "/api/images"
_CHATS = PREFIX + "chat/completions"  # whose images stand in the request
_MOST_ADDRESS = 8 * 1024
_DIGITS = 18  # of a length; Python makes no number of 5,000
_PROTECTED, _SESSION = ("/api/", PREFIX), "/api/session"
# Scripts and styles are files of this server alone. NiiVue decodes in workers that it makes of its own text, holds its
# letters as data, and sets styles by CSSOM, which needs no exception. The hash is that of an empty style, by which the
# page keeps OpenSeadragon from writing one.
_NO_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", f"style-src 'self' {_NO_STYLE}", "img-src 'self' data: blob:",
        "font-src 'self'", "connect-src 'self' data: blob:", "worker-src 'self' blob:", "base-uri 'none'",
        "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
REPORT_POLICY = "; ".join(
    ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "base-uri 'none'", "form-action 'none'",
     "frame-ancestors 'none'")
)  # fmt: skip
"""Of a report's own page, which holds its styles and pictures, and has no script."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware.

    Args:
        app: what answers.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it without saying more than its status."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no sockets are spoken
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        status = self._refused(scope, headers)
        if status:
            if status == 401 and "authorization" in headers:
                await asyncio.sleep(self._access.after_wrong_s)
            of_chats = str(scope["path"]).startswith(PREFIX)
            answer = plain_refusal(status) if of_chats else PlainTextResponse("", status)
            await answer(scope, receive, _with_headers(send))
            return
        await self._app(scope, _limited(receive, most_body(scope)), _with_headers(send))

    def _refused(self, scope: Scope, headers: Headers) -> int:
        """Status of a refusal; 0 where the request may pass."""
        if headers.get("host", "").lower() not in self._access.hosts or not self._is_own(scope, headers):
            return 403
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_ADDRESS:
            return 414
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > _DIGITS or int(length) > most_body(scope):
            return 413
        path = str(scope["path"])
        if self._access.token and path.startswith(_PROTECTED) and path != _SESSION and not self._is_known(headers):
            return 401
        return 0

    def _is_own(self, scope: Scope, headers: Headers) -> bool:
        """The request comes from a page of this server, or from no page at all."""
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"  # a link that leads here
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # a bracket that is left open
            return False
        return parts.netloc.lower() == headers.get("host", "").lower() and parts.scheme in ("http", "https")

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._access.knows_token(given.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._access.cookie(headers.get("host", "")))
        except CookieError:
            return False
        return cookie is not None and self._access.knows_session(cookie.value)


def most_body(scope: Scope) -> int:
    """Bytes that the body of a request may have."""
    if scope["method"] != "POST":
        return MOST_BODY
    return {_IMAGES: _MOST_IMAGE, _CHATS: MOST_BYTES}.get(str(scope["path"]), MOST_BODY)


def _limited(receive: Receive, most: int) -> Receive:
    """The body, cut where it is longer than it said: a length is not needed to send one."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > most else message

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_report = headers.get("Content-Security-Policy") == REPORT_POLICY
            for name, value in _HEADERS.items():
                headers[name] = REPORT_POLICY if is_report and name == "Content-Security-Policy" else value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
