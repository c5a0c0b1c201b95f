"""One HTTP session to an endpoint: connections are kept, replies are bounded, and the key is kept out of sight."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from voxtile.errors import required

with required("aiohttp", "llm"):
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

from voxtile_datasets.captions.providers.http.refusals import TryError

LONGEST_REPLY = 4 << 20  # bytes


@dataclass(frozen=True)
class Answered:
    """A whole HTTP reply.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        body: bytes, as they came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Request(aiohttp.ClientRequest):
    """Refuses a kept connection on which something came unasked: it would be taken for the next request's reply."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if conn.protocol is not None and conn.protocol.should_close:
            conn.close()
            raise StaleConnectionError
        return await super().send(conn)


class _Response(aiohttp.ClientResponse):
    """Remembers on which connection it came, also after that is given back."""

    came_on: ResponseHandler | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        self.came_on = connection.protocol
        return await super().start(connection)


class StaleConnectionError(aiohttp.ClientConnectionError):
    """A kept connection held bytes that nobody asked for; nothing was sent on it."""


class Connection:
    """Sends bodies to an endpoint.

    Attributes:
        base_url: its address.
        concurrency: connections at most.
        timeout_s: of a whole request.
    """

    def __init__(self, base_url: str, *, key_variable: str, concurrency: int, timeout_s: float) -> None:
        self.base_url, self.concurrency, self.timeout_s = base_url, concurrency, timeout_s
        self._key_variable = key_variable
        self._session: aiohttp.ClientSession | None = None
        self._last: WeakKeyDictionary[ResponseHandler, int] = WeakKeyDictionary()
        self._doubted: set[int] = set()
        self._repeats = False  # the endpoint says the same to everything, as one for tests may

    @property
    def key(self) -> str:
        """The key, read from the environment each time; it is kept nowhere."""
        return os.environ.get(self._key_variable, "").strip()

    async def post(self, path: str, body: bytes) -> Answered:
        """Send a JSON body.

        Raises:
            TryError: no whole reply came.
        """
        return await self._exchange("POST", path, body)

    async def get(self, path: str) -> Answered:
        """Fetch a resource.

        Raises:
            TryError: no whole reply came.
        """
        return await self._exchange("GET", path, None)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def hide_key(self, text: str) -> str:
        """A text of the endpoint's with the key taken out, should it be there."""
        key = self.key
        return text.replace(key, "[key]") if len(key) >= 8 else text

    async def _exchange(self, method: str, path: str, body: bytes | None) -> Answered:
        if self._session is None:
            self._session = self._opened()
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else None
        try:
            async with self._session.request(
                method, self.base_url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                data = await _bounded(response)
                self._refuse_duplicate(response, data)
                return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, data)
        except StaleConnectionError:
            return await self._exchange(method, path, body)
        except aiohttp.ClientConnectorError as error:
            why = "no such host" if isinstance(error.os_error, socket.gaierror) else "connection refused"
            raise TryError("unreachable", why) from error
        except TimeoutError as error:
            raise TryError("timeout", f"no reply within {self.timeout_s:g} s", factor=0.7, lost=True) from error
        except aiohttp.ClientPayloadError as error:
            raise TryError("connection-lost", "the connection broke within the reply", lost=True) from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise TryError("connection-lost", f"the connection broke ({type(error).__name__})") from error

    def _refuse_duplicate(self, response: aiohttp.ClientResponse, data: bytes) -> None:
        """Refuse the last reply of this connection come again, to a letter: the reply to this request is behind it."""
        protocol = response.came_on if isinstance(response, _Response) else None
        if self._repeats or protocol is None or b'"id"' not in data:
            return
        said = hash(data)
        if self._last.get(protocol) == said:
            self._repeats = said in self._doubted
            self._doubted.add(said)
            if not self._repeats:
                protocol.close()
                raise TryError("duplicate", "an earlier reply came again", lost=True)
        self._last[protocol] = said

    def _opened(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.concurrency, keepalive_timeout=60.0),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=min(10.0, self.timeout_s)),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            request_class=_Request,
            response_class=_Response,
            auto_decompress=False,  # a small body must not become a large one
            cookie_jar=aiohttp.DummyCookieJar(),
        )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, or a refusal once it is too large."""
    too_large = TryError("too-large", f"the reply is larger than {LONGEST_REPLY >> 20} MiB", lost=True)
    if (response.content_length or 0) > LONGEST_REPLY:
        response.close()
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > LONGEST_REPLY:
            response.close()
            raise too_large
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
