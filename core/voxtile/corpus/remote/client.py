"""Asking the fetcher: it is started by the first process that needs it, and found by those that come of it."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from voxtile.corpus.remote.address import Address
from voxtile.errors import CorpusError, MissingExtraError, StoreError

SOCKET_VARIABLE = "VOXTILE_FETCHER"  # set for the processes that this one starts
_PATIENCE_S = 60.0  # until a fetcher answers, on a machine that is busy
_START = "import sys; sys.path[:] = sys.argv[2:]; from voxtile.corpus.remote.fetcher import main; main()"

_here = threading.local()
_starting = threading.Lock()


def fetch_header(address: Address) -> Path:
    """Have `corpus.json` of a remote corpus in its mirror.

    Returns:
        The mirror's folder.

    Raises:
        StoreError: there is no corpus, or it cannot be reached.
    """
    return Path(str(_ask({"do": "header", "url": address.url})["root"]))


def synchronise(address: Address, *, anew: bool = False) -> Path:
    """Have all tables and records of a remote corpus in its mirror; once a run, or as they are now.

    Raises:
        StoreError: the corpus cannot be reached, or is damaged.
    """
    return Path(str(_ask({"do": "open", "url": address.url, "anew": anew})["root"]))


def fetch_view(root: Path, names: Sequence[str]) -> None:
    """Have a curated view in the mirror of a corpus on a web server, if it is there.

    Args:
        root: of the mirror.
        names: files of the view, of which the first must be there.

    Raises:
        StoreError: the server does not answer.
    """
    _ask({"do": "view", "root": str(root), "names": names})


def fill(root: Path, name: str, ranges: Sequence[tuple[int, int]], *, follow: bool = True) -> None:
    """Have ranges of a shard in the cache; returns when they are there.

    Args:
        root: of the mirror.
        name: of the shard.
        ranges: first byte and the one behind the last, of each.
        follow: read on behind them where the shard is read in order.

    Raises:
        StoreError: they cannot be read.
    """
    _ask({"do": "fill", "root": str(root), "ranges": {name: ranges}, "follow": follow})


def read_ahead(root: Path, ranges: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Say what will be read soon; returns at once, and what cannot be read is told to who needs it.

    Args:
        root: of the mirror.
        ranges: of each shard, by its name.
    """
    _ask({"do": "ahead", "root": str(root), "ranges": ranges})


def stored_names(address: Address) -> set[str]:
    """Names of all objects under an address.

    Raises:
        StoreError: the store refuses or does not answer.
    """
    return set(_ask({"do": "list", "url": address.url})["names"])


def create(address: Address, name: str, path: Path) -> bool:
    """Put a file under an address where there is no object of that name; whether it was put.

    Raises:
        StoreError: the store refuses, does not answer, or knows no conditional put.
    """
    return bool(_ask({"do": "create", "url": address.url, "name": name, "path": str(path.absolute())})["created"])


def stored_digest(address: Address, name: str) -> str | None:
    """Sha-256 of an object, which is read for it; None where there is none.

    Raises:
        StoreError: the store refuses or does not answer.
    """
    found = _ask({"do": "digest", "url": address.url, "name": name})["sha256"]
    return None if found is None else str(found)


def fetch_object(url: str, record: Mapping[str, Any]) -> Path:
    """Have a copy of an object in the cache.

    Args:
        url: of the object.
        record: `bytes`, `edges` and `sha256` of what it must be, or its first digits; None for what is not known.

    Returns:
        The copy, which stays until the cache needs its room.

    Raises:
        CorpusError: there is no such object, or it is another one.
        StoreError: it cannot be read, or is more than the cache may hold.
    """
    answer = _ask({"do": "object", "url": url, "record": record})
    if "refused" in answer:
        raise CorpusError(str(answer["refused"]))
    return Path(str(answer["path"]))


def leave_fetcher() -> None:
    """Let the next question start a fetcher of its own, which has the environment of then and knows no corpus yet."""
    os.environ.pop(SOCKET_VARIABLE, None)
    _here.__dict__.clear()


def _ask(request: Mapping[str, Any]) -> dict[str, Any]:
    line = json.dumps(request).encode() + b"\n"
    for last in (False, True):
        try:
            stream = _connected()
            stream.write(line)
            stream.flush()
            reply = stream.readline()
            if not reply.endswith(b"\n"):
                raise ConnectionError("the fetcher is gone")
        except OSError as error:
            _here.__dict__.clear()
            if last:
                raise StoreError(
                    "the process that reads remote corpora ended; run the same command again, and see whether the "
                    "machine has memory left and the store does not say that it sends more than there can be"
                ) from error
        else:
            answer: dict[str, Any] = json.loads(reply)
            if "error" in answer:
                raise StoreError(str(answer["error"]))
            return answer
    raise AssertionError


def _connected() -> Any:  # noqa: ANN401 - the file of a socket
    """A connection of this thread of this process: one that was forked off must not speak on its parent's."""
    if getattr(_here, "pid", None) != os.getpid():
        _here.pid = os.getpid()
        _here.stream = _connect()
    return _here.stream


def _connect() -> Any:  # noqa: ANN401
    with _starting:
        path = os.environ.get(SOCKET_VARIABLE)
        if path:
            with suppress(OSError):
                return _opened(path)
        return _opened(_start())


def _opened(path: str) -> Any:  # noqa: ANN401
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
        return connection.makefile("rwb")
    finally:
        connection.close()  # the file keeps it open


def _start() -> str:
    """Start a fetcher and wait until it listens."""
    if importlib.util.find_spec("obstore") is None:
        raise MissingExtraError("obstore", "remote")
    folder = tempfile.mkdtemp(prefix="voxtile-fetcher-")  # mode 0700
    path = os.path.join(folder, "socket")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START, path, *sys.path], stdin=subprocess.PIPE, start_new_session=True
    )
    atexit.register(_end, process, folder, os.getpid())
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            _opened(path).close()
            os.environ[SOCKET_VARIABLE] = path
            return path
        time.sleep(0.01)
    raise StoreError("the process that reads remote corpora does not start; see what it said above")


def _end(process: subprocess.Popen[bytes], folder: str, owner: int) -> None:
    if os.getpid() != owner:
        return
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)
