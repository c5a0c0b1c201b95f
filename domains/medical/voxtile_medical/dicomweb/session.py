"""HTTP to one DICOMweb server: no way to another one, and no answer without an end in bytes or in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

MOST_BYTES = 1 << 28  # of an answer that is read whole, unpacked: a page of 500 rows has under one million
PIECE = 1 << 16  # bytes; small, since gzip may make a thousand times as many of them before anybody looks
PATIENCE_S = 300.0  # for the head of an answer, and for each piece: 220 bytes a second is no archive
_MOST_PACKED = 50  # times what came over the network; DICOM packs to a third, and "identity" is what is asked for
_SMALL = 1 << 28  # bytes that an answer may unpack to, whatever it was


class EndlessAnswerError(Exception):
    """The answer is too large or too slow to be one; the text goes on after "the server …, asked for …,"."""


class BoundedSession(requests.Session):
    """A session that asks the host it was told, and nobody whom that names: it would get what is asked or stored."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("http://", _WatchedAdapter())
        self.mount("https://", _WatchedAdapter())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as there
        """Send a request; an answer that is not read in pieces is read within the bound.

        Raises:
            requests.TooManyRedirects: the answer sends it to another address.
            EndlessAnswerError: the answer is larger, or comes too slowly.
        """
        answer = super().send(request, **kwargs | {"stream": True, "allow_redirects": False})
        if answer.is_redirect:
            answer.close()
            parts = urlsplit(answer.headers["location"])
            where = f"{parts.scheme}://{parts.netloc}" if parts.netloc else "another path"
            raise requests.TooManyRedirects(f"sends it on to {where[:200]}; where that is right, give its address")
        if not kwargs.get("stream"):
            answer._content = b"".join(pieces(answer, MOST_BYTES, "ask for less with --query"))
        return answer


def pieces(answer: requests.Response, most: int, instead: str) -> Iterator[bytes]:
    """The body of an answer, unpacked, as it arrives.

    Args:
        answer: of a request with `stream=True`.
        most: bytes that it may have.
        instead: what to do where it has more, for the sentence.

    Raises:
        EndlessAnswerError: it has more, unpacks to many times what was sent, or a piece does not come in time.
    """
    size = 0
    connection = answer.raw.connection  # None once the body is there
    with _Watch(getattr(connection, "watched", None)) as watch:
        for piece in answer.iter_content(PIECE):
            watch.came()
            size += len(piece)
            bound = f"{most >> 20:,} MiB"
            if size > max(_SMALL, _MOST_PACKED * answer.raw.tell()):
                bound, instead = f"{_MOST_PACKED} times its packed size", "have its administrator turn compression off"
            elif size <= most:
                yield piece
                watch.came()  # whoever took it may have waited for the disk
                continue
            answer.close()
            raise EndlessAnswerError(f"sent more than {bound}; {instead}")


class _Watch:
    """Ends a connection on which what is waited for does not come; reading it ends then, too.

    The time limits of requests are of single reads, so that a byte now and then goes on for years.
    """

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection
        self._over = threading.Event()
        self._late = False
        self.came()

    def came(self) -> None:
        """Something came; begin to wait anew."""
        self._until = time.monotonic() + PATIENCE_S

    def __enter__(self) -> _Watch:
        if self._connection is not None:
            threading.Thread(target=self._wait, args=(self._connection,), daemon=True).start()
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self._over.set()
        if self._late and not isinstance(error, EndlessAnswerError | GeneratorExit):
            raise EndlessAnswerError(
                f"sent less than {PIECE >> 10} KiB in {PATIENCE_S / 60:.0f} minutes; ask its administrator, or run the "
                "same command again later"
            ) from None

    def _wait(self, connection: socket.socket) -> None:
        while (left := self._until - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self._late = True
        try:
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TLS, too, below what its reader holds
        except OSError:
            return  # it is closed already


class _Watched(HTTPConnection):
    watched: socket.socket | None = None

    def getresponse(self) -> Any:  # noqa: ANN401 - of this or the release before
        """The head of an answer; what was sent before may have taken its time."""
        self.watched = self.sock
        with _Watch(self.sock):
            return super().getresponse()


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolTls(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class _WatchedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as there
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTls}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as there
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTls}
        return manager
