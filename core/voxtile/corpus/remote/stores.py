"""Requests to a store, by obstore: what is asked again, and what a refusal means to the user."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import GCSStore, HTTPStore, S3Store

from voxtile.corpus.remote.address import LOOPBACK, Address, endpoint_of
from voxtile.corpus.remote.objects import Identity, identity_of
from voxtile.errors import CorpusError

MOST_BYTES = 1 << 30  # of an object that is read in one piece: headers, records, and what a push compares
ATTEMPTS = 6  # of one request, beside those that obstore makes again itself
_FIRST_PAUSE_S = 0.1
_OPTIONS: Any = {"connect_timeout": "10s", "timeout": "120s", "pool_idle_timeout": "20s"}
_RETRIES: Any = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=90),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "RequestTimeTooSkewed")
_NO_BUCKET = "NoSuchBucket"  # S3 and the XML interface of Google, in the body of their answer; a HEAD has none
_DENIED = ("status code: 403", "status code: 401")  # of a list, which has no error of its own kind
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; GOOGLE_SKIP_SIGNATURE=true to read what is public",
}


class ChangedError(CorpusError):
    """An object is another one than before."""


class NotAllowedError(CorpusError):
    """The rights do not allow it; many web servers also say so of what is not there."""


class Store:
    """The objects under one address.

    Args:
        address: of the corpus.

    Raises:
        CorpusError: the environment does not say how to reach it.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        try:
            self._store = _open(address)
        except exceptions.BaseError as error:
            raise CorpusError(f"'{address.url}' cannot be opened ({_short(error)}); check the address") from error

    async def listed(self) -> dict[str, Identity]:
        """All objects with their identities.

        Raises:
            CorpusError: the store refuses or does not answer.
        """
        for attempt in range(ATTEMPTS):
            try:
                return {str(meta["path"]): identity_of(meta) async for meta in self._pages()}
            except (exceptions.BaseError, OSError) as error:
                await self._pause(attempt, error, "", "listed")
        raise AssertionError

    async def _pages(self) -> AsyncIterator[Any]:
        async for page in obstore.list(self._store):
            for meta in page:
                yield meta

    async def identity(self, name: str) -> Identity:
        """What an object is now.

        Raises:
            FileNotFoundError: there is no such object.
            CorpusError: the store refuses or does not answer.
        """
        for attempt in range(ATTEMPTS):
            try:
                return identity_of(await obstore.head_async(self._store, name))
            except (exceptions.NotFoundError, FileNotFoundError) as error:  # obstore has raised either
                raise FileNotFoundError(name) from error
            except (exceptions.BaseError, OSError) as error:
                await self._pause(attempt, error, name)
        raise AssertionError

    async def read(self, name: str, known: Identity, part: tuple[int, int] | None = None) -> tuple[bytes, Identity]:
        """An object or a part of it, and what it is; all of the bytes or none.

        Args:
            name: of the object.
            known: what it was before; its content is refused where it is another one now.
            part: first byte and the one behind the last; all of it for None.

        Raises:
            FileNotFoundError: there is no such object.
            ChangedError: it is another one than before.
            CorpusError: the store refuses or does not answer.
        """
        options: Any = {} if part is None else {"range": part}
        if known.tag.startswith('"'):  # a strong ETag; If-Match fails for weak ones (RFC 9110, 13.1.1)
            options["if_match"] = known.tag
        for attempt in range(ATTEMPTS):
            try:
                found = await obstore.get_async(self._store, name, options=options)
                identity = identity_of(found.meta)
                if (known.size >= 0 and identity.size != known.size) or (known.tag and identity.tag != known.tag):
                    raise self._changed(name)
                if part is None and identity.size > MOST_BYTES:
                    raise CorpusError(
                        f"'{self.address.url}/{name}' has {identity.size:,} bytes, and no such file has more than "
                        f"{MOST_BYTES:,}; it is not read"
                    )
                data = bytes(await found.bytes_async())
                wanted = identity.size if part is None else part[1] - part[0]
                if len(data) != wanted:
                    raise OSError(f"{len(data)} bytes came of {wanted}")
                return data, identity
            except (exceptions.NotFoundError, FileNotFoundError) as error:  # obstore has raised either
                self._require_bucket(error)
                raise FileNotFoundError(name) from error
            except exceptions.PreconditionError as error:
                raise self._changed(name) from error
            except (exceptions.BaseError, OSError) as error:
                await self._pause(attempt, error, name)
        raise AssertionError

    async def create(self, name: str, content: bytes) -> bool:
        """Put an object where there is none of that name (`If-None-Match: *`); whether this one is there now.

        A request whose answer was lost is made again, and finds its own object; whoever asked compares then.

        Raises:
            CorpusError: the store refuses, does not answer, or knows no conditional put.
        """
        for attempt in range(ATTEMPTS):
            try:
                await obstore.put_async(self._store, name, content, mode="create", use_multipart=False)
                return True
            except exceptions.AlreadyExistsError:
                return False
            except (exceptions.NotSupportedError, NotImplementedError) as error:
                raise CorpusError(
                    f"'{self.address.url}' takes no object only where there is none, so that two writers could not be "
                    "told apart; copy the corpus by the store's own tools while nobody else writes"
                ) from error
            except (exceptions.BaseError, OSError) as error:
                await self._pause(attempt, error, name, "written to")
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

    async def _pause(self, attempt: int, error: Exception, name: str, purpose: str = "read") -> None:
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
        denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
        if denied or any(word in said for word in _DENIED):
            raise NotAllowedError(f"'{where}' may not be {purpose} with these rights{advice}") from error
        if attempt + 1 >= ATTEMPTS:
            raise CorpusError(
                f"'{where}' cannot be {purpose} ({_short(error)}); check the network and the address{advice}"
            ) from error
        await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)


def _open(address: Address) -> Any:  # noqa: ANN401 - one of obstore's classes
    options = {**_OPTIONS, "allow_http": _without_encryption(address)}
    kind: Any = {"s3": S3Store, "gs": GCSStore}.get(address.scheme, HTTPStore)
    return kind.from_url(address.url, client_options=options, retry_config=_RETRIES)


def _without_encryption(address: Address) -> bool:
    """Whether requests may go unencrypted: to this machine, or where the user's environment says so."""
    if address.scheme == "http":
        return True  # `parse_address` lets it through for this machine alone
    allowed = os.environ.get({"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP"}.get(address.scheme, ""), "")
    return urlsplit(endpoint_of(address)).hostname in LOOPBACK or allowed.lower() in {"1", "true"}


def _short(error: Exception) -> str:
    """What a library says, without the addresses, headers and sources that follow."""
    said = " ".join(str(error).split("Debug source")[0].split())
    return said[:300] or type(error).__name__
