"""Addresses of remote corpora: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `https://HOST/PATH`."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from voxtile.errors import CorpusError

# A Path takes two slashes for one: `s3://bucket` arrives as `s3:/bucket` where a command takes a folder.
_ADDRESS = re.compile(r"(s3|gs|https?):/+(.+)", re.DOTALL)
_OTHER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+.*", re.DOTALL)  # of two letters at least: one is a drive
SCHEMES = ("s3", "gs", "http", "https")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), "gs": ("GOOGLE_BASE_URL",)}
_ID_DIGITS = 16
_MARK = ".remote.json"
_DRAFT = ".draft"


@dataclass(frozen=True)
class Address:
    """Where a remote corpus lies.

    Attributes:
        url: without a slash at its end; holds no credentials.
    """

    url: str

    @property
    def scheme(self) -> str:
        """`s3`, `gs`, `https` or `http`."""
        return self.url.partition(":")[0]

    @property
    def is_listable(self) -> bool:
        """Whether the store tells which objects there are; a web server does not."""
        return self.scheme in {"s3", "gs"}

    @property
    def bucket(self) -> str:
        """Address of the whole bucket, or of the host."""
        return "/".join(self.url.split("/", 3)[:3])

    @property
    def name(self) -> str:
        """The last part of the address, as a folder may be called."""
        return re.sub(r"[^\w.-]", "_", self.url.rpartition("/")[2]).lstrip(".") or "corpus"

    @property
    def id(self) -> str:
        """Tells it from all others in names of folders: 16 hexadecimal digits.

        The same bucket at another endpoint is another corpus.
        """
        endpoint = endpoint_of(self)
        place = f"{self.url}\n{endpoint}" if self.scheme == "s3" or endpoint else self.url
        return hashlib.sha256(place.encode()).hexdigest()[:_ID_DIGITS]


def parse_address(path: str | os.PathLike[str]) -> Address | None:
    """The address of a remote corpus; None for a local folder.

    Args:
        path: as a user gave it, or as a Path made of it.

    Raises:
        CorpusError: it is an address, but none that may be read.
    """
    found = _ADDRESS.fullmatch(os.fspath(path))
    if found is None:
        _refuse_other(os.fspath(path))
        return None
    url = f"{found[1]}://{found[2].rstrip('/')}"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise CorpusError(f"'{url}' is not the address of a corpus ({error}); name it as s3://BUCKET/PREFIX") from error
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise CorpusError(
            f"the address of a corpus at '{parts.hostname}' holds a user, a password or a query; credentials are taken "
            "from the environment alone (docs/remote-corpora.md), so that no config or log holds them"
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise CorpusError(f"'{url}' would be read without encryption; name it by https")
    if not parts.netloc or ".." in parts.path.split("/") or any(ord(letter) < 32 for letter in url):
        raise CorpusError(f"'{url}' is not the address of a corpus; name it as s3://BUCKET/PREFIX")
    return Address(url)


def _refuse_other(path: str) -> None:
    """Raise CorpusError for an address of a kind that is not read: as a folder it would be made, or not be found."""
    other = _OTHER.fullmatch(path)
    if other is not None and not os.path.exists(f"{other[1]}:"):
        raise CorpusError(
            f"'{other[1]}://' begins no address of a corpus; corpora are in folders and at s3://BUCKET/PREFIX, "
            "gs://BUCKET/PREFIX and https://HOST/PATH"
        )


def endpoint_of(address: Address) -> str:
    """Where the environment says that the store is; empty for the provider's own place."""
    return next((found for name in endpoint_variables(address) if (found := os.environ.get(name))), "")


def endpoint_variables(address: Address) -> tuple[str, ...]:
    """Names of what the environment says it by; the first one that is set counts."""
    return _ENDPOINTS.get(address.scheme, ())


def refuse_remote(path: Path, purpose: str) -> None:
    """Raise CorpusError where a corpus that is to be written lies elsewhere, or is the mirror of one that does.

    Args:
        path: of the corpus.
        purpose: what would be done, such as `written to`.
    """
    address = parse_address(path)
    if address is not None or ((path / _MARK).is_file() and not (path / _DRAFT).is_file()):
        name = address.url if address is not None else path
        raise CorpusError(
            f"'{name}' is a remote corpus, which cannot be {purpose} from here; do it where the corpus is a folder and "
            "then run 'voxtile push', or write to a new local corpus and read both as one (docs/remote-corpora.md)"
        )


def marker(root: Path) -> Path:
    """The file that makes a folder the mirror of a remote corpus."""
    return root / _MARK


def draft_marker(root: Path) -> Path:
    """The file that lets a mirror be written to, because what is new in it will be put into the store."""
    return root / _DRAFT
