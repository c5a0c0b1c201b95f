"""Requests to a store, by obstore: what is asked again, and what a refusal means to the user."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import GCSStore, HTTPStore, S3Store

from voxtile.corpus.drafts import seconds_given
from voxtile.corpus.remote.address import LOOPBACK, Address, endpoint_of, endpoint_variables
from voxtile.corpus.remote.endless import TooSlowError, ending
from voxtile.corpus.remote.objects import Identity, identity_of, identity_unknown
from voxtile.errors import CorpusError

PATIENCE_VARIABLE = "VOXTILE_REMOTE_PATIENCE_S"
MOST_OBJECTS = 10_000_000  # under an address: a million jobs have some seven million
ATTEMPTS = 6  # of one request, beside those that obstore makes again itself
_PATIENCE_S = 180.0  # for a store that has answered before; one that never did is more likely a wrong address
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_PART_BYTES = 32 << 20  # of an object that is read in one piece; what is larger is read in parts
_ANSWER_S, _SLOWEST_READ = 120, 8_000  # seconds of a request that reads, and bytes per second that add to them
_PAGE = 1000  # objects of a list that are handed on at once, as many as a page of S3 has
_PAGE_S = 300  # until the next ones: a store may send empty pages without end
_PAGE_BYTES = 1 << 30  # by which a page may let this process grow; nothing else is under way while a corpus is listed
# 32 requests of 8 MB that share a line are done in time from 0.25 MB/s on; one whose bytes stop coming is cut off.
_READING: Any = {"connect_timeout": "10s", "read_timeout": "120s", "timeout": "1200s", "pool_idle_timeout": "20s"}
_WRITING: Any = {"connect_timeout": "10s", "pool_idle_timeout": "20s"}
_WRITING_S, _SLOWEST = 120, 50_000  # seconds of a request that writes, and bytes per second that add to them
_RETRIES: Any = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=90),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken")
_SKEWED = "RequestTimeTooSkewed"
_NO_BUCKET = "NoSuchBucket"  # S3 and the XML interface of Google, in the body of their answer; a HEAD has none
_DENIED = ("status code: 403", "status code: 401")  # of a list, which has no error of its own kind
_ODD_NAME = re.compile(r"Error parsing Path \"(.{,300}?)\":|Path \"(.{,300}?)\" contained empty", re.DOTALL)
_WHOLE = "non-partial response"
_LASTING = ("status code: 4", _WHOLE, "without LOCATION")  # a later request meets the same
_PASSING = ("status code: 408", "status code: 429")
_CAUSES = {  # words in what is behind an error of obstore
    "InvalidCertificate": "its certificate is not trusted here: name the file of who signed it by SSL_CERT_FILE",
    "InvalidContentType": "it does not speak TLS at that port",
    "dns error": "there is no host of that name",
    "ConnectionRefused": "nothing listens there",
    "operation timed out": "no answer came in time",
}
_ALLOW_HTTP = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; GOOGLE_SKIP_SIGNATURE=true to read what is public",
}

T = TypeVar("T")


class ChangedError(CorpusError):
    """An object is another one than before."""


class NotAllowedError(CorpusError):
    """The rights do not allow it; many web servers also say so of what is not there."""


class TooLargeError(CorpusError):
    """An object is larger than what is read in one piece."""

    def __init__(self, message: str, identity: Identity) -> None:
        super().__init__(message)
        self.identity = identity


class Store:
    """The objects under one address.

    Args:
        address: of the corpus.

    Raises:
        CorpusError: the environment does not say how to reach it.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._store = _open(address, _READING)
        self._writers: dict[int, Any] = {}
        self._has_answered = False

    async def listed(self) -> dict[str, Identity]:
        """All objects with their identities.

        Raises:
            CorpusError: the store refuses or does not answer.
        """

        async def all_pages() -> dict[str, Identity]:
            return {str(meta["path"]): identity_of(meta) async for meta in self._pages()}

        return await self._asked(all_pages, "", "listed")

    async def _pages(self) -> AsyncIterator[Any]:
        pages, count, url = obstore.list(self._store, chunk_size=_PAGE), 0, self.address.url
        while True:
            try:
                page = await ending(pages.__anext__(), url, _PAGE_S, _PAGE_BYTES)
            except StopAsyncIteration:
                return
            except TooSlowError as error:
                raise CorpusError(
                    f"the list that the store gives of '{url}' goes on without naming an object; ask who runs the "
                    "store, or copy the corpus to a folder"
                ) from error
            if (count := count + len(page)) > MOST_OBJECTS:
                raise CorpusError(
                    f"the list that the store gives of '{url}' has more than {MOST_OBJECTS:,} objects, and no corpus "
                    "has so many; name the prefix of the corpus, or ask who runs the store"
                )
            for meta in page:
                yield meta

    async def identity(self, name: str) -> Identity:
        """What an object is now.

        Raises:
            FileNotFoundError: there is no such object.
            CorpusError: the store refuses or does not answer.
        """

        async def head() -> Identity:
            return identity_of(await self._answer(obstore.head_async(self._store, name), name))

        return await self._asked(head, name)

    async def read(
        self, name: str, known: Identity, part: tuple[int, int] | None = None, *, most: int | None = None
    ) -> tuple[bytes, Identity]:
        """An object or a part of it, and what it is; all of the bytes or none.

        Args:
            name: of the object.
            known: what it was before; its content is refused where it is another one now.
            part: first byte and the one behind the last; all of it for None.
            most: bytes of an object that is read as a whole; as many as a part has where left out.

        Raises:
            FileNotFoundError: there is no such object.
            ChangedError: it is another one than before.
            TooLargeError: it has more bytes than are read as a whole; says what it is.
            CorpusError: the store refuses or does not answer.
        """
        options: Any = {} if part is None else {"range": part}
        if known.tag.startswith('"'):  # a strong ETag; If-Match fails for weak ones (RFC 9110, 13.1.1)
            options["if_match"] = known.tag

        async def get() -> tuple[bytes, Identity]:
            found = await self._answer(obstore.get_async(self._store, name, options=options), name)
            identity = identity_of(found.meta)
            if (known.size >= 0 and identity.size != known.size) or (known.tag and identity.tag != known.tag):
                raise self._changed(name)
            if part is None and identity.size > (bound := _PART_BYTES if most is None else most):
                raise TooLargeError(
                    f"'{self.address.url}/{name}' has {identity.size:,} bytes, and no such file has more than "
                    f"{bound:,}; it is not read",
                    identity,
                )
            wanted = identity.size if part is None else part[1] - part[0]
            return await self._answer(_all_bytes(found, wanted), name, wanted), identity

        return await self._asked(get, name)

    async def _answer(self, request: Awaitable[T], name: str, nbytes: int = 0) -> T:
        """What comes of a request for so many bytes, which ends."""
        return await ending(request, f"{self.address.url}/{name}", _ANSWER_S + nbytes / _SLOWEST_READ)

    async def digest(self, name: str) -> str:
        """Sha-256 of an object, which is read for it; a large one in parts.

        Raises:
            FileNotFoundError: there is no such object.
            CorpusError: the store refuses or does not answer, or the object changes meanwhile.
        """
        try:
            content, _ = await self.read(name, identity_unknown())
            return hashlib.sha256(content).hexdigest()
        except TooLargeError as error:
            known, digest = error.identity, hashlib.sha256()
        for start in range(0, known.size, _PART_BYTES):
            content, _ = await self.read(name, known, (start, min(known.size, start + _PART_BYTES)))
            digest.update(content)
        return digest.hexdigest()

    async def create(self, name: str, content: bytes) -> bool:
        """Put an object where there is none of that name (`If-None-Match: *`); whether this one is there now.

        A request whose answer was lost is made again, and finds its own object; whoever asked compares then.

        Raises:
            CorpusError: the store refuses, does not answer, or knows no conditional put.
        """
        store = self._writer(len(content))

        async def put() -> bool:
            try:
                await obstore.put_async(store, name, content, mode="create", use_multipart=False)
            except exceptions.AlreadyExistsError:
                return False
            except (exceptions.NotSupportedError, NotImplementedError) as error:
                raise CorpusError(
                    f"'{self.address.url}' takes no object only where there is none, so that two writers could not be "
                    "told apart; copy the corpus by the store's own tools while nobody else writes"
                ) from error
            return True

        return await self._asked(put, name, "written to")

    def _writer(self, nbytes: int) -> Any:  # noqa: ANN401 - one of obstore's classes
        """The store with time for a request of so many bytes: what counts is all of it, and a slow line takes long."""
        seconds = 1 << (_WRITING_S + nbytes // _SLOWEST - 1).bit_length()
        if seconds not in self._writers:
            self._writers[seconds] = _open(self.address, {**_WRITING, "timeout": f"{seconds}s"})
        return self._writers[seconds]

    async def _asked(self, request: Callable[[], Awaitable[T]], name: str, purpose: str = "read") -> T:
        """Make a request, again where that may help.

        Raises:
            FileNotFoundError: there is no such object.
            ChangedError: it is another one than before.
            CorpusError: the store refuses, or did not answer often enough.
        """
        began = time.monotonic()
        for attempt in itertools.count():
            try:
                found = await request()
            except (exceptions.NotFoundError, FileNotFoundError) as error:  # obstore has raised either
                self._has_answered = True
                self._require_bucket(error)
                raise FileNotFoundError(name) from error
            except exceptions.PreconditionError as error:
                raise self._changed(name) from error
            except (exceptions.BaseError, OSError) as error:
                await self._pause(attempt, began, error, name, purpose)
            else:
                self._has_answered = True
                return found
        raise AssertionError

    def _changed(self, name: str) -> ChangedError:
        return ChangedError(
            f"'{self.address.url}/{name}' is not what it was when the corpus was opened: somebody wrote it again; "
            "start again to read the new one, and run 'voxtile verify' on the corpus, whose files never change"
        )

    def _require_bucket(self, error: Exception) -> None:
        """Say of a refusal that is of the whole bucket that it is.

        Raises:
            CorpusError: there is no such bucket.
        """
        if _NO_BUCKET in str(error):
            where = ", and AWS_ENDPOINT_URL where the store is not Amazon's" if self.address.scheme == "s3" else ""
            raise CorpusError(f"the store has no bucket '{self.address.bucket}'; check its name{where}") from error

    async def _pause(self, attempt: int, began: float, error: Exception, name: str, purpose: str) -> None:
        """Wait before a request is made again.

        Raises:
            CorpusError: it is of no use, or was made often enough.
        """
        self._require_bucket(error)
        said, where = str(error), f"{self.address.url}/{name}".rstrip("/")
        keys = _KEYS.get(self.address.scheme)
        advice = f"; credentials come from the environment ({keys})" if keys else ""
        if any(word in said for word in _EXPIRED):
            raise CorpusError(
                f"the credentials for '{self.address.url}' have expired; renew them and run the same command again: "
                "what is finished is kept, and a training resumes from its checkpoint"
            ) from error
        if _SKEWED in said:
            raise CorpusError(
                f"the store of '{self.address.url}' refuses what is signed here, since its clock and that of this "
                "machine differ too much; set this machine's clock and run the same command again"
            ) from error
        denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if denied or any(word in said for word in _DENIED):
            raise NotAllowedError(f"'{where}' may not be {purpose} with these rights{advice}") from error
        if purpose == "listed" and (odd := _ODD_NAME.search(said)):
            raise CorpusError(
                f"'{where}' holds an object of the name {odd[1] or odd[2]!r}, which is no path of a file, and cannot "
                "be listed by that; rename or remove it, or name a prefix that holds the corpus alone"
            ) from error
        if isinstance(error, exceptions.NotSupportedError) or (attempt + 1 >= ATTEMPTS and _WHOLE in said):
            raise CorpusError(
                f"the server of '{where}' answers with whole files where parts are asked for (it passes over the "
                "header Range), and shards are read in parts; let it obey Range, as web servers do by default, or copy "
                "the corpus to a folder"
            ) from error
        is_long = time.monotonic() - began > seconds_given(PATIENCE_VARIABLE, _PATIENCE_S)
        if attempt + 1 >= ATTEMPTS and (is_long or self._is_lasting(said)):
            raise CorpusError(
                f"'{where}' cannot be {purpose} ({_short(error)}); check the network and the address{advice}"
            ) from error
        await asyncio.sleep(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))

    def _is_lasting(self, said: str) -> bool:
        """Whether waiting longer is of no use."""
        return not self._has_answered or (
            any(word in said for word in _LASTING) and not any(word in said for word in _PASSING)
        )


async def _all_bytes(found: Any, wanted: int) -> bytes:  # noqa: ANN401 - obstore's GetResult
    """The body of an answer, read no further than it may be long: its length says nothing of what was asked for.

    Raises:
        OSError: it has another number of bytes.
    """
    pieces, came = [], 0
    async for piece in found.stream():
        pieces.append(memoryview(piece))
        if (came := came + len(piece)) > wanted:
            raise OSError(f"more than {wanted} bytes came")
    if came != wanted:
        raise OSError(f"{came} bytes came of {wanted}")
    return b"".join(pieces)


def _open(address: Address, options: Any) -> Any:  # noqa: ANN401 - one of obstore's classes
    """A client of the store.

    Raises:
        CorpusError: the address or the environment does not say how to reach it.
    """
    _check_endpoint(address)
    given: Any = {"client_options": {**options, "allow_http": _without_encryption(address)}, "retry_config": _RETRIES}
    bucket, _, prefix = address.url.partition("://")[2].partition("/")
    try:  # of a bucket's name and a prefix: `from_url` takes percent signs for escapes, which keys have none of
        if address.scheme == "s3":
            return S3Store(bucket, prefix=prefix or None, **given)
        if address.scheme == "gs":
            return GCSStore(bucket, prefix=prefix or None, **given)
        return HTTPStore.from_url(address.url, **given)
    except (exceptions.BaseError, ValueError) as error:
        raise CorpusError(f"'{address.url}' cannot be opened ({_short(error)}); check the address") from error


def _check_endpoint(address: Address) -> None:
    """Refuse an endpoint that is no URL, which obstore ends a thread for, or that is not encrypted.

    Raises:
        CorpusError: it is.
    """
    for name in endpoint_variables(address):
        if (found := os.environ.get(name)) is None:
            continue
        parts = urlsplit(found)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            shown = "no address" if "@" in found else f"'{found}', which is no address"
            raise CorpusError(f"{name} is {shown} of a store; set it to https://HOST or https://HOST:PORT, or unset it")
        if parts.scheme == "http" and not _without_encryption(address):
            raise CorpusError(
                f"{name} names a store at '{parts.hostname}' that is not encrypted; name it by https, or set "
                f"{_ALLOW_HTTP[address.scheme]}=true if nobody else is on that network"
            )


def _without_encryption(address: Address) -> bool:
    """Whether requests may go unencrypted: to this machine, or where the user's environment says so."""
    if address.scheme == "http":
        return True  # `parse_address` lets it through for this machine alone
    allowed = os.environ.get(_ALLOW_HTTP.get(address.scheme, ""), "")
    return urlsplit(endpoint_of(address)).hostname in LOOPBACK or allowed.lower() in {"1", "true"}


def _short(error: Exception) -> str:
    """What a library says, without the addresses, headers and sources that follow, and what lies behind it."""
    said, _, sources = str(error).partition("Debug source")
    cause = next((f"; {cause}" for word, cause in _CAUSES.items() if word in sources), "")
    return (" ".join(said.split())[:300] or type(error).__name__) + cause
