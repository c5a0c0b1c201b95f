"""S3 servers on this machine, and a proxy before them that is slow and fails as networks do."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# What moto, which checks no signature, takes for one.
_SCOPE = b"Credential=A/20230101/us-east-1/s3/aws4_request"
SOMEBODY = b"authorization: AWS4-HMAC-SHA256 %s, SignedHeaders=host, Signature=0" % _SCOPE
KEY, SECRET, BUCKET = "S3RVER", "S3RVER", "data"  # the keys that s3rver knows


@dataclass
class S3Server:
    """A server that runs.

    Attributes:
        kind: `s3rver` (npm; checks signatures) or `moto` (pip; also a web server of what is public).
        url: its endpoint.
    """

    kind: str
    url: str

    @property
    def client(self):
        """A client of another library, by which tests put objects there."""
        import boto3
        from botocore.config import Config

        # Checksums of newer clients are more than s3rver knows.
        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, config=config, **keys)

    def upload(self, folder: Path, prefix: str) -> None:
        """Put all files of a folder under a prefix of the bucket."""
        client = self.client
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), ACL="public-read")

    def environment(self, url: str | None = None) -> dict[str, str]:
        """What a user sets to reach it, or a proxy before it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url or self.url,
        }


def has_server(kind: str) -> bool:
    """Whether a kind of server is installed."""
    if kind == "s3rver":
        return shutil.which(kind) is not None
    try:
        import flask_cors  # noqa: F401
        import moto.server  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def s3_server(kind: str, folder: Path):
    """Run a server with an empty bucket."""
    port = _free_port()
    if kind == "s3rver":
        command = ["s3rver", "-d", str(folder), "-a", "127.0.0.1", "-p", str(port), "--silent"]
    else:
        command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        server = S3Server(kind, f"http://127.0.0.1:{port}")
        server.client.create_bucket(Bucket=BUCKET)
        yield server
    finally:
        process.kill()
        process.wait()


@dataclass
class Proxy:
    """Passes requests on, late and not always.

    Attributes:
        upstream: host and port of the server.
        latency: seconds before each request is passed on.
        faults: what some requests meet, by turns: `reset` (the connection ends), `503`, `cut` (half of the body).
        share: of the requests that meet a fault.
        answer: gets the path of a request and gives an answer of its own, or None to pass it on.
        answer_put: the same for each request that writes.
        google: requests are of Google's store, with an empty token, and the server is one of S3.
        requests: number of those that came, faults among them.
        failed: number of those that met a fault.
        paths: of the requests, in order.
        keys: names of the access keys that signed them, in order, each once in a row.
    """

    upstream: tuple[str, int]
    latency: float = 0.0
    faults: tuple[str, ...] = ()
    share: float = 0.0
    answer: Callable[[str], bytes | None] | None = None
    answer_put: Callable[[], bytes | None] | None = None
    google: bool = False
    requests: int = 0
    failed: int = 0
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""

    def _fault(self) -> str | None:
        if not self.faults or self._random.random() >= self.share:
            return None
        self.failed += 1
        return self.faults[self.failed % len(self.faults)]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b""
            self.requests += 1
            self.paths.append(path := head.split(b" ", 2)[1].decode())
            if (key := head.partition(b"Credential=")[2].partition(b"/")[0].decode()) != "".join(self.keys[-1:]):
                self.keys.append(key)
            await asyncio.sleep(self.latency)
            fault = self._fault()
            own = self.answer(path) if self.answer is not None else None
            if head.startswith(b"PUT") and self.answer_put is not None:
                own = self.answer_put()
            if own is not None:
                writer.write(own)
            elif fault == "503":
                writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif fault != "reset":
                await self._pass_on(head, body, writer, cut=fault == "cut")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter, *, cut: bool) -> None:
        # The server closes after its answer, and so does this: one request a connection.
        if self.google:
            # Google's name for the condition that S3 calls If-None-Match; the XML interfaces are otherwise alike.
            head = head.replace(b"x-goog-if-generation-match: 0\r\n", b"if-none-match: *\r\n")
            head = head.replace(b"authorization: Bearer \r\n", b"")
            head = head.replace(b"\r\n\r\n", b"\r\n%s\r\n\r\n" % SOMEBODY)
        upstream_reader, upstream = await asyncio.open_connection(*self.upstream)
        upstream.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        answer = await upstream_reader.read()
        upstream.close()
        headers, _, content = answer.partition(b"\r\n\r\n")
        if b"\r\nconnection: close" not in headers.lower():
            headers += b"\r\nConnection: close"
        writer.write(headers + b"\r\n\r\n" + (content[: len(content) // 2] if cut else content))

    def __enter__(self) -> "Proxy":
        self._random, started = random.Random(0), threading.Event()
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"

        async def serve() -> None:
            self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
            async with await asyncio.start_server(self._talk, "127.0.0.1", port):
                started.set()
                await self._end.wait()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def answer(status: bytes, body: bytes) -> bytes:
    """What a store says, as a proxy may say it in its place."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


def pixels(corpus):
    """The values of all samples, by uid."""
    return {row["uid"]: corpus.source(row).array() for row in corpus.table("samples").to_pylist()}


def assert_same(found, wanted) -> None:
    """Two sets of arrays by name are equal."""
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert np.array_equal(found[name], wanted[name]), name


def proxy(server: S3Server, **options) -> Proxy:
    """A proxy before a server."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    return Proxy((host, int(port)), **options)


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server does not start; {os.fspath(process.args[0])} ended with {process.poll()}")
